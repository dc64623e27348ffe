package engine

import (
	"context"
	"math"
	"slices"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
)

// rows lists what is stored, newest first, without how long it took.
func (s *scene) rows() (list []Row) {
	s.Helper()
	err := List(context.Background(), s.db, at(-5000), at(5000), "", math.MaxInt32, func(r Row) error {
		r.ComputationMS = nil
		list = append(list, r)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return list
}

// row is the one of an asset at a boundary.
func (s *scene) row(n int, a asset.Asset) Row {
	s.Helper()
	for _, r := range s.rows() {
		if r.Timestamp.Equal(at(n)) && r.Asset == a.String() {
			return r
		}
	}
	s.Fatalf("there is no row of %s at %s", a, at(n))
	return Row{}
}

// written counts the rows of signals, contributors, positioning and cycles.
func (s *scene) written() string {
	s.Helper()
	return s.list(`SELECT concat_ws(' ', (SELECT count(*) FROM signals), (SELECT count(*) FROM signal_contributors),
		(SELECT count(*) FROM signal_positioning), (SELECT count(*) FROM signal_cycles))`)[0]
}

const (
	nothing  = "0 0 0 0"
	unsigned = "0 0 0 1" // the record of a cycle alone
	complete = "3 3 3 1"
)

// cycles lists what became of the boundaries.
func (s *scene) cycles() []string {
	s.Helper()
	return s.list(`SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), outcome, health_state, reasons::text, skipped::text)
		FROM signal_cycles ORDER BY timestamp`)
}

// wipe forgets what was computed.
func (s *scene) wipe() {
	s.Helper()
	s.clear("signals", "signal_cycles")
}

// sight is an Input in a form that does not depend on the order of the wallets.
type sight struct {
	Snapshots, Rows, Dirty int
	Wallets                map[string]sizes
	Holdings               []asset.Size
}

// sizes of a wallet; NaN where there is none.
type sizes struct{ Current, Previous, Epsilon float64 }

var equalNaNs = cmpopts.EquateNaNs()

func sightOf(m *Memory, a asset.Asset) sight {
	in := m.Input(a)
	found := sight{in.Snapshots, in.Rows, in.Dirty, map[string]sizes{}, slices.Sorted(slices.Values(in.Holdings))}
	for i, w := range m.universe.wallets {
		found.Wallets[w] = sizes{in.Wallets.Current[i], in.Wallets.Previous[i], in.Wallets.Epsilon[i]}
	}
	return found
}

// advance brings a memory to a boundary.
func (s *scene) advance(m *Memory, n int) {
	s.Helper()
	if err := pgx.BeginTxFunc(s.Context(), s.db, snapshotOf, func(tx pgx.Tx) error { return m.Advance(s.Context(), tx, at(n)) }); err != nil {
		s.Fatal(err)
	}
}

// look is what a memory sees when it is brought to a boundary.
func (s *scene) look(m *Memory, n int) map[asset.Asset]sight {
	s.Helper()
	s.advance(m, n)
	found := map[asset.Asset]sight{}
	for _, a := range asset.All {
		found[a] = sightOf(m, a)
	}
	return found
}
