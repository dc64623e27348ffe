package health_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// unmasked are the views of the board that hold no signal value. Every other
// one has to be empty while the state is STALE, also one that is added later.
var unmasked = []string{"health", "header", "header_lines", "system_alert"}

const walkSeed = "WHALEGATE_WALK_SEED"

func TestD2TheMaskHoldsOnAWalkOf2000Steps(t *testing.T) {
	seeds := []uint64{20260301, rand.Uint64()}
	if given := os.Getenv(walkSeed); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", walkSeed, err)
		}
		seeds = []uint64{seed}
	}
	for i, seed := range seeds {
		t.Run([]string{"the same", "a new one"}[i], func(t *testing.T) {
			t.Parallel() // each waits for the server most of the time
			w := newWalk(t, pgtest.New(t), seed)
			for range 2000 {
				if err := w.step(); err != nil {
					t.Fatalf("%s=%d: %v\n%s", walkSeed, seed, err, w.story())
				}
			}
			t.Logf("%s=%d: %v, %d rows of the decision surface, %d minutes refused", walkSeed, seed, w.states, w.shown, w.refused)
			for _, state := range []health.State{health.Stale, health.Degraded, health.Healthy} {
				if w.states[state] < 80 {
					t.Errorf("%s=%d: %s only %d times: the walk shows too little", walkSeed, seed, state, w.states[state])
				}
			}
			if w.refused < 20 {
				t.Errorf("%s=%d: only %d minutes were refused", walkSeed, seed, w.refused)
			}
			if w.shown < 10000 {
				t.Errorf("%s=%d: only %d rows were ever shown", walkSeed, seed, w.shown)
			}
		})
	}
}

// A mask that is always open has to be found out.
func TestD2TheWalkFindsALeak(t *testing.T) {
	db := pgtest.New(t)
	_, err := db.Exec(t.Context(), `CREATE OR REPLACE FUNCTION decision_surface() RETURNS TABLE (health_state text, judged_at timestamptz)
		LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp
		AS $$SELECT h.health_state, whalegate_now() FROM board_health() h$$`)
	if err != nil {
		t.Fatal(err)
	}
	w := newWalk(t, db, 1)
	for range 300 {
		if err = w.step(); err != nil {
			break
		}
	}
	if !errors.As(err, new(leakError)) {
		t.Errorf("the walk over an open mask ended with: %v", err)
	}
}

type leakError struct{ view string }

func (e leakError) Error() string { return "STALE, and board." + e.view + " shows rows" }

// walk changes what the state depends on, step by step, and looks after each.
type walk struct {
	t         *testing.T
	rng       *rand.Rand
	db, board *pgxpool.Pool
	now       time.Time
	model     maskModel
	states    map[health.State]int
	shown     int
	refused   int // minutes that the clock had shown before
	log       []string
}

func newWalk(t *testing.T, db *pgxpool.Pool, seed uint64) *walk {
	return &walk{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), db: db, board: pgtest.As(t, db, "whalegate_board"),
		now: noon, states: map[health.State]int{},
	}
}

func (w *walk) step() error {
	if err := w.change(); err != nil {
		return err
	}
	pgtest.SetClock(w.t, w.db, w.now.Format(time.RFC3339))
	if err := errors.Join(w.forget(), w.refill()); err != nil {
		return err
	}
	return w.look()
}

func (w *walk) within(least, most time.Duration) time.Duration {
	return (least + time.Duration(w.rng.Int64N(int64(most-least)+1))).Truncate(time.Second)
}

