package runbook

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

// signalWords are what no metric may be named after: a value once scraped is kept.
var signalWords = []string{"alignment_score", "alignment_trend", "dispersion_index", "exit_cluster_score", "playbook", "risk_mode", "net_szi", "add_exposure", "tighten_stops"}

// lies lists everything that shows what it must not.
func (f *Facts) lies() (rows []string) {
	for _, name := range f.Service.Named {
		if slices.ContainsFunc(signalWords, func(w string) bool { return strings.Contains(name, w) }) {
			rows = append(rows, "a metric holds a signal value: "+name)
		}
	}
	if s := f.Service.Told; s != nil && s.State == health.Stale && s.Signals > 0 {
		rows = append(rows, fmt.Sprintf("the service shows %d signals while it says STALE", s.Signals))
	}
	if f.Stored == nil {
		return rows
	}
	b := f.Stored.Board
	for _, open := range b.Open {
		rows = append(rows, "beside its views "+open.Text)
	}
	state, steady := f.steady()
	if !steady {
		return rows
	}
	if state == health.Stale {
		for _, view := range slices.Sorted(maps.Keys(b.Rows)) {
			if n := b.Rows[view]; n > 0 {
				rows = append(rows, fmt.Sprintf("%s returns %d rows while the state is STALE", view, n))
			}
		}
	}
	if b.HeaderState != "" && rank(health.State(b.HeaderState)) > rank(state) {
		rows = append(rows, fmt.Sprintf("the board's header says %s, the state is %s", b.HeaderState, state))
	}
	if told := f.metricState(); told != "" && !f.Follows() && rank(told) > rank(state) {
		rows = append(rows, fmt.Sprintf("the metrics say %s, the state is %s", told, state))
	}
	return rows
}

// steady is the state, if it was the same before and after everything was asked.
func (f *Facts) steady() (state health.State, ok bool) {
	first, again := f.Stored.Health, f.Stored.Again
	if first == nil || again == nil || first.State != again.State {
		return "", false
	}
	return first.State, true
}

// metricState is the state by the service's metrics, "" when they do not tell.
func (f *Facts) metricState() health.State {
	if f.Service.Apart {
		return ""
	}
	for _, s := range health.States {
		if f.Service.Metrics[fmt.Sprintf(`whalegate_health_state{state=%q}`, s)] == 1 {
			return s
		}
	}
	return ""
}

// rank is 0 for STALE and more for what allows more.
func rank(s health.State) int { return slices.Index(health.States, s) }

