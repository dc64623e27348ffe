package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

// beat is a moment of the world of TestKilledBetweenSignalAndDelivery: two periods, a
// few hours after the last ones.
type beat struct {
	at    time.Time // of the second period
	exits [asset.Count]float64
	plays [asset.Count]signals.Playbook
}

const (
	kills     = 500
	beatEvery = 5 * time.Hour
)

// beats draws what the wallets do: at every beat something fires or clears.
func beats(first time.Time) (list []beat) {
	for n := range kills + 10 {
		b := beat{at: first.Add(time.Duration(n) * beatEvery)}
		for a := range asset.Count {
			b.exits[a] = []float64{10, 30}[(n+a)%2]
			b.plays[a] = signals.Playbooks[rand.IntN(len(signals.Playbooks))]
		}
		list = append(list, b)
	}
	return list
}

// expected is what the rules say of the beats, decided in one go: each alert that is
// sent and each end of one, in words.
func expected(list []beat) (words []string) {
	for _, a := range asset.All {
		var s alerting.State
		sent := false // the exit alert that is active
		for _, b := range list {
			for _, at := range []time.Time{b.at.Add(-signals.Period), b.at} {
				var events []alerting.Event
				s, events, _ = s.Step(alerting.Period{At: at, Signal: &signals.Signal{Asset: a, AllowedPlaybook: b.plays[a], ExitClusterScore: b.exits[a]}})
				for _, e := range events {
					kind := "firing"
					switch {
					case e.Resolved && !sent, e.Suppressed != "":
						sent = sent && e.Type != alerting.ExitCluster
						continue
					case e.Resolved:
						kind = "resolved"
					case e.Type == alerting.ExitCluster:
						sent = true
					}
					words = append(words, fmt.Sprintf("%s %s %s %s", at.Format(time.RFC3339), a, e.Type, kind))
				}
			}
		}
	}
	slices.Sort(words)
	return words
}

// standingClock stands still ten seconds before a minute: who has it begins no cycle.
// Its anchor is of today: one of long ago would show a later time, however slow it is.
func standingClock() string {
	return time.Now().UTC().Truncate(time.Minute).Add(50*time.Second).Format(time.RFC3339) + ",0.000001"
}

// store writes a beat as the service would have.
func (w *world) store(b beat) {
	w.Helper()
	_, err := w.db.Exec(w.Context(), `INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 24, 24, 0, 72, 72, 100, 100, 100, 100, 2000, m + interval '5 seconds' FROM generate_series($1::timestamptz - interval '1 minute', $1, interval '1 minute') m`, b.at)
	must(w, err)
	for _, at := range []time.Time{b.at.Add(-signals.Period), b.at} {
		_, err := w.db.Exec(w.Context(), "INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, 'computed', $1, 'HEALTHY', '{}')", at)
		must(w, err)
		for _, a := range asset.All {
			_, err := w.db.Exec(w.Context(), "INSERT INTO signals VALUES ($1, $2, 50, 'flat', 30, $3, $4, 'Reduced', false, false, 24, 0, 0, false, NULL, 3)", at, a.String(), b.exits[a], b.plays[a])
			must(w, err)
		}
	}
}

// strike starts the service and kills it after a while; 0 never.
func (w *world) strike(after time.Duration) (kill func()) {
	w.Helper()
	cmd := exec.Command(binary, "--log.format=json", "run")
	cmd.Env, cmd.SysProcAttr = environment(w.environ()), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(w, cmd.Start())
	kill = func() {
		_ = cmd.Process.Kill() // it may have ended, which the rest of the test would show
		_ = cmd.Wait()
	}
	if after > 0 {
		time.Sleep(after)
		kill()
	}
	return kill
}

const (
	allDecided   = "(SELECT count(*) = 6 AND min(last_period) >= (SELECT max(timestamp) FROM signal_cycles) FROM alert_state WHERE asset <> 'SYSTEM' AND last_period IS NOT NULL)"
	allDelivered = "NOT EXISTS (SELECT FROM alert_deliveries WHERE state <> 'delivered')"
)

