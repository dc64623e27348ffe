package postgres_test

import (
	"regexp"
	"testing"
)

// A cursor runs when it is first read, by the snapshot of when it was declared.
func TestD2ACursorDeclaredBeforeAHaltShowsNothingAfterIt(t *testing.T) {
	db, board := newBoard(t)
	for _, view := range decisionViews(t, db) {
		s := newSession(t, board)
		if got := s.ask("BEGIN; DECLARE c CURSOR FOR SELECT * FROM " + view); got != "" {
			t.Fatal(got)
		}
		must(t, db, putHalt)
		if got := s.ask("FETCH ALL FROM c"); got != "" {
			t.Errorf("%s: a cursor shows %q after the halt", view, got)
		}
		must(t, db, "DELETE FROM halts")
	}
}

// The planner knows how often a value stands in a table, and EXPLAIN says what
// it expects: two guesses must not be told apart.
func TestD2EstimatesTellNothingWhileStale(t *testing.T) {
	db, board := newBoard(t)
	must(t, db, `INSERT INTO signals SELECT b, a, 12.5, 'flat', 70, 10, 'No-trade', 'Reduced', false, true, 200, 0, 0, false, NULL, 1
		FROM generate_series(timestamptz '2026-03-01 09:00Z', '2026-03-01 11:50Z', '5 minutes') b, unnest('{HYPE,BTC,ETH}'::text[]) a;
		`+putHalt+`; ANALYZE`)
	figures := regexp.MustCompile(`\(cost=[^)]*\)`)
	for _, tt := range []struct{ view, one, other string }{
		{"board.signals", "allowed_playbook = 'Long-only'", "allowed_playbook = 'No-trade'"},
		{"board.signals", "alignment_score = 77.25", "alignment_score = 12.5"},
		{"board.signals", "alignment_score > 70", "alignment_score > 90"},
		{"board.contributors", "pct_add_long = 61.75", "pct_add_long = 12"},
		{"board.positioning", "long_count = 123", "long_count = 124"},
		{"board.gate", "alignment_score = 77.25", "alignment_score = 12.5"},
		{"board.gate", "dispersion_index = 30", "dispersion_index = 70"},
	} {
		s := newSession(t, board)
		one := figures.FindAllString(s.ask("EXPLAIN SELECT * FROM "+tt.view+" WHERE "+tt.one), -1)
		other := figures.FindAllString(s.ask("EXPLAIN SELECT * FROM "+tt.view+" WHERE "+tt.other), -1)
		if len(one) != len(other) || len(one) == 0 {
			t.Errorf("%s: %s and %s are planned differently", tt.view, tt.one, tt.other)
			continue
		}
		for i := range one {
			if one[i] != other[i] {
				t.Errorf("%s: %s is expected as %s, %s as %s", tt.view, tt.one, one[i], tt.other, other[i])
				break
			}
		}
	}
}
