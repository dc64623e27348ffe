package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// What brings a HEALTHY board into each new state.
const (
	nobodyLeads = "UPDATE collector_leader SET pid = NULL"
	clockBack   = "SELECT refuse_minute('2026-03-01 11:58Z'); SELECT refuse_minute('2026-03-01 11:59Z')"
	clockSkew   = "UPDATE ingest_runs SET finished_at = '2026-03-01 12:01:40Z' WHERE timestamp = '2026-03-01 12:01Z'"
)

// saying makes health give a state and its reasons, whatever is stored.
func saying(state, reasons string) string {
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION ingest_health_at(at timestamptz DEFAULT NULL)
		RETURNS TABLE (health_state text, snapshot_status text, last_success_snapshot_ts timestamptz, snapshot_age_seconds double precision,
			coverage_pct numeric, clean_runs integer, reasons text[])
		LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
		AS $$SELECT '%s'::text, 'success'::text, timestamptz '2026-03-01 12:01Z', 30::double precision, 100::numeric, 2, '%s'::text[]$$`, state, reasons)
}

// A tile of the trading board has room for so much.
const tile = 69

func TestEveryReasonOfHealthHasWords(t *testing.T) {
	db := pgtest.New(t)
	words := func(reason string) (text string) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT reason_words($1)", reason).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	seen := map[string]string{}
	for _, reason := range append(slices.Clone(health.Reasons), "health_unknown") {
		text := words(reason)
		short, _, _ := strings.Cut(text, ":")
		if text == reason || text == strings.ReplaceAll(reason, "_", " ") || seen[text] != "" {
			t.Errorf("%s is worded %q, as is %q", reason, text, seen[text])
		}
		if len(short)+len(" ()")+len(reason) > tile {
			t.Errorf("%s: %q has no room beside its code", reason, short)
		}
		seen[text] = reason
	}
	if text := words("a_later_reason"); text != "a later reason" {
		t.Errorf("a reason that it does not know is worded %q", text)
	}
}

// The header of the trading board has the words of the reason that the runbook is
// about, every code, and of the rest as much as there is room for.
func TestTheHeaderGivesReasonsInWords(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"the clock went back", clockBack, "SYSTEM HALT|the clock went back (clock_back)|7-database"},
		{"a run from the future", clockSkew, "SYSTEM HALT|a clock is wrong (clock_skew)|7-database"},
		{"a standby that lags", saying("STALE", "{replica_lag}"), "SYSTEM HALT|this standby lags (replica_lag)|7-database"},
		{"nobody leads", nobodyLeads, "DEGRADED|no collector leads (no_collector)"},
		{"late, and nobody leads", saying("DEGRADED", "{snapshot_age,no_collector}"), "DEGRADED|the newest good snapshot is too old (snapshot_age, no_collector)"},
		{"a bad run", saying("STALE", "{run_failed,coverage}"), "SYSTEM HALT|the newest run failed (run_failed, coverage)|1-ingestion"},
		{"a halt explains the rest", saying("STALE", "{run_failed,clock_skew,halted}"), "SYSTEM HALT|a halt is in force, a clock is wrong (run_failed, clock_skew, halted)|8-halt"},
		{"a clock explains an age", saying("STALE", "{snapshot_age,clock_back,system_stale}"), "SYSTEM HALT|the clock went back (snapshot_age, clock_back, system_stale)|7-database"},
		{"sizes", saying("DEGRADED", "{null_szi:HYPE,null_szi:BTC}"), "DEGRADED|too many sizes of HYPE cannot be read (null_szi:HYPE,BTC)"},
		{"no room for words", saying("STALE", "{run_failed,coverage,null_szi:HYPE,null_szi:BTC,null_szi:ETH,system_stale,halted}"),
			"SYSTEM HALT|run_failed, coverage, null_szi:HYPE,BTC,ETH, system_stale, halted|8-halt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, board := newBoard(t)
			must(t, db, tt.sql)
			s := newSession(t, board)
			if got := s.ask("SELECT string_agg(value, '|' ORDER BY place) FROM board.header_lines WHERE label IN ('State', 'Why', 'Reasons', 'Runbook')"); got != tt.want {
				t.Errorf("the header says %q, want %q", got, tt.want)
			}
			if got := s.ask("SELECT max(length(value)) FROM board.header_lines"); len(got) > 2 || got > fmt.Sprint(tile) {
				t.Errorf("a line has %s characters", got)
			}
			if dark, shown := strings.HasPrefix(tt.want, "SYSTEM HALT"), s.ask("SELECT count(*) FROM board.gate"); dark != (shown == "0") {
				t.Errorf("%s assets are shown", shown)
			}
		})
	}
}

// linesOf is what a view of lines says, from its symptom on.
func linesOf(t *testing.T, s *session, view string) map[string]string {
	t.Helper()
	lines := map[string]string{}
	for line := range strings.Lines(s.ask("SELECT label, value FROM ops." + view + " ORDER BY place")) {
		label, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "|")
		lines[label] = value
	}
	return lines
}

// checkLines holds some lines of a view against what is wanted.
func checkLines(t *testing.T, s *session, view string, want map[string]string) {
	t.Helper()
	got := linesOf(t, s, view)
	for label, value := range want {
		if got[label] != value {
			t.Errorf("%s: %s is %q, want %q", view, label, got[label], value)
		}
	}
}

func TestTheOperatorsSeeWhoLeads(t *testing.T) {
	for _, tt := range []struct {
		name, sql string
		want      map[string]string
		crash     string // the symptom of runbook 9
	}{
		{"all is well", "", map[string]string{"Symptom": "ok", "Leads": "test/0", "Since (UTC)": "2026-01-01 00:00:00", "Epoch": "1", "Last beat": "0 s ago", "Its newest good run": "0 s before the beat", "Waiting": "none"}, "ok"},
		{"nobody ever led", "DELETE FROM collector_leader; DELETE FROM collector_beat", map[string]string{"Symptom": "nobody leads", "Leads": "none so far", "Epoch": "none", "Last beat": "none"}, "nobody leads"},
		{"the lead was released", nobodyLeads, map[string]string{"Symptom": "nobody leads", "Leads": "none; the last was test/0"}, "nobody leads"},
		{"another session is named", "UPDATE collector_leader SET pid = 1", map[string]string{"Symptom": "nobody leads"}, "nobody leads"},
		{"an old beat", "UPDATE collector_beat SET beat_at = beat_now() - interval '31 seconds'", map[string]string{"Symptom": "no recent beat", "Leads": "test/0", "Last beat": "31 s ago"}, "no recent beat"},
		{"a beat from the future", "UPDATE collector_beat SET beat_at = beat_now() + interval '6 seconds'", map[string]string{"Symptom": "no recent beat", "Last beat": "6 s ahead"}, "no recent beat"},
		{"a beat of the epoch before", "UPDATE collector_leader SET epoch = 2", map[string]string{"Symptom": "no recent beat"}, "no recent beat"},
		{"no good run of its own yet", "UPDATE collector_beat SET run_age_seconds = NULL", map[string]string{"Symptom": "no good run yet", "Its newest good run": "none yet"}, "ok"},
		{"no good run for long", "UPDATE collector_beat SET run_age_seconds = 181", map[string]string{"Symptom": "no good run", "Its newest good run": "3 min before the beat"}, "ok"},
		{"its minutes are refused", clockBack + "; UPDATE collector_beat SET run_age_seconds = 181", map[string]string{"Symptom": "clock refused"}, "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, ops := newOps(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			s := newSession(t, ops)
			checkLines(t, s, "collector", tt.want)
			if got := linesOf(t, s, "crash")["Symptom"]; got != tt.crash {
				t.Errorf("runbook 9 says %q, want %q", got, tt.crash)
			}
			if degraded := s.ask("SELECT health_state = 'DEGRADED' AND 'no_collector' = ANY (reasons) FROM ops.health"); tt.want["Symptom"] != "clock refused" && (degraded == "t") == (tt.want["Symptom"] == "ok") {
				t.Errorf("health says %q", s.ask("SELECT health_state, reasons FROM ops.health"))
			}
			checkSilent(t, s, tt.name)
		})
	}
}

// Those that wait are named, and only a role that could lead can wait.
func TestTheOperatorsSeeWhoWaits(t *testing.T) {
	db, ops := newOps(t)
	as := func(pool *pgxpool.Pool, program string) {
		t.Helper()
		config := pool.Config().ConnConfig.Copy()
		config.RuntimeParams["application_name"] = program
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	as(db, "whalegate waits north/17")
	as(pgtest.As(t, db, "whalegate_writer"), "whalegate waits south/18")
	as(ops, "whalegate waits nowhere/19")
	as(db, "whalegate beats test/0")
	checkLines(t, newSession(t, ops), "collector", map[string]string{"Symptom": "ok", "Waiting": "north/17, south/18"})
}

func TestTheOperatorsSeeTheClock(t *testing.T) {
	for _, tt := range []struct {
		name, sql string
		want      map[string]string
		database  string // the symptom of runbook 7
	}{
		{"all is well", "", map[string]string{"Symptom": "ok", "Clock (UTC)": "2026-03-01 12:01:30", "Newest run": "not ahead of it", "Refused minutes": "none", "Last settled": "none", "This server": "primary"}, "ok"},
		{"minutes are refused", clockBack, map[string]string{"Symptom": "CLOCK BACK", "Refused minutes": "2, 03-01 11:58 to 03-01 11:59", "Refused since": "2026-03-01 12:01:30", "Stored up to": "2026-03-01 12:01"}, "CLOCK BACK"},
		{"a run from the future", clockSkew, map[string]string{"Symptom": "CLOCK SKEW", "Newest run": "10 s ahead of it", "Refused minutes": "none"}, "CLOCK SKEW"},
		{"both", clockBack + ";" + clockSkew, map[string]string{"Symptom": "CLOCK BACK", "Newest run": "10 s ahead of it"}, "CLOCK BACK"},
		{"accepted by somebody", clockBack + "; SELECT accept_clock('ann', 'as the time server says')",
			map[string]string{"Symptom": "ok", "Newest run": "none", "Refused minutes": "none", "Last settled": "2026-03-01 12:01 by ann", "Given reason": "as the time server says", "Superseded by it": "2 runs", "Superseded in all": "2 runs of a week"}, "ok"},
		{"settled, and then again", clockBack + "; SELECT accept_clock('ann', 'first'); UPDATE ingest_runs SET superseded = false; SELECT refuse_minute('2026-03-01 12:00Z')",
			map[string]string{"Symptom": "CLOCK BACK", "Refused minutes": "1, 03-01 12:00 to 03-01 12:00", "Last settled": "2026-03-01 12:01 by ann"}, "CLOCK BACK"},
		{"a standby that lags", saying("STALE", "{replica_lag}"), map[string]string{"Symptom": "replica lag"}, "replica lag"},
		{"health cannot be told", clockBack + "; ALTER FUNCTION ingest_health_at(timestamptz) RENAME TO gone", map[string]string{"Symptom": "unknown", "Refused minutes": "2, 03-01 11:58 to 03-01 11:59"}, "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, ops := newOps(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			s := newSession(t, ops)
			checkLines(t, s, "clock", tt.want)
			if got := linesOf(t, s, "database")["Symptom"]; got != tt.database {
				t.Errorf("runbook 7 says %q, want %q", got, tt.database)
			}
			checkSilent(t, s, tt.name)
		})
	}
}

func TestTheOperatorsReadEveryReasonInWords(t *testing.T) {
	db, ops := newOps(t)
	s := newSession(t, ops)
	checkLines(t, s, "header_lines", map[string]string{"Reasons": "none", "In words": "nothing is wrong"})
	must(t, db, clockBack+";"+clockSkew+";"+putHalt)
	checkLines(t, s, "header_lines", map[string]string{"State": "STALE", "Reasons": "clock_skew, clock_back, halted",
		"In words": "a clock is wrong: a stored run is later than the database's clock; the clock went back: minutes it has shown before are refused; a halt is in force"})
}

// The session that holds the leader's lock is no open transaction. Any other one is,
// also one that holds such a lock and is not named.
func TestTheLeadersSessionIsNoOpenTransaction(t *testing.T) {
	db, ops := newOps(t)
	s := newSession(t, ops)
	if got := s.ask("SELECT role, sessions, longest_transaction_seconds FROM ops.connections WHERE state = 'holds the lead'"); got != "postgres|1|NULL" {
		t.Errorf("the leader's session is %q", got)
	}
	if got := s.ask("SELECT count(*) FROM pg_stat_activity a JOIN public.ops_sessions() USING (pid) WHERE transaction_seconds IS NOT NULL"); got != "0" {
		t.Errorf("%s open transactions", got)
	}
	checkLines(t, s, "database", map[string]string{"Symptom": "ok", "Transaction": "none"})

	idle := newSession(t, db)
	if got := idle.ask("BEGIN; SELECT count(*) FROM halts"); got != "1" {
		t.Fatal(got)
	}
	if got := s.ask("SELECT sessions, longest_transaction_seconds >= 0 FROM ops.connections WHERE state = 'idle in transaction'"); got != "1|t" {
		t.Errorf("an open transaction is told as %q", got)
	}
	if got := linesOf(t, s, "database")["Transaction"]; !strings.HasSuffix(got, " s") {
		t.Errorf("the longest transaction is %q", got)
	}
	must(t, db, nobodyLeads) // its session still holds the lock, and is nobody's
	if got := s.ask("SELECT sessions FROM ops.connections WHERE state = 'idle in transaction'"); got != "2" {
		t.Errorf("%s open transactions, want also the session that is not named", got)
	}
	if got := s.ask("SELECT count(*) FROM ops.connections WHERE state = 'holds the lead'"); got != "0" {
		t.Error("a session that is not named holds the lead")
	}
}

// A superseded run is shown in the list of runs, and counts nowhere.
func TestSupersededRunsCountNowhere(t *testing.T) {
	db, ops := newOps(t)
	s := newSession(t, ops)
	const counted = `SELECT string_agg(v, '; ') FROM (
		SELECT string_agg(from_ts || status, ',' ORDER BY from_ts) FROM ops.run_spans
		UNION ALL SELECT string_agg(timestamp || reason, ',') FROM ops.run_failures
		UNION ALL SELECT string_agg(timestamp || ' ' || rows || ' ' || btc_rows, ',' ORDER BY timestamp) FROM ops.dirty_minutes
		UNION ALL SELECT string_agg(value, ',' ORDER BY place) FROM ops.ingestion
		UNION ALL SELECT string_agg(value, ',' ORDER BY place) FROM ops.crash
		UNION ALL SELECT string_agg(value, ',' ORDER BY place) FROM ops.dirty_spike
		UNION ALL SELECT string_agg(hour || ' ' || btc_pct, ',') FROM ops.dirty_hours
		UNION ALL SELECT string_agg(rule || figure, ',') FROM ops.alert_rules
	) x (v)`
	before := s.ask(counted)
	must(t, db, `SELECT ensure_snapshot_partitions('2026-03-01', '2026-03-02');
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct, hype_non_null_pct,
			btc_non_null_pct, eth_non_null_pct, failures, duration_ms, error, finished_at, failed_check, failed_subject, superseded)
		SELECT m, 'failed', 200, 100, 100, 600, 300, 50, 100, 100, 100, '{"timeout": 100}', 5000, 'S3: why', m + interval '9 seconds', 'S3', '0x1234567890123456789012345678901234567890', true
		FROM unnest('{2026-03-01 11:30Z,2026-03-01 12:45Z}'::timestamptz[]) m;
		INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, is_dirty, ingest_run_id)
		SELECT timestamp, 'w' || n, 'BTC', 1, true, run_id FROM ingest_runs, generate_series(1, 30) n WHERE superseded;
		INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, superseded)
		VALUES ('2026-03-01 11:55Z', 'BTC', 'exit_cluster', 'high', 'm', '{"is_degraded": false}', 'HEALTHY', true)`)
	if after := s.ask(counted); after != before {
		t.Errorf("with superseded runs:\n%s\nwithout:\n%s", after, before)
	}
	if got := s.ask("SELECT count(*), max(failed_check), max(failed_subject) FROM ops.runs WHERE superseded"); got != "2|S3|0x…" {
		t.Errorf("the superseded runs are %q", got)
	}
	// Without the mark they would count.
	must(t, db, "UPDATE ingest_runs SET superseded = false; UPDATE alerts SET superseded = false")
	if after := s.ask(counted); after == before {
		t.Error("they count nowhere without the mark either: this checks nothing")
	}
}
