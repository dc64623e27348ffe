package test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

// standIn plays the leading collector in a database whose runs the test stores
// itself: one session holds the lock, another beats. It resumes after an outage.
func standIn(t testing.TB, pg *server.Server) {
	t.Helper()
	url := pg.URL(writer, dbName)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = leadUntil(ctx, url) // the database is away
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	conn, err := pgx.Connect(t.Context(), pg.URL(server.Superuser, dbName))
	must(t, err)
	defer conn.Close(t.Context())
	await(t, "the stand-in to lead", func() error {
		var leads bool
		err := conn.QueryRow(t.Context(), "SELECT collector_leads()").Scan(&leads)
		if err == nil && !leads {
			err = errors.New("not yet")
		}
		return err
	})
}

// leadUntil leads until ctx ends or a session is lost.
func leadUntil(ctx context.Context, url string) error {
	lock, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer lock.Close(context.Background()) // it may be dead
	for _, sql := range []string{
		"INSERT INTO collector_leader (epoch, holder, pid, host) VALUES (1, gen_random_uuid(), pg_backend_pid(), 'stand-in') ON CONFLICT (one) DO UPDATE SET pid = excluded.pid",
		"BEGIN", "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE",
	} {
		if _, err := lock.Exec(ctx, sql); err != nil {
			return err
		}
	}
	beat, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer beat.Close(context.Background()) // it may be dead
	for {
		if _, err := beat.Exec(ctx, `INSERT INTO collector_beat AS b (epoch, beats, beat_at, run_age_seconds) VALUES (1, 1, beat_now(), 0)
			ON CONFLICT (one) DO UPDATE SET beats = b.beats + 1, beat_at = excluded.beat_at`); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		if err := lock.Ping(ctx); err != nil {
			return err
		}
	}
}

// storesRuns makes every beat report a fresh good run, and every refresh of the
// universe a good one: the test stores both, and the service has no exchange.
func (w *world) storesRuns() {
	w.Helper()
	_, err := w.db.Exec(w.Context(), `
		CREATE FUNCTION fresh_run() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.run_age_seconds := 0; RETURN NEW; END';
		CREATE TRIGGER fresh_run BEFORE INSERT OR UPDATE ON collector_beat FOR EACH ROW EXECUTE FUNCTION fresh_run();
		CREATE FUNCTION good_refresh() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				NEW.as_of_ts := whalegate_now();
				NEW.status := 'success';
				NEW.n_received := NEW.n_requested;
				NEW.error := NULL;
				RETURN NEW;
			END $$;
		CREATE TRIGGER good_refresh BEFORE INSERT ON wallet_universe_runs FOR EACH ROW EXECUTE FUNCTION good_refresh()`)
	must(w, err)
}