// change does one thing. Good runs come often, or nothing would ever recover.
func (w *walk) change() error {
	switch n := w.rng.IntN(100); {
	case n < 46:
		return w.run("success", 100, full, w.within(0, 50*time.Second))
	case n < 56:
		share := pick(w.rng, 79.99, 80, 85, 89.99, 90, 95, w.rng.Float64()*100)
		return w.run("partial", float64(int(share*100))/100, full, 5*time.Second)
	case n < 58:
		return w.run("failed", pick(w.rng, 0, 50, 79.99, 95), full, 5*time.Second)
	case n < 63:
		share := full
		share[w.rng.IntN(3)] = pick(w.rng, 0, 59.99, 60, 70, 79.99, 80)
		return w.run("success", 100, share, 5*time.Second)
	case n < 65:
		return w.run("success", 100, full, w.within(time.Minute, 5*time.Minute)) // late
	case n < 66:
		return w.accept()
	case n < 67:
		return w.fromTheFuture()
	case n < 73:
		w.move("seconds pass", w.within(time.Second, time.Minute))
	case n < 79:
		w.move("a minute is missing", w.within(time.Minute, 4*time.Minute))
	case n < 80:
		w.move("an outage", w.within(8*time.Minute, 40*time.Minute))
	case n < 86:
		w.toAnEdge()
	case n < 87:
		w.move("the clock goes back", -pick(w.rng, w.within(time.Second, time.Minute), w.within(time.Second, time.Hour)))
	case n < 88:
		return w.halt()
	case n < 92:
		return w.resume()
	case n < 93:
		return w.systemAlert(true)
	case n < 97:
		return w.systemAlert(false)
	default:
		return w.restart()
	}
	return nil
}

func pick[T any](rng *rand.Rand, of ...T) T { return of[rng.IntN(len(of))] }

func (w *walk) move(why string, by time.Duration) {
	w.now = w.now.Add(by)
	w.note("%s (%s)", why, by)
}

// toAnEdge goes to where an age changes the state, or one second past it.
func (w *walk) toAnEdge() {
	if len(w.model.runs) == 0 {
		return
	}
	edge := w.model.runs[len(w.model.runs)-1].minute.Add(pick(w.rng, 2*time.Minute, 10*time.Minute)).Add(pick(w.rng, 0, time.Second))
	if edge.After(w.now) {
		w.move("to an edge", edge.Sub(w.now))
	}
}

// look reads everything as the board does and holds it against the model.
func (w *walk) look() error {
	ctx, want := w.t.Context(), w.model.at(w.now)
	views, err := masked(ctx, w.db)
	if err != nil {
		return err
	}
	var got health.State
	var reasons []string
	if err := w.board.QueryRow(ctx, "SELECT health_state, reasons FROM board.health").Scan(&got, &reasons); err != nil {
		return err
	}
	w.states[want]++
	w.note("%s %v", got, reasons)
	for _, view := range views {
		rows, err := w.board.Query(ctx, "SELECT * FROM "+pgx.Identifier{"board", view}.Sanitize())
		if err != nil {
			return err
		}
		shown, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			return err
		}
		w.shown += len(shown)
		if err := check(want, view, shown); err != nil {
			return err
		}
	}
	if got != want {
		return fmt.Errorf("the board says %s %v, the model %s", got, reasons, want)
	}
	return nil
}

// check holds what one view shows against the state. There is always something
// that could be shown, so an empty view is a fault when the mask is open.
func check(state health.State, view string, shown []map[string]any) error {
	switch {
	case state == health.Stale && len(shown) > 0:
		return leakError{view}
	case state == health.Stale:
		return nil
	case len(shown) == 0 || view == "gate" && len(shown) != 3:
		return fmt.Errorf("%s, and board.%s shows %d rows", state, view, len(shown))
	}
	if view == "playbook" {
		for _, row := range shown {
			text, _ := row["playbook"].(string)
			if strings.HasSuffix(text, " (degraded)") != (state == health.Degraded) {
				return fmt.Errorf("%s, and the playbook is %q", state, text)
			}
		}
	}
	return nil
}

func masked(ctx context.Context, db *pgxpool.Pool) ([]string, error) {
	rows, err := db.Query(ctx, "SELECT viewname::text FROM pg_views WHERE schemaname = 'board' AND viewname <> ALL ($1) ORDER BY 1", unmasked)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (w *walk) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...)+", now "+w.now.Format(time.TimeOnly))
}

// story is what happened last.
func (w *walk) story() (text string) {
	for _, line := range w.log[max(0, len(w.log)-25):] {
		text += line + "\n"
	}
	return text
}
