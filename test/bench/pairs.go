package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

func (b *bench) connect(ctx context.Context, role, database string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, b.server.URL(role, database))
}

// median of a list that is not empty.
func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// pairs holds the same work done in two ways, in turn.
type pairs struct{ a, b []float64 }

// ratio is the median of a / b pair by pair: what slows the machine down for a
// while slows both halves of a pair.
func (p *pairs) ratio() float64 {
	ratios := make([]float64, len(p.a))
	for i := range ratios {
		ratios[i] = p.a[i] / p.b[i]
	}
	return median(ratios)
}

// difference is the median of a − b pair by pair.
func (p *pairs) difference() float64 {
	differences := make([]float64, len(p.a))
	for i := range differences {
		differences[i] = p.a[i] - p.b[i]
	}
	return median(differences)
}

// alternate runs n pairs after a few that do not count, and changes who goes
// first from pair to pair.
func alternate(n int, a, b func() (float64, error)) (pairs, error) {
	const warm = 2
	var p pairs
	for i := range n + warm {
		var x, y float64
		var err error
		if i%2 == 0 {
			if x, err = a(); err == nil {
				y, err = b()
			}
		} else {
			if y, err = b(); err == nil {
				x, err = a()
			}
		}
		if err != nil {
			return p, err
		}
		if i >= warm {
			p.a, p.b = append(p.a, x), append(p.b, y)
		}
	}
	return p, nil
}

// timed gives the milliseconds that do takes.
func timed(do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return float64(time.Since(start)) / float64(time.Millisecond), err
}

// wal gives the bytes of write-ahead log that do makes.
func wal(ctx context.Context, conn *pgx.Conn, do func() error) (float64, error) {
	var before string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&before); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	var bytes float64
	err := conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - $1::text::pg_lsn)::double precision", before).Scan(&bytes)
	return bytes, err
}

func execute(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
