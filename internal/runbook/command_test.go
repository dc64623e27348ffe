package runbook

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/facts"
)

// Whatever somebody has named in the database, in a command it is what it is, and no
// command of its own: a shell hands the statement on as it stands.
func TestNamesOfOthersAreNoCommands(t *testing.T) {
	words := func(t interface{ Fatal(...any) }, command string) []string {
		out, err := exec.Command("sh", "-c", "psql() { for w; do printf '%s\\0' \"$w\"; done; }; whalegate() { psql \"$@\"; }; DATABASE_URL=x; "+command).CombinedOutput()
		if err != nil {
			t.Fatal(command, string(out), err)
		}
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	odd := []string{"$(touch /tmp/x)", "`id`", `"; id; "`, "a'b", `a\b`, "a\nb", "!!", "a b", "*", "~", "x$HOME", ""}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.SampledFrom(odd), rapid.StringMatching("[ -~\n]{0,12}")).Draw(t, "name")
		if got := words(t, psql(`DROP TRIGGER "`+name+`" ON signals`)); !slices.Equal(got, []string{"x", "-c", `DROP TRIGGER "` + name + `" ON signals`}) {
			t.Fatalf("%q", got)
		}
		if got := words(t, "whalegate alerts test --receiver "+word(name)); !slices.Equal(got, []string{"alerts", "test", "--receiver", name}) {
			t.Fatalf("%q", got)
		}
	})

	// And so it is in every finding that names something of others.
	const name = `$(id)"` + "`id`'"
	f := calm()
	f.silent(4)
	f.Stored.Tampered = []facts.Change{{Text: "signals: " + name + " can SELECT", Undo: `REVOKE SELECT ON TABLE signals FROM "` + name + `"`}}
	f.Stored.Hindered = []facts.Change{{Text: "signals: trigger " + name + " was added", Undo: `DROP TRIGGER "` + name + `" ON signals`}}
	f.Stored.Board.Open = []facts.Change{{Text: "whalegate_board may read signals, as a member of " + name, Undo: `REVOKE "` + name + `" FROM whalegate_board`}}
	f.Stored.Prepared = []Prepared{{Name: "'" + strings.ReplaceAll(name, "'", "''") + "'"}}
	f.Stored.Sessions = []Session{{PID: 1, BlockedBy: []int{0}, For: 1e12}}
	f.Stored.Alerts.Failed = 1
	f.Stored.Alerts.Queues = []Queue{{Receiver: name, Failed: 1, Error: "answered 404"}}
	checked := 0
	for _, judge := range []*Finding{f.hindered(P2), f.locked(), judgeAlertSpam(f), judgeBoardTruth(f), f.tampered()} {
		for _, a := range judge.Actions {
			if strings.Contains(a.Command, "$(id)") {
				checked++
				if got := words(t, a.Command); !strings.Contains(strings.ReplaceAll(got[len(got)-1], "''", "'"), name) {
					t.Errorf("%s: %q", a.Command, got)
				}
			}
		}
	}
	if checked != 5 {
		t.Errorf("%d commands name it", checked)
	}
}
