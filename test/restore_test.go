package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// A database that is restored from ten minutes ago under a running collector: what it
// lacks is written again as far as it is still known, nothing is told twice, nothing is
// recovered in silence, and nobody has to restart anything.
func TestADatabaseRestoredUnderTheCollector(t *testing.T) {
	t.Parallel()
	g := &gameday{}
	g.begin(quietWorld(t))
	defer g.stopReading()
	data := filepath.Dir(g.pg.LogFile())
	must(t, g.pg.Stop())
	backup := filepath.Join(openDir(t), "backup")
	copied := func(from, to string) {
		t.Helper()
		if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v %s", err, out)
		}
	}
	copied(data, backup)
	must(t, g.pg.Restart(t.Context()))
	g.awaitHealth(health.Healthy, "")
	g.restless() // every boundary has something to tell
	before := g.newest()
	g.awaitTrue("ten minutes, and an alert that was told", "(SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND is_clean) >= 10 AND EXISTS (SELECT FROM alert_deliveries WHERE state = 'delivered')", before)
	if r := g.cli("halt", "--reason", "seen by nobody else"); r.code != 0 {
		t.Fatalf("halt: %s", r)
	}
	g.awaitMetric(`whalegate_health_reason{reason="halted"}`, 1)
	g.awaitTrue("the halt to be seen", "'halted' = ANY (reasons) FROM health_transitions ORDER BY id DESC LIMIT 1")
	last, told := g.newest(), len(g.mail.got())

	must(t, g.pg.Kill())
	must(t, os.RemoveAll(data))
	copied(backup, data)
	must(t, g.pg.Restart(t.Context()))
	await(t, "the halt to be in force again", func() error {
		var state string
		var halted bool
		err := g.db.QueryRow(t.Context(), "SELECT health_state, EXISTS (SELECT FROM halts WHERE reason = 'seen by nobody else' AND resumed_at IS NULL) FROM ingest_health").Scan(&state, &halted)
		if err == nil && state == "HEALTHY" {
			t.Fatal("HEALTHY before the halt is back")
		}
		return errors.Join(err, differs(halted, true))
	})
	g.awaitTrue("the failed check", "EXISTS (SELECT FROM qa_events WHERE check_id = 'lost')")
	g.awaitHealth(health.Stale, "halted")
	await(t, "a resume", func() error {
		if r := g.cli("resume", "--cause", "c", "--actions", "a"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	g.awaitHealth(health.Healthy, "")
	if gone := get[string](g.world, "SELECT coalesce(string_agg(m::text, ', '), '') FROM generate_series($1::timestamptz, $2, '1 minute') m WHERE NOT EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = m)", before.Add(time.Minute), last); gone != "" {
		t.Errorf("minutes that the database had taken are not there: %s; of %s to %s", gone, before, last)
	}
	if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND timestamp <= $2 AND is_clean AND rows_written = (SELECT count(*) FROM wallet_snapshots s WHERE s.timestamp = ingest_runs.timestamp)", before, last); n < 8 {
		t.Errorf("%d minutes were written again with their rows", n)
	}
	details := get[string](g.world, "SELECT details::text FROM qa_events WHERE check_id = 'lost' ORDER BY last_ts DESC LIMIT 1")
	if !strings.Contains(details, fmt.Sprintf("%q", last.UTC().Format(time.RFC3339))) {
		t.Errorf("the check does not tell what was lost: %s", details)
	}
	if r := g.cli("runbook", "diagnose"); !strings.Contains(r.stdout, "lost") {
		t.Errorf("diagnose does not name it: %s", r)
	}
	seen := map[string]int{}
	for _, l := range g.mail.got() {
		seen[l.identity()]++
	}
	for identity, times := range seen {
		if times > 1 {
			t.Errorf("told %d times: %s", times, identity)
		}
	}
	if told == 0 {
		t.Error("nothing was told before")
	}

	// A dump that is restored while nobody runs lacks what nobody alive remembers.
	g.service.end(t)
	_, err := g.db.Exec(t.Context(), "UPDATE collector_leader SET place = 'another server'")
	must(t, err)
	g.run()
	g.awaitTrue("a halt", "EXISTS (SELECT FROM halts WHERE resumed_at IS NULL AND halted_by = 'whalegate')")
	g.awaitHealth(health.Stale, "halted")
	if r := g.cli("runbook", "diagnose"); r.code != 2 || !strings.Contains(r.stdout, "restored from a dump") {
		t.Errorf("diagnose does not say why: %s", r)
	}
	await(t, "a resume", func() error {
		if r := g.cli("resume", "--cause", "a restore", "--actions", "the halts of before were looked at"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	g.awaitHealth(health.Healthy, "")
}
