package engine

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/asset"
)

// told is a minute as the collector would commit it.
type told struct {
	n        int
	sizes    []string      // of the first wallets: for all assets or as HYPE|BTC|ETH; "-" is no row, NULL no size, "" what it was
	status   string        // "" is success
	finished time.Duration // after the minute; 0 is 2 s
}

// minute tells one that went well; what is not said of a wallet stays as it was.
func (s *scene) minute(n int, sizes ...string) {
	s.Helper()
	s.tell(told{n: n, sizes: sizes})
}

// minutes tells all from one to another, the sizes being those of each.
func (s *scene) minutes(from, to int, sizes ...string) {
	s.Helper()
	var list []told
	for n := from; n <= to; n++ {
		list = append(list, told{n: n, sizes: sizes})
	}
	s.tell(list...)
}

func (s *scene) tell(list ...told) {
	s.Helper()
	err := s.db.AcquireFunc(context.Background(), func(c *pgxpool.Conn) error { return s.put(c.Conn(), list...) })
	if err != nil {
		s.Fatal(err)
	}
}

// put writes minutes, over what was there of them.
func (s *scene) put(conn *pgx.Conn, list ...told) error {
	var runs, rows bytes.Buffer
	var minutes []time.Time
	for _, m := range list {
		minutes = append(minutes, at(m.n))
		if m.finished == 0 {
			m.finished = 2 * time.Second
		}
		answered, written, known := 0, 0, [asset.Count]int{}
		for i := range s.sizes {
			text := s.sizes[i]
			if i < len(m.sizes) && m.sizes[i] != "" {
				text = m.sizes[i]
			}
			if !strings.Contains(text, "-|") && text != "-" && !strings.Contains(text, "NULL") {
				s.sizes[i] = text
			}
			parts := strings.Split(text, "|")
			before := written
			for a, name := range asset.All {
				size := parts[min(a, len(parts)-1)]
				if size == "-" {
					continue
				}
				written++
				if size == "NULL" {
					size = `\N`
				} else {
					known[a]++
				}
				fmt.Fprintf(&rows, "%s\t%s\t%s\t%s\t1\n", at(m.n).Format(time.RFC3339), wallet(i+1), name, size)
			}
			answered += min(1, written-before)
		}
		pct := func(part, whole int) float64 { return math.Floor(1e4*float64(part)/float64(max(1, whole))) / 100 }
		status, why := "success", `\N`
		if m.status != "" {
			status, why = m.status, "as told"
		}
		fmt.Fprintf(&runs, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t2000\t%s\t%s\n", at(m.n).Format(time.RFC3339), status,
			len(s.sizes), answered, len(s.sizes)-answered, 3*len(s.sizes), written, pct(answered, len(s.sizes)),
			pct(known[0], answered), pct(known[1], answered), pct(known[2], answered), why, at(m.n).Add(m.finished).Format(time.RFC3339Nano))
	}
	ctx := context.Background()
	batch := &pgx.Batch{}
	batch.Queue("DELETE FROM wallet_snapshots WHERE timestamp = ANY ($1)", minutes)
	batch.Queue("DELETE FROM ingest_runs WHERE timestamp = ANY ($1)", minutes)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if _, err := conn.PgConn().CopyFrom(ctx, &runs, `COPY ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected,
		rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error, finished_at) FROM STDIN`); err != nil {
		return err
	}
	_, err := conn.PgConn().CopyFrom(ctx, &rows, "COPY wallet_snapshots (timestamp, wallet_id, asset, position_szi, ingest_run_id) FROM STDIN")
	return err
}

// mark makes the rows of a minute dirty; the reason of the collapse check is
// collapse, that of a hand anything else.
func (s *scene) mark(reason string, n int, wallets ...int) {
	s.Helper()
	s.exec("UPDATE wallet_snapshots SET is_dirty = true, dirty_reason = nullif($1, '') WHERE timestamp = $2 AND wallet_id = ANY ($3)", reason, at(n), ids(wallets))
}

func (s *scene) unmark(n int, wallets ...int) {
	s.Helper()
	s.exec("UPDATE wallet_snapshots SET is_dirty = false, dirty_reason = NULL WHERE timestamp = $1 AND wallet_id = ANY ($2)", at(n), ids(wallets))
}
