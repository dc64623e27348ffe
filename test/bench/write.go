package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

const (
	columns = "timestamp, wallet_id, asset, position_szi, entry_px, liq_px, leverage, margin_used, ingest_run_id, state_time"
	copyIn  = "COPY wallet_snapshots (" + columns + ") FROM STDIN"
	stamp   = "2006-01-02 15:04:05+00"
)

// someDay is where the measurements write; each takes a day of its own.
var someDay = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// writer writes minutes in both ways, each in the next free minute of the day:
// both always append to the same end of the same index.
type writer struct {
	pool     *pgxpool.Pool
	store    *collector.Store
	conn     *pgx.Conn
	next     time.Time
	readings []collector.Reading
	rows     []byte    // the same rows as ready-made text
	stamped  time.Time // the minute that rows carry
}

func newWriter(ctx context.Context, pool *pgxpool.Pool, fence *lead.Fence, conn *pgx.Conn, day time.Time, readings []collector.Reading) (*writer, error) {
	w := &writer{pool: pool, store: collector.NewStore(pool).Behind(fence), conn: conn, next: day, readings: readings, stamped: day}
	if err := w.tick(ctx); err != nil {
		return nil, err
	}
	if err := w.store.EnsurePartitions(ctx, day, day); err != nil {
		return nil, err
	}
	if err := w.commit(ctx); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	sql := fmt.Sprintf(`COPY (SELECT %s FROM wallet_snapshots WHERE timestamp = '%s' ORDER BY wallet_id COLLATE "C", asset) TO STDOUT`, columns, day.Format(stamp))
	_, err := conn.PgConn().CopyTo(ctx, &text, sql)
	w.rows = text.Bytes()
	return w, err
}

func (w *writer) minute() time.Time {
	at := w.next
	w.next = at.Add(time.Minute)
	return at
}

// commit writes the next minute as the leading collector does: behind the fence, and
// admitted by the database's clock, which tick has moved there.
func (w *writer) commit(ctx context.Context) error {
	at := w.minute()
	m := minuteOf(at, w.readings, collector.Window{At: at.Add(-2 * time.Minute), Readings: w.readings}, collector.Window{At: at.Add(-time.Minute), Readings: w.readings})
	m.Backfill = false
	_, err := w.store.Commit(ctx, m)
	return err
}

// tick moves the clock of the store's session into the next minute.
func (w *writer) tick(ctx context.Context) error {
	_, err := w.pool.Exec(ctx, "SELECT set_config('bench.now', $1, false)", w.next.Add(2*time.Second).Format(time.RFC3339))
	return err
}

// single makes a pool of one session, which keeps its clock.
func single(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	pool, err := postgres.Open(ctx, databaseURL, "bench")
	if err != nil {
		return nil, err
	}
	pool.Close()
	config := pool.Config()
	config.MaxConns = 1
	return pgxpool.NewWithConfig(ctx, config)
}

// restamp moves the ready-made text to the next minute; the stamps are of one
// length.
func (w *writer) restamp() *bytes.Reader {
	at := w.minute()
	was, is := []byte(w.stamped.Format(stamp)+"\t0x"), []byte(at.Format(stamp)+"\t0x")
	w.rows, w.stamped = bytes.ReplaceAll(w.rows, was, is), at
	return bytes.NewReader(w.rows)
}

// copy writes in the store's own session: the same COPY in another one, which has just
// answered something else, takes a tenth less.
func (w *writer) copy(ctx context.Context, rows *bytes.Reader) error {
	return w.pool.AcquireFunc(ctx, func(held *pgxpool.Conn) error {
		_, err := held.Conn().PgConn().CopyFrom(ctx, rows, copyIn)
		return err
	})
}

func measureWrite(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "write"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "write")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	pool, err := single(ctx, b.server.URL(server.Superuser, "write"))
	if err != nil {
		return err
	}
	defer pool.Close()
	// The clock is a setting of the session: it has to move with each minute, and a row
	// of a table would cost what no clock does.
	const settable = "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT current_setting('bench.now')::timestamptz$$"
	if err := execute(ctx, conn, settable); err != nil {
		return err
	}
	fence, leaves, err := b.leading(ctx, "write")
	if err != nil {
		return err
	}
	defer leaves()
	m, err := openMarket(ctx, 200, someDay)
	if err != nil {
		return err
	}
	defer m.close()
	readings, err := m.at(ctx, someDay)
	if err != nil {
		return err
	}
	for i, size := range []struct {
		wallets, pairs int
		time           float64
	}{{200, 200, 1.20}, {1000, 100, 1.15}, {50_000, 11, 1.15}} {
		w, err := newWriter(ctx, pool, fence, conn, someDay.AddDate(0, 0, i), many(readings, size.wallets))
		if err != nil {
			return err
		}
		if err := w.measure(ctx, b, size.wallets*3, size.pairs, size.time); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) measure(ctx context.Context, b *bench, rows, n int, aim float64) error {
	if err := execute(ctx, w.conn, "CHECKPOINT"); err != nil {
		return err
	}
	var inTurn pairs // of the log, beside the times
	var checkpoint bool
	log := func(list *[]float64, do func() error) (ms float64, err error) {
		if checkpoint {
			if err := execute(ctx, w.conn, "CHECKPOINT"); err != nil {
				return 0, err
			}
		}
		bytes, err := wal(ctx, w.conn, func() (err error) { ms, err = timed(do); return err })
		*list = append(*list, bytes)
		return ms, err
	}
	commit := func() (float64, error) {
		if err := w.tick(ctx); err != nil {
			return 0, err
		}
		return log(&inTurn.a, func() error { return w.commit(ctx) })
	}
	copied := func() (float64, error) {
		text := w.restamp()
		return log(&inTurn.b, func() error { return w.copy(ctx, text) })
	}
	times, err := alternate(n, commit, copied)
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("write of a cycle, %d rows", rows), aim, times.ratio(), "", fmt.Sprintf("%.1f ms against %.1f ms, %d pairs", median(times.a), median(times.b), n))
	b.add(fmt.Sprintf("WAL of a cycle, %d rows", rows), 1.05, median(inTurn.a)/median(inTurn.b), "", fmt.Sprintf("%.0f KiB against %.0f KiB", median(inTurn.a)/1024, median(inTurn.b)/1024))
	checkpoint, inTurn = true, pairs{}
	if _, err := alternate(5, commit, copied); err != nil {
		return err
	}
	b.note(fmt.Sprintf("… each right after a checkpoint, %d rows", rows), median(inTurn.a)/median(inTurn.b), "", fmt.Sprintf("%.0f KiB against %.0f KiB: whole pages are logged", median(inTurn.a)/1024, median(inTurn.b)/1024))
	return nil
}
