package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

const bytesPerRow = `
	SELECT pg_total_relation_size(c)::double precision / count(*), 100.0 * count(entry_px) / count(*)
	FROM wallet_snapshots, (SELECT to_regclass($1)) AS r (c) WHERE timestamp >= $2 AND timestamp < $2 + interval '1 day' GROUP BY c`

// measureSize commits hours of a moving market minute by minute, as the service
// does; then the same with every position held, which is the most a row takes.
func measureSize(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "size"); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, b.server.URL(server.Superuser, "size"), "bench")
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := openMarket(ctx, 200, someDay)
	if err != nil {
		return err
	}
	defer m.close()
	const hours = 4
	for i, full := range []bool{false, true} {
		day := someDay.AddDate(0, 0, i)
		store := collector.NewStore(pool)
		if err := store.EnsurePartitions(ctx, day, day); err != nil {
			return err
		}
		var recent []collector.Window
		for n := range hours * 60 {
			at := day.Add(time.Duration(n) * time.Minute)
			readings, err := m.at(ctx, at)
			if err != nil {
				return err
			}
			if full {
				hold(readings)
			}
			if _, err := store.Commit(ctx, minuteOf(at, readings, recent...)); err != nil {
				return err
			}
			recent = append(recent, collector.Window{At: at, Readings: readings})
			recent = recent[max(0, len(recent)-2):]
		}
		var bytes, held float64
		if err := pool.QueryRow(ctx, bytesPerRow, "wallet_snapshots_"+day.Format("20060102"), day).Scan(&bytes, &held); err != nil {
			return err
		}
		how := fmt.Sprintf("%d h of 200 wallets, %.0f %% of the positions held", hours, held)
		if full {
			b.note("… with every position held", bytes, " bytes", how)
		} else {
			b.add("a snapshot row with all indexes", 205, bytes, " bytes", how)
		}
	}
	return nil
}

// hold gives every position that is not held the numbers of one that is.
func hold(readings []collector.Reading) {
	for _, a := range asset.All {
		like := hyperliquid.Position{Size: 1_234_567, Known: true, Entry: "86321.5", Liquidation: "101234.5678901234", Leverage: "20", Margin: "53284.213917"}
		for i := range readings {
			if p := &readings[i].Positions[a]; p.Entry == "" {
				*p = like
			} else {
				like = *p
			}
		}
	}
}

// measureRetention drops one of two equal days and deletes the other.
func measureRetention(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "retention"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "retention")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	const fill = `INSERT INTO wallet_snapshots (` + columns + `)
		SELECT m, '0x' || lpad(to_hex(w * 16777259::bigint), 40, '0'), a, w * 12.345 - 1000, 86321.5 + w, 91234.5678, 20, 53284.213917, 1, m
		FROM generate_series($1::timestamptz, $1::timestamptz + interval '1439 min', interval '1 min') m, generate_series(1, 200) w, unnest('{BTC,ETH,HYPE}'::text[]) a`
	days := []time.Time{someDay, someDay.AddDate(0, 0, 1)}
	if _, err := conn.Exec(ctx, "SELECT ensure_snapshot_partitions($1::date, $2::date)", days[0], days[1]); err != nil {
		return err
	}
	for _, day := range days {
		if _, err := conn.Exec(ctx, fill, day); err != nil {
			return err
		}
	}
	second := "wallet_snapshots_" + days[1].Format("20060102")
	if err := execute(ctx, conn, "VACUUM ANALYZE", "CHECKPOINT"); err != nil {
		return err
	}
	var dropMS, deleteMS float64
	dropWAL, err := wal(ctx, conn, func() (err error) {
		dropMS, err = timed(func() error { return dropBefore(ctx, conn, days[1]) })
		return err
	})
	if err != nil {
		return err
	}
	if err := execute(ctx, conn, "CHECKPOINT"); err != nil {
		return err
	}
	deleteWAL, err := wal(ctx, conn, func() (err error) {
		deleteMS, err = timed(func() error { return execute(ctx, conn, "DELETE FROM "+second, "VACUUM "+second) })
		return err
	})
	b.add("retention of a day: WAL", 0.001, dropWAL/deleteWAL, "", fmt.Sprintf("%.0f KiB against %.0f KiB for 864,000 rows, once", dropWAL/1024, deleteWAL/1024))
	b.note("… time", dropMS/deleteMS, "", fmt.Sprintf("%.0f ms against %.0f ms, once", dropMS, deleteMS))
	return err
}

func dropBefore(ctx context.Context, conn *pgx.Conn, before time.Time) error {
	_, err := conn.Exec(ctx, "SELECT drop_snapshot_partitions($1)", before)
	return err
}
