package test

import (
	"testing"

	"github.com/whalegate/whalegate/internal/health"
)

func TestWrongPositionsAreMarkedOrMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	t.Run("collapse", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"collapse","asset":"BTC","share":0.4}`) // of more than half S11 says more
		w.awaitTrue("dirty rows", "EXISTS (SELECT FROM wallet_snapshots WHERE is_dirty)")
		w.awaitTrue("S6", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S6' AND subject = 'BTC')")
		for what, sql := range map[string]string{
			"dirty rows of another minute, asset, size or reason": `SELECT count(*) FROM wallet_snapshots WHERE is_dirty AND (asset <> 'BTC' OR position_szi <> 0
				OR dirty_reason IS DISTINCT FROM 'transient_collapse' OR timestamp <> (SELECT min(timestamp) FROM wallet_snapshots WHERE is_dirty))`,
			"dirty rows whose neighbours are flat": `SELECT count(*) FROM wallet_snapshots d JOIN wallet_snapshots n USING (wallet_id, asset)
				WHERE d.is_dirty AND n.timestamp IN (d.timestamp - interval '1 minute', d.timestamp + interval '1 minute') AND n.position_szi = 0`,
			"anomalies that are not dirty rows": `SELECT count(*) FROM snapshot_anomalies a WHERE NOT EXISTS (SELECT FROM wallet_snapshots s
				WHERE s.timestamp = a.snapshot_ts AND s.wallet_id = a.wallet_id AND s.asset = a.asset AND is_dirty)`,
		} {
			if n := get[int](w, sql); n != 0 {
				t.Errorf("%d %s", n, what)
			}
		}
		dirty := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE is_dirty")
		w.awaitMetric(`whalegate_dirty_rows_total{asset="BTC"}`, float64(dirty))
		w.awaitMetric(`whalegate_qa_failures_total{check_id="S6"}`, 1)
		w.awaitHealth(health.Healthy, "")
	})
	t.Run("stale state", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"stale_time","seconds":110}`)
		w.awaitRun(w.newest(), "status = 'failed' AND failures ? 'stale_state' AND wallet_success_count = 0")
		w.awaitMetric(`whalegate_wallet_failures_total{reason="stale_state"}`, wallets)
		w.fault(`{"kind":"stale_time","seconds":600}`)
		failed := w.awaitRun(w.newest(), "status = 'failed' AND failed_check = 'S9' AND failures ? 'old_state' AND wallet_success_count = 0")
		w.awaitStatus(health.Stale, "run_failed")
		w.clear()
		w.checkRecovery(failed)
	})
	t.Run("null size", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"null_szi","asset":"BTC"}`)
		minute := w.awaitRun(w.newest(), "btc_non_null_pct < 60 AND eth_non_null_pct = 100 AND hype_non_null_pct = 100 AND coverage_pct = 100")
		w.awaitHealth(health.Stale, "null_szi:BTC")
		w.awaitStatus(health.Stale, "null_szi:BTC")
		w.awaitMetric(`whalegate_health_reason{reason="null_szi:BTC"}`, 1)
		w.awaitMetric(`whalegate_qa_failures_total{check_id="S5"}`, 1)
		w.awaitTrue("S5", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S5' AND subject = 'BTC' AND severity = 'critical')")
		if n := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE timestamp = $1 AND position_szi IS NULL AND asset <> 'BTC'", minute); n != 0 {
			t.Errorf("%d rows of other assets are NULL", n)
		}
		if n := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE timestamp = $1 AND position_szi <> 0 AND asset = 'BTC'", minute); n != 0 {
			t.Errorf("%d rows of BTC have a size", n)
		}
		w.clear()
		w.awaitTrue("recovery", "health_state = 'HEALTHY' AND last_success_snapshot_ts > $1 FROM ingest_health", minute)
	})
	w.checkWhole()
	w.checkTruth() // what reads 0 is flat: nothing unknown became 0
}
