package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres"
)

// tellFirst and tellAgain are after how long a person is told what a command waits for.
const (
	tellFirst = 3 * time.Second // longer than a job of the leader is waited for
	tellAgain = 10 * time.Second
)

// telling runs what a person asked the database for, and says meanwhile on stderr that it
// is not done and what it waits for: who believes in a halt that only waits for a lock
// looks at an open gate.
func telling[T any](ctx context.Context, db *pgxpool.Pool, program, notYet string, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	wait := time.NewTimer(tellFirst)
	defer wait.Stop()
	for {
		select {
		case r := <-done:
			var answer *pgconn.PgError
			refused := errors.As(r.err, &answer) && answer.Code != pgerrcode.QueryCanceled
			if r.err != nil && !refused && errors.Is(ctx.Err(), context.Canceled) {
				r.err = fmt.Errorf("%s, as far as is known: interrupted before the database had confirmed it; whalegate status says what is in force", notYet)
			}
			return r.value, r.err
		case <-wait.C:
			fmt.Fprintf(os.Stderr, "%s: %s\n", notYet, waitsFor(ctx, db, program))
			wait.Reset(tellAgain)
		}
	}
}

// waitsFor says which sessions a program's own wait for.
func waitsFor(ctx context.Context, db *pgxpool.Pool, program string) string {
	ctx, cancel := context.WithTimeout(ctx, tellFirst)
	defer cancel()
	rows, err := db.Query(ctx, `
		SELECT DISTINCT regexp_replace(format('%s (%s, %s)', b.pid, coalesce(a.usename, '?'), coalesce(nullif(a.application_name, ''), '?')), '[[:cntrl:]]', '?', 'g'), b.pid
		FROM pg_stat_activity w, unnest(pg_blocking_pids(w.pid)) AS b (pid) LEFT JOIN pg_stat_activity a ON a.pid = b.pid
		WHERE w.datname = current_database() AND w.application_name = $1 ORDER BY b.pid`, program)
	var who []string
	var text string
	var pid int
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&text, &pid}, func() error {
			who = append(who, text)
			return nil
		})
	}
	switch {
	case err != nil:
		return "the database does not answer: " + strings.Join(strings.Fields(postgres.Cause(err).Error()), " ")
	case len(who) == 0:
		return "the database is at work on it"
	}
	return fmt.Sprintf("it waits for a lock that session %s holds; to end that: psql \"$DATABASE_URL\" -c \"SELECT pg_terminate_backend(%d)\"", strings.Join(who, ", "), pid)
}