func judgeBoardTruth(f Facts) *Finding {
	if f.elsewhere() {
		return nil // it is of another database
	}
	rows := f.lies()
	if len(rows) == 0 {
		if f.Stored != nil && len(f.Stored.Missing) > 0 {
			return nil // what is built on a table that is gone follows from that
		}
		if found := f.tampered(); found != nil {
			return found
		}
		return f.falsified()
	}
	found := boardTruth.found(P1, "something shows what it must not: trust no board")
	found.rows("what is shown", rows)
	if h := f.health(); h != nil {
		found.figure("state by the database", "%s %s", h.State, strings.Join(h.Reasons, ", "))
	}
	found.do("stop using every board, and tell whoever trades", "")
	found.do("close the gate for everybody", `whalegate halt --reason "a board shows what it must not"`)
	found.do("look at the board as a viewer: does the mask hold there?", "whalegate dashboards check --help")
	roles := []string{boardRole}
	if f.Stored != nil && len(f.Stored.Board.Open) > 0 {
		roles = nil
		for _, open := range f.Stored.Board.Open {
			if role, _, _ := strings.Cut(open.Text, " "); !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	if f.Stored != nil {
		found.undo(f.Stored.Board.Open, "take away what opens it, as an administrator")
	}
	for _, role := range roles {
		found.do("lock out who shows it, as an administrator of the database", lockOut(role))
	}
	found.do("put the mask back and give every role its rights again, as the owner of the database; what somebody granted by hand is revoked by hand (page 6); then look again", "whalegate migrate")
	for _, role := range roles {
		found.do("mended? let it in again, as an administrator", `psql "$DATABASE_URL" -c "ALTER ROLE `+role+` LOGIN"`)
	}
	found.do("still shown? stop Grafana, and keep a picture of it for the bug", "sudo systemctl stop grafana-server")
	return found
}

// tampered is the finding for functions and views that somebody has changed: whatever asks
// them, the state and the mask among them, may say anything.
func (f *Facts) tampered() *Finding {
	if f.Stored == nil || len(f.Stored.Tampered) == 0 {
		return nil
	}
	severity := P2
	if slices.ContainsFunc(f.Stored.Tampered, func(c facts.Change) bool {
		return !strings.HasPrefix(c.Text, "ops.") && !strings.HasPrefix(c.Text, "ops_")
	}) {
		severity = P1 // what decides, or what is shown to whoever trades
	}
	found := boardTruth.found(severity, "functions, views or rights of the database are not as this version made them: what they say, or who may read what, cannot be trusted")
	found.rows("not as they were made", texts(f.Stored.Tampered))
	found.do("stop using every board until they are put back, and tell whoever trades", "")
	found.do("put them back, as the owner of the database", "whalegate migrate")
	found.undo(f.Stored.Tampered, "what migrating leaves, because somebody may have meant it: take it away, as its owner")
	found.do("find out who did it: only the owner, and a superuser, can", showOwners)
	return found
}

// undo adds how to take back what somebody did, each once.
func (f *Finding) undo(changes []facts.Change, what string) {
	for _, c := range changes {
		if command := psql(c.Undo); c.Undo != "" && !slices.ContainsFunc(f.Actions, func(a Action) bool { return a.Command == command }) {
			f.do(what, command)
		}
	}
}

func texts(changes []facts.Change) (list []string) {
	for _, c := range changes {
		list = append(list, c.Text)
	}
	return list
}

// auditWords are what the service found to be wrong with what is stored.
var auditWords = map[string]string{
	"edited":         "signals that are not what the stored inputs give: somebody edited them, or the sizes that they stand on",
	"added":          "signals that no computation wrote",
	"deleted":        "signals that were computed and are gone",
	"cycles_deleted": "boundaries whose record is gone",
	"runs_deleted":   "minutes that signals were computed from, and whose runs are gone",
}

// falsified is the finding for stored signals that cannot be reproduced, and for deleted
// records of what they stand on. What is false is worse than what is missing.
func (f *Facts) falsified() *Finding {
	if f.Stored == nil || len(f.Stored.Audit) == 0 {
		return nil
	}
	severity, summary := P2, "something was deleted from what is stored of the newest day: what was decided cannot be told again"
	var rows []string
	first, last := "", ""
	for _, a := range f.Stored.Audit {
		if a.Kind == "edited" || a.Kind == "added" {
			severity, summary = P1, "what is stored as signals is not what was computed: what the boards show of the past is not true, and may not be of the present"
		}
		rows = append(rows, fmt.Sprintf("%d %s: %s to %s, seen %s", a.Count, cmp.Or(auditWords[a.Kind], a.Kind), a.Since, a.Until, duration.Since(f.at().Sub(a.Seen))))
		if first == "" || a.Since < first {
			first = a.Since
		}
		last = max(last, a.Until)
	}
	found := boardTruth.found(severity, "%s", summary)
	found.rows("found by the audit", rows)
	if severity == P1 {
		found.do("close the gate until it is understood", `whalegate halt --reason "stored signals are not what was computed"`)
	}
	audit := "whalegate signals audit"
	if from, err := time.Parse(time.RFC3339, first); err == nil {
		audit += " --from " + stamp(from.Add(-period))
		if to, err := time.Parse(time.RFC3339, last); err == nil {
			audit += " --to " + stamp(to.Add(period))
		}
	}
	found.do("see which they are, and what would be there", audit)
	found.do("find out who can write there, and did: the service itself changes no signal", showWriters)
	found.do("put what is wrong back from a backup, or delete the false rows; it is looked at again within the hour", "")
	return found
}

const showWriters = `psql "$DATABASE_URL" -c "SELECT r.rolname, r.rolsuper, (SELECT max(backend_start) FROM pg_stat_activity a WHERE a.usesysid = r.oid) AS logged_in FROM pg_roles r WHERE r.rolcanlogin AND has_table_privilege(r.oid, 'public.signals', 'UPDATE')"`

const showOwners = `psql "$DATABASE_URL" -c "SELECT rolname, rolsuper, rolcanlogin FROM pg_roles WHERE rolsuper OR pg_has_role(oid, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER')"`

const boardRole = "whalegate_board"

// lockOut holds also when a halt does not: who cannot log in reads nothing.
func lockOut(role string) string {
	return `psql "$DATABASE_URL" -c "ALTER ROLE ` + role + ` NOLOGIN" -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '` + role + `'"`
}

func boardTruthRecovery(f Facts) []Criterion {
	criteria := f.boardCriteria()
	const defined, same = "functions, views and rights are as this version made them", "stored signals are what was computed"
	if why := f.dark(PartDefined); why != "" {
		criteria = append(criteria, unsure(defined, why))
	} else {
		criteria = append(criteria, holds(defined, len(f.Stored.Tampered) == 0, "%d are not", len(f.Stored.Tampered)))
	}
	if why := f.dark(PartAudit); why != "" {
		return append(criteria, unsure(same, why))
	}
	return append(criteria, holds(same, len(f.Stored.Audit) == 0, "%d findings of the audit within the last hour", len(f.Stored.Audit)))
}

// boardCriteria are those of what is shown.
func (f *Facts) boardCriteria() []Criterion {
	const views, agree, metrics = "the board's views return nothing while STALE", "board, metrics and database agree", "no metric holds a signal value, and no role of Grafana may read one"
	lies := f.lies()
	var shown, disagree, open int
	for _, l := range lies {
		switch {
		case strings.Contains(l, "rows while") || strings.Contains(l, "signals while"):
			shown++
		case strings.Contains(l, "the state is"):
			disagree++
		default:
			open++
		}
	}
	if why := f.dark(PartBoard, PartHealth); why != "" {
		return []Criterion{unsure(views, why), unsure(agree, why), unsure(metrics, why)}
	}
	state, steady := f.steady()
	if !steady {
		why := "the state changed while it was looked at"
		return []Criterion{unsure(views, why), unsure(agree, why), holds(metrics, open == 0, "%d", open)}
	}
	rows := 0
	for _, n := range f.Stored.Board.Rows {
		rows += n
	}
	told := string(f.metricState())
	switch {
	case f.Follows():
		told = "not compared: they are of the primary, and this is a standby"
	case f.Service.URL == "" || f.Service.Trouble == Refused:
		told = "none: nobody gives any" // nor can they say anything wrong
	}
	second := holds(agree, disagree == 0, "database %s, board %s, metrics %s", state, f.Stored.Board.HeaderState, told)
	if told == "" {
		second = unsure(agree, "the service's metrics: "+f.Service.Error)
	}
	return []Criterion{
		holds(views, shown == 0, "%s: %d views return %d rows", state, len(f.Stored.Board.Rows), rows),
		second,
		holds(metrics, open == 0, "%d", open),
	}
}