// TestKilledBetweenSignalAndDelivery kills the service 500 times, at any point between
// the commit of a signal and the delivery of what follows from it. No alert is lost,
// none is meant twice, and what comes twice says that it is the same.
func TestKilledBetweenSignalAndDelivery(t *testing.T) {
	t.Parallel()
	w := &world{TB: t, pg: startPostgres(t)}
	must(t, pgtest.Prepare(t.Context(), w.pg, dbName))
	w.connect()
	w.storesRuns()
	// What is committed is there after a kill; how long a delivery is tried is not the
	// matter here, and the hours between two beats are no time to a receiver.
	_, err := w.db.Exec(t.Context(), "ALTER TABLE alert_deliveries ALTER expires_at SET DEFAULT 'infinity'")
	must(t, err)
	// A slow disk and a slow receiver, so that there is something to hit.
	_, err = w.db.Exec(t.Context(), `
		CREATE FUNCTION slow_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END';
		CREATE TRIGGER slow_disk BEFORE INSERT OR UPDATE ON alert_deliveries FOR EACH ROW EXECUTE FUNCTION slow_disk()`)
	must(t, err)
	mail := newMailbox(t)
	mail.slow = 15 * time.Millisecond
	list := beats(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	// The service's own clock stands still shortly before a minute: it collects
	// nothing, and does at its start what is to be done.
	w.env = []string{
		"DATABASE_URL=" + w.pg.URL(writer, dbName), "WHALEGATE_TEST_CLOCK=" + standingClock(), "WHALEGATE_API_URL=http://127.0.0.1:1", "WHALEGATE_STATS_URL=http://127.0.0.1:1",
		"WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0", "WHALEGATE_RECEIVERS_FILE=" + receiversFile(t, map[string]string{"mail": "webhook+" + mail.URL}),
		"WHALEGATE_TEST_LEAD_FASTER=100", // each start takes over from one that was killed
	}
	// finish starts the service until a condition holds. What it does not manage at its
	// first try (a connection that comes too late on a busy machine) its standing clock
	// never lets it try again: then it is started anew.
	finish := func(what, condition string) (took time.Duration) {
		t.Helper()
		var kill func()
		started := time.Time{}
		await(t, what, func() error {
			if time.Since(started) > 10*time.Second {
				if kill != nil {
					kill()
				}
				kill, started = w.strike(0), time.Now()
			}
			ok, err := value[bool](w, "SELECT "+condition)
			if err == nil && !ok {
				err = errors.New("not yet")
			}
			return err
		})
		kill()
		return time.Since(started)
	}
	var whole time.Duration // from a start to the last delivery, when nobody interferes
	stages := map[string]int{}
	next := 0
	begin := func() {
		t.Helper()
		pgtest.SetClock(t, w.db, list[next].at.Add(30*time.Second).Format(time.RFC3339))
		w.store(list[next])
		next++
	}
	for range 5 {
		begin()
		whole = max(whole, finish("a beat", allDecided+" AND "+allDelivered))
	}
	begin()
	reach := whole // of the kills; follows how busy the machine is
	for n := range kills {
		w.strike(reach/4 + time.Duration(rand.Int64N(int64(reach*3/4)))) // the first quarter is the start of the program
		// A beat is over when it is decided: until then the next start has to do it. What
		// is decided and not delivered the next start has to send, hours later.
		decided := get[int](w, "SELECT count(*) FROM alert_state WHERE last_period = $1", list[next-1].at) == 6
		switch {
		case !decided:
			stages["before the decision"]++
			reach += reach / 20
		case !get[bool](w, "SELECT "+allDelivered):
			stages["before the delivery"]++
		default:
			stages["after it"]++
			reach -= reach / 10
		}
		if decided && n < kills-1 {
			begin()
		}
	}
	finish("the last beat", allDecided)
	pgtest.SetClock(t, w.db, list[next-1].at.Add(time.Hour).Format(time.RFC3339)) // past the lease of what was being sent
	finish("what was left behind", allDelivered)
	t.Logf("kills %v; a start takes up to %s to deliver; %d messages, %d of them came again", stages, whole, len(mail.got()), mail.repeats())
	if stages["before the delivery"] < kills/20 || stages["before the decision"] < kills/20 {
		t.Errorf("the kills did not hit: %v", stages)
	}

	var got []string
	for _, l := range mail.got() {
		at := l.Alerts[0].StartsAt
		if l.Status == "resolved" {
			at = l.Alerts[0].EndsAt
		}
		got = append(got, strings.Join([]string{at.UTC().Format(time.RFC3339), l.Alerts[0].Labels["asset"], l.Alerts[0].Labels["alertname"], l.Status}, " "))
	}
	slices.Sort(got)
	if diff := cmp.Diff(expected(list[:next]), got); diff != "" {
		t.Errorf("lost (-) or doubled (+): %s", diff)
	}
}
