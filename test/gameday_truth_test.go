package test

import (
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// disbelieved waits for the first run that a check failed, and for what follows: the
// gate is dark, diagnose says why, and nothing is computed of it.
func (g *gameday) disbelieved(after time.Time, check, subject string) (failed time.Time) {
	g.Helper()
	g.detectedAs(health.Stale, "run_failed")
	failed = g.awaitRun(after, fmt.Sprintf("failed_check = '%s' AND failed_subject = '%s'", check, subject))
	if n := g.open(); n != 0 {
		g.Errorf("%d rows can be read", n)
	}
	g.disbeliefDiagnosed(check, subject)
	g.awaitTrue("the failed check", "EXISTS (SELECT FROM qa_events WHERE check_id = $1 AND severity = 'critical')", check)
	g.awaitExit(2)
	g.blocked(failed, "run_failed")
	return failed
}

// disbeliefDiagnosed is where diagnose is held to name a check: S9 and S12 as runbook 1,
// S10 and S11 as runbook 4.
func (g *gameday) disbeliefDiagnosed(check, subject string) {
	g.Helper()
	slug := "ingestion"
	if check == "S10" || check == "S11" {
		slug = "dirty-spike"
	}
	d := g.awaitDiagnosis(slug, 2)
	f := d.findings[0]
	if d.summary.State != "STALE" || d.summary.Trading != "NO" || len(f.Actions) == 0 || len(f.DoNot) == 0 {
		g.Errorf("%s", d.stdout)
	}
	if word, _, _ := strings.Cut(subject, ":"); !strings.Contains(d.stdout, check) && !strings.Contains(d.stdout, word) {
		g.Errorf("%s %s is not named: %s", check, subject, d.stdout)
	}
	g.played.diagnosed = fmt.Sprintf("%s (%s)", f.Slug, f.Severity)
	if r := g.verify(slug); r.code == 0 {
		g.Errorf("verify holds before the recovery: %s", r)
	}
}

// believed checks what was made of the minutes of a fault, once minutes count again:
// no signal, and no alert but that of the system.
func (g *gameday) believed(failed time.Time) {
	g.Helper()
	good := g.awaitRun(failed, "status <> 'failed'")
	if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp BETWEEN $1 AND $2 AND status <> 'failed'", failed, good.Add(-time.Minute)); n != 0 {
		g.Errorf("%d minutes counted meanwhile", n)
	}
	if n := get[int](g.world, "SELECT count(*) FROM signals WHERE timestamp > $1 AND timestamp <= $2", failed, good); n != 0 {
		g.Errorf("%d signals were computed meanwhile", n)
	}
	if n := get[int](g.world, "SELECT count(*) FROM alerts WHERE alert_type <> 'system_stale' AND timestamp > $1 AND timestamp <= $2", failed, good); n != 0 {
		g.Errorf("%d alerts were made meanwhile", n)
	}
}
