package outbox

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// scene is a database whose clock a test moves, and what was sent.
type scene struct {
	testing.TB
	db       *pgxpool.Pool
	registry *prometheus.Registry

	mu   sync.Mutex
	sent []receiver.Notification
	// answers is what the receivers answer; nil: they take everything.
	answers func(context.Context, receiver.Notification) receiver.Result
}

func newScene(t testing.TB) *scene {
	s := &scene{TB: t, db: pgtest.New(t)}
	s.clock(0)
	return s
}

// clock sets the database's clock to so long after noon.
func (s *scene) clock(d time.Duration) {
	s.Helper()
	pgtest.SetClock(s, s.db, noon.Add(d).Format(time.RFC3339Nano))
}

func (s *scene) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.db.Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

func one[T any](s *scene, sql string, args ...any) T {
	s.Helper()
	rows, err := s.db.Query(s.Context(), sql, args...)
	if err != nil {
		s.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// alert stores an alert, so long after noon, and writes it for receivers.
func (s *scene) alert(d time.Duration, asset string, kind alerting.Type, routes ...receiver.Route) (id int64) {
	s.Helper()
	state, snapshot := "HEALTHY", `{"is_degraded": false}`
	id = one[int64](s, `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		noon.Add(d), asset, kind, kind.Severity(), "["+asset+"] says so", snapshot, state)
	s.in(func(tx pgx.Tx) error { return Intent{routes}.Fired(s.Context(), tx, id, kind.Severity()) })
	return id
}

// in runs what is done in a transaction.
func (s *scene) in(do func(tx pgx.Tx) error) {
	s.Helper()
	if err := pgx.BeginFunc(s.Context(), s.db, do); err != nil {
		s.Fatal(err)
	}
}

// Send makes the scene the sender of every receiver.
func (s *scene) Send(ctx context.Context, n receiver.Notification) receiver.Result {
	s.mu.Lock()
	s.sent = append(s.sent, n)
	answers := s.answers
	s.mu.Unlock()
	if answers == nil {
		return receiver.Result{Outcome: receiver.Delivered}
	}
	return answers(ctx, n)
}

// took returns what was sent since it was asked last.
func (s *scene) took() []receiver.Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.sent
	s.sent = nil
	return list
}

// sender makes a sender of the routes.
func (s *scene) sender(routes ...receiver.Route) *Sender {
	var list []receiver.Receiver
	for _, r := range routes {
		list = append(list, receiver.Receiver{Route: r, Sender: s})
	}
	s.registry = prometheus.NewRegistry()
	return NewSender(Config{Pool: s.db, Logger: slog.New(slog.DiscardHandler), Registerer: s.registry, Receivers: list})
}

// drain lets a receiver's worker send what is due, and returns for how long it then
// leaves it alone.
func (s *scene) drain(sender *Sender, n int) time.Duration {
	s.Helper()
	rest, err := sender.workers[n].drain(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return rest
}

var (
	all   = receiver.Route{Name: "all", MinSeverity: alerting.Medium, SendResolved: true}
	high  = receiver.Route{Name: "high", MinSeverity: alerting.High}
	am    = receiver.Route{Name: "am", MinSeverity: alerting.Medium, SendResolved: true, Reminded: true}
	errNo = errors.New("no")
)
