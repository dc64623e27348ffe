package test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// guarded is a world with a service and a dead man's switch, who tell the same
// mailbox.
type guarded struct {
	*world
	mail  *mailbox
	file  string
	guard *process
}

func newGuarded(t testing.TB) *guarded {
	g := &guarded{world: quietWorld(t), mail: newMailbox(t)}
	// A crash of the server loses nothing that was committed, as in life.
	_, err := g.db.Exec(t.Context(), "ALTER DATABASE "+dbName+" SET synchronous_commit = on")
	must(t, err)
	g.file = receiversFile(t, map[string]string{"mail": "webhook+" + g.mail.URL})
	g.env = append(g.environ(), "WHALEGATE_RECEIVERS_FILE="+g.file)
	g.run()
	g.watch()
	g.awaitHealth(health.Healthy, "")
	g.awaitTrue("what the service's start has to say to be said", "count(*) = 7 FROM alert_state")
	return g
}

// watch starts the dead man's switch, as its own role.
func (g *guarded) watch() {
	g.Helper()
	env := append(slices.Clone(g.env), "DATABASE_URL="+g.pg.URL("whalegate_watchdog", dbName))
	g.guard = launch(g, env, "watchdog")
	g.guard.logged(g, "watchdog started")
}

// awaitMail waits until the mailbox holds just this of the system alert; what the
// wallets do meanwhile is not the matter here.
func (g *guarded) awaitMail(want ...string) (letters []letter) {
	g.Helper()
	await(g, fmt.Sprint("the mail ", want), func() error {
		letters = nil
		var names []string
		for _, l := range g.mail.got() {
			if l.Alerts[0].Labels["asset"] == "SYSTEM" {
				letters, names = append(letters, l), append(names, l.name())
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			return fmt.Errorf("%s", diff)
		}
		return nil
	})
	return letters
}

const (
	fired   = "SYSTEM system_stale firing"
	cleared = "SYSTEM system_stale resolved"
)

// closed checks that each outage was told once, with one end of the same identity,
// and that the database says the same.
func (g *guarded) closed(outages int) {
	g.Helper()
	var want []string
	for range outages {
		want = append(want, fired, cleared)
	}
	letters := g.awaitMail(want...)
	for i := 0; i < len(letters); i += 2 {
		a, b := letters[i].Alerts[0], letters[i+1].Alerts[0]
		for _, link := range []string{a.Annotations["runbook_url"], b.Annotations["runbook_url"]} { // of the service or of the watchdog
			if !strings.HasPrefix(link, "http://127.0.0.1:") || !strings.HasSuffix(link, "/runbooks/1-ingestion") {
				g.Errorf("a message leads to %q", link)
			}
		}
		if a.Fingerprint != b.Fingerprint || !a.StartsAt.Equal(b.StartsAt) || !b.EndsAt.After(b.StartsAt) {
			g.Errorf("the end has another identity: %+v, %+v", a, b)
		}
	}
	if n := get[int](g.world, "SELECT count(*) FROM alerts WHERE alert_type = 'system_stale' AND resolved_at IS NOT NULL"); n != outages {
		g.Errorf("%d of %d outages are stored", n, outages)
	}
	await(g, "the deliveries to be written down", func() error { // a moment after they came
		return differs(get[int](g.world, "SELECT count(*) FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id WHERE a.asset = 'SYSTEM' AND state = 'delivered'"), 2*outages)
	})
}

// TestA5ADeadServiceIsAnnounced kills the service; the dead man's switch, which lives
// beside it, says so once. Before, both see an outage of the exchange, and say it once.
func TestA5ADeadServiceIsAnnounced(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.fault(`{"kind":"status","code":500,"endpoint":"state"}`)
	g.awaitMail(fired)
	g.clear()
	g.closed(1)

	g.awaitHealth(health.Healthy, "")
	g.service.kill()
	letters := g.awaitMail(fired, cleared, fired)
	if text := letters[2].Alerts[0].Annotations["summary"]; text != "[SYSTEM] Data Stale: Ingestion has not succeeded for 10 minutes. All behavioral alerts suppressed. Do not trade until resolved." {
		t.Errorf("it says %q", text)
	}
	g.guard.logged(t, "alert")
	g.guard.kill() // a new one knows that it has been said
	g.watch()
	g.run()
	g.closed(2)
}

// TestA5AnOutageOfTheDatabaseIsAnnouncedOnce stops the database for more than ten
// minutes, beside a service that lives; with both, and then with the service dead too.
func TestA5AnOutageOfTheDatabaseIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	for i, end := range []func() error{g.pg.Stop, g.pg.Kill} {
		must(t, end())
		want := append(slices.Repeat([]string{fired, cleared}, i), fired)
		letters := g.awaitMail(want...)
		if text := letters[len(letters)-1].Alerts[0].Annotations["summary"]; text != "[SYSTEM] Data Stale: The database could not be asked for 10 minutes. All behavioral alerts suppressed. Do not trade until resolved." {
			t.Errorf("it says %q", text)
		}
		must(t, g.pg.Restart(t.Context()))
		g.guard.logged(t, "the database answers again; what was said without it is entered")
		g.closed(i + 1)
		g.awaitHealth(health.Healthy, "")
	}
	// The service dies first, and is announced; then the database goes away in the
	// middle of that outage: nothing new.
	g.service.kill()
	g.awaitMail(fired, cleared, fired, cleared, fired)
	must(t, g.pg.Stop())
	g.guard.logged(t, "the database cannot be asked")
	before := g.clock.Now()
	await(t, "twenty minutes", func() error {
		if passed := g.clock.Now().Sub(before).Minutes(); passed < 20 {
			return fmt.Errorf("%.0f have passed", passed)
		}
		return nil
	})
	g.awaitMail(fired, cleared, fired, cleared, fired)
	must(t, g.pg.Restart(t.Context()))
	g.run()
	g.closed(3)
}

// TestTheWatchdogHasTheLeastRights tries, as its role, what it needs not.
func TestTheWatchdogHasTheLeastRights(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	must(t, pgtest.Prepare(t.Context(), pg, dbName))
	conn, err := pgx.Connect(t.Context(), pg.URL("whalegate_watchdog", dbName))
	must(t, err)
	defer conn.Close(t.Context())
	for _, sql := range []string{
		"SELECT FROM signals", "SELECT FROM wallet_snapshots", "SELECT FROM halts", "DELETE FROM alerts", "DELETE FROM alert_deliveries", "UPDATE ingest_runs SET status = 'success'",
		"INSERT INTO halts (halted_at, halted_by, reason) VALUES (now(), 'a', 'b')", "INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES (now(), 'a', 'b', now() + interval '1 hour')",
	} {
		var answer *pgconn.PgError
		if _, err := conn.Exec(t.Context(), sql); !errors.As(err, &answer) || answer.Code != "42501" {
			t.Errorf("it may %s: %v", sql, err)
		}
	}
}
