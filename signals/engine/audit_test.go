package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// quarter is a scene of four computed boundaries, 12:00 to 12:15.
func quarter(t testing.TB) *scene {
	t.Helper()
	s := stage(t, 20)
	s.minutes(-9, 15)
	s.live(Now, 0, 15)
	return s
}

// Every kind of tampering is reported with its column, and nothing else is.
func TestAuditReportsEachKindOfTampering(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	tables := []string{"signals", "signal_contributors", "signal_positioning"}
	for _, table := range tables {
		s.exec("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table)
	}
	const row = " WHERE timestamp = '2026-03-01 12:15Z' AND asset = 'BTC'"
	for _, tt := range []struct {
		sql  string
		want string
	}{
		{"UPDATE signals SET alignment_score = 50.00000000000001", "alignment_score 50.00000000000001 50"},
		{"UPDATE signals SET alignment_trend = 'rising'", "alignment_trend rising flat"},
		{"UPDATE signals SET dispersion_index = 1e-300", "dispersion_index 1e-300 0"},
		{"UPDATE signals SET exit_cluster_score = 7", "exit_cluster_score 7 0"},
		{"UPDATE signals SET allowed_playbook = 'Long-only'", "allowed_playbook Long-only No-trade"},
		{"UPDATE signals SET risk_mode = 'Normal'", "risk_mode Normal Defensive"},
		{"UPDATE signals SET add_exposure = true", "add_exposure true false"},
		{"UPDATE signals SET tighten_stops = true", "tighten_stops true false"},
		{"UPDATE signals SET wallet_count = 21", "wallet_count 21 20"},
		{"UPDATE signals SET missing_count = 1", "missing_count 1 0"},
		{"UPDATE signals SET dirty_count = 1", "dirty_count 1 0"},
		{"UPDATE signals SET computation_ms = 1e6", ""}, // how long it took is nobody's input
		{"UPDATE signal_contributors SET pct_flat = 99", "signal_contributors"},
		{"UPDATE signal_contributors SET count_flat = 19, count_reducers = 1", "signal_contributors"},
		{"UPDATE signal_positioning SET net_szi = net_szi + 0.00001", "signal_positioning"},
		{"UPDATE signal_positioning SET long_count = 19, short_count = 1", "signal_positioning"},
		{"UPDATE signal_positioning SET top10_share_pct = 51", "signal_positioning"},
		{"DELETE FROM signal_contributors", "signal_contributors none"},
		{"DELETE FROM signal_positioning", "signal_positioning none"},
		{"DELETE FROM signals", "(row) none No-trade / Defensive"},
	} {
		t.Run(tt.sql, func(t *testing.T) {
			s.clear("signals")
			for _, table := range tables {
				s.exec("INSERT INTO " + table + " SELECT * FROM kept_" + table)
			}
			same(t, "audit before", s.audit())
			s.exec(tt.sql + row)
			var got []string
			err := Audit(t.Context(), s.db, at(0), at(15), func(a Audited) error {
				for _, d := range a.Differences {
					if !d.Timestamp.Equal(at(15)) || d.Asset != "BTC" || d.Stored == d.Computed {
						t.Errorf("%+v", d)
					}
					text := fmt.Sprint(d.Column, " ", d.Stored, " ", d.Computed)
					got = append(got, text[:min(len(text), len(tt.want))])
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				same(t, "differences", got)
			} else {
				same(t, "differences", got, tt.want)
			}
		})
	}
}

// is_degraded and its reason cannot be told apart: a constraint ties them.
func TestAuditReportsAReasonThatIsNone(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	s.exec("UPDATE signals SET is_degraded = true, degraded_reason = 'few_snapshots' WHERE timestamp = $1 AND asset = 'ETH'", at(15))
	same(t, "audit", s.audit(), "12:15 ETH is_degraded", "12:15 ETH degraded_reason")
}

// A row that was never computed is found where the cycle says that there is
// none, where there was no cycle at all, and where health forbade it.
func TestAuditReportsInventedRows(t *testing.T) {
	t.Parallel()
	invent := func(s *scene, n int, names ...string) {
		s.exec(`INSERT INTO signals (timestamp, asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode, add_exposure,
				tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, computation_ms)
			SELECT $1, unnest($2::text[]), 90, 'rising', 10, 0, 'Long-only', 'Normal', true, false, 20, 0, 0, false, 1`, at(n), names)
	}
	s := quarter(t)
	s.exec("DELETE FROM ingest_runs WHERE timestamp IN ($1, $2)", at(3), at(4)) // 12:05 stands on the rest
	s.minutes(16, 20)
	s.exec("DELETE FROM wallet_snapshots WHERE asset = 'BTC' AND timestamp IN ($1, $2)", at(17), at(18))
	s.live(Now, 20, 20)
	invent(s, 20, "BTC")
	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES ($1, 'op', 'why')", at(21))
	s.minutes(21, 25)
	s.live(Now, 25, 25)
	invent(s, 25, "ETH")   // blocked
	invent(s, 240, "HYPE") // long after the last run
	var rows []string
	err := Audit(t.Context(), s.db, at(20), at(500), func(a Audited) error {
		for _, d := range a.Differences {
			rows = append(rows, fmt.Sprint(d.Timestamp.Format("15:04"), " ", d.Asset, " ", d.Column, " ", d.Stored, ", ", d.Computed))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rows", rows, "12:20 BTC (row) Long-only / Normal, none", "12:25 ETH (row) Long-only / Normal, none", "16:00 HYPE (row) Long-only / Normal, none")

	// Where there are rows and no record of their cycle, health is as it stood.
	s.exec("DELETE FROM signal_cycles WHERE timestamp = $1", at(15))
	s.exec("DELETE FROM signals WHERE timestamp = $1 AND asset = 'HYPE'", at(10))
	var audited []string
	err = Audit(t.Context(), s.db, at(10), at(15), func(a Audited) error {
		audited = append(audited, fmt.Sprint(a.Boundary.Format("15:04"), " ", a.Rows, " rows, ", len(a.Differences), " differences"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "audited", audited, "12:10 2 rows, 1 differences", "12:15 3 rows, 0 differences")
}

// The audit covers what it is asked for, and hands on what its visitor says.
func TestAuditCoversItsRange(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	for _, tt := range []struct {
		from, to time.Time
		want     []string
	}{
		{at(0), at(15), []string{"12:00", "12:05", "12:10", "12:15"}},
		{at(5), at(10), []string{"12:05", "12:10"}},
		{at(5).Add(time.Nanosecond * 1000), at(14), []string{"12:10"}},
		{at(16), at(600), nil},
	} {
		var got []string
		if err := Audit(t.Context(), s.db, tt.from, tt.to, func(a Audited) error { got = append(got, a.Boundary.Format("15:04")); return nil }); err != nil {
			t.Fatal(err)
		}
		same(t, fmt.Sprint(tt.from, " to ", tt.to), got, tt.want...)
	}
	errEnough := errors.New("enough")
	if err := Audit(t.Context(), s.db, at(0), at(15), func(Audited) error { return errEnough }); !errors.Is(err, errEnough) {
		t.Errorf("%v", err)
	}
}
