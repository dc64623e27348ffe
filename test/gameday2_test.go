package test

import (
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/runbook"
)

// universeDays are the game days of runbook 2. Nothing of it changes the state of
// health: the snapshots go on with the last good universe.
var universeDays = []day{
	{2, "leaderboard 500", badLeaderboard(`{"kind":"status","code":500,"endpoint":"leaderboard"}`, "server_error", "500 ")},
	{2, "leaderboard empty", badLeaderboard(`{"kind":"leaderboard","variant":"empty"}`, "U1", "200 ")},
	{2, "leaderboard truncated", badLeaderboard(`{"kind":"leaderboard","variant":"truncated"}`, "malformed", "200 ")},
	{2, "leaderboard duplicated", badLeaderboard(`{"kind":"leaderboard","variant":"duplicated"}`, "U4", "200 ")},
	{2, "leaderboard non-JSON", badLeaderboard(`{"kind":"leaderboard","variant":"non_json"}`, "malformed", "html")},
	{2, "leaderboard without a profit", badLeaderboard(`{"kind":"leaderboard","variant":"no_pnl"}`, "U6", "200 ")},
	{2, "churn over 30 % three times", func(g *gameday) {
		before := g.members()
		// To and fro: others than at the refresh before, each time.
		churn := func() { g.fault(`{"kind":"churn","share":0.25,"top":%d}`, wallets) }
		g.inject(func() {
			churn()
			g.refreshes("")
		})
		g.detected("a warning", func() error {
			return differs(get[int](g.world, "SELECT churn_warning_count FROM wallet_universe_runs ORDER BY as_of_ts DESC LIMIT 1"), 1)
		})
		g.awaitTrue("U5", "EXISTS (SELECT FROM qa_events WHERE check_id = 'U5' AND severity = 'warning')")
		if d := g.diagnosed(1); d.findings[0].Severity != "P3" || !strings.Contains(d.findings[0].Summary, "churn") {
			g.Errorf("the first time: %+v", d.findings[0])
		}
		g.clear()
		g.refreshes("")
		churn()
		g.refreshes("U5")
		if diff := cmp.Diff(before, g.members()); diff != "" {
			g.Errorf("the third was not refused: %s", diff)
		}
		d := g.diagnosed(1)
		if d.findings[0].Severity != "P2" || !strings.Contains(d.findings[0].Summary, "3 times") {
			g.Errorf("the third time: %+v", d.findings[0])
		}
		if slices.ContainsFunc(d.findings[0].Actions, func(a runbook.Action) bool { return strings.Contains(a.Command, "universe refresh") }) {
			g.Errorf("it tells to force a refresh: %+v", d.findings[0].Actions)
		}
		if out := g.act(d.findings[0], "whalegate universe diff"); out == "" {
			g.Error("universe diff tells nothing")
		}
		// It stays so, and the next is refused as well: somebody has to decide.
		g.refreshes("U5")
		if r := g.verify("universe"); r.code != 1 {
			g.Errorf("verify after the fourth: %s", r)
		}
		g.repair(func() {
			_, err := g.db.Exec(g.Context(), "DELETE FROM wallet_universe_current")
			must(g, err)
			g.refreshes("") // by somebody's decision, as docs/ingestion.md tells; the finding tells to wait
		})
		g.awaitRun(g.clock.Now(), "status = 'success' AND wallet_fail_count = 0") // the accounts of the newcomers are known
		g.recovered()
		if diff := cmp.Diff(before, g.members()); diff == "" {
			g.Error("the universe is the old one")
		}
		g.checkTruth()
	}},
}

// badLeaderboard is a day on which the leaderboard cannot be taken; why is what is
// stored of it, and shown what a look at it shows.
func badLeaderboard(fault, why, shown string) func(*gameday) {
	return func(g *gameday) {
		members, start := g.members(), g.newest()
		g.inject(func() {
			g.fault("%s", fault)
			g.refreshes(why)
		})
		g.detected("a failed refresh", func() error {
			return differs(get[string](g.world, "SELECT status FROM wallet_universe_runs ORDER BY as_of_ts DESC LIMIT 1"), "failed")
		})
		d := g.diagnosed(1)
		if d.findings[0].Severity != "P3" || !strings.Contains(d.stdout, why) {
			g.Errorf("%s is not told: %s", why, d.stdout)
		}
		if out := g.act(d.findings[0], "curl"); !strings.Contains(out, shown) {
			g.Errorf("the leaderboard shows %q", out)
		}
		if strings.HasPrefix(why, "U") {
			g.awaitTrue(why, "EXISTS (SELECT FROM qa_events WHERE check_id = $1)", why)
		}
		if diff := cmp.Diff(members, g.members()); diff != "" {
			g.Errorf("the universe changed: %s", diff)
		}
		// Snapshots and signals go on with the last good one.
		minute := g.awaitRun(start, "status = 'success' AND wallets_expected = 24")
		g.awaitCycle(minute, "computed")
		g.repair(g.clear)
		if r := g.verify("universe"); r.code != 1 {
			g.Errorf("verify before a good refresh: %s", r)
		}
		g.act(d.findings[0], "whalegate universe refresh")
		g.recovered()
		g.checkTruth()
	}
}

// refreshes asks for the universe, which fails for a reason; "" for a success.
func (g *gameday) refreshes(why string) {
	g.Helper()
	r := g.cli("--log.level=error", "universe", "refresh")
	if ok := r.code == 0; ok != (why == "") || !strings.Contains(r.stderr, why) {
		g.Errorf("universe refresh, which is to fail for %q: %s", why, r)
	}
}
