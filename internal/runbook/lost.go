package runbook

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Loss is what a database lacked of what it had taken, when it came back as another
// one.
type Loss struct {
	At           time.Time // when it was noticed
	Minutes      int
	Since, Until string // the first and the last minute
	WrittenAgain int
}

func readLost(ctx context.Context, conn *pgx.Conn, s *Stored) (err error) {
	s.Lost, err = list[Loss](ctx, conn, `
		SELECT last_ts, coalesce((details->>'minutes')::integer, 0), coalesce(details->>'since', ''), coalesce(details->>'until', ''), coalesce((details->>'written_again')::integer, 0)
		FROM qa_events WHERE check_id = 'lost' AND last_ts > whalegate_now() - interval '1 day'
		ORDER BY last_ts DESC LIMIT 5`)
	return err
}

func (l Loss) text() string {
	return fmt.Sprintf("%s: %d minutes from %s to %s; %d were written again, %d are stored as failed", stamp(l.At), l.Minutes, l.Since, l.Until, l.WrittenAgain, l.Minutes-l.WrittenAgain)
}

// lost is the finding for minutes that a database has no longer: for a day
// where something stays lost, and for an hour where all of it was written again.
func (f *Facts) lost() *Finding {
	if len(f.Stored.Lost) == 0 {
		return nil
	}
	l := f.Stored.Lost[0]
	if l.WrittenAgain >= l.Minutes && f.at().Sub(l.At) > time.Hour {
		return nil
	}
	found := database.found(P3, "the database came back without %d minutes that it had taken: a standby was promoted, a backup restored, or somebody deleted rows; %d were written again", l.Minutes, l.WrittenAgain)
	found.do("see whether this is the server that you mean, and since when it runs: if it is, and ran before the first of those minutes, rows were deleted; ask who works in it", whichServer)
	found.do("see what is stored as failed for it", showLost)
	return found
}

const (
	whichServer = `psql "$DATABASE_URL" -c "SELECT inet_server_addr(), inet_server_port(), pg_is_in_recovery(), pg_postmaster_start_time()"`
	showLost    = `psql "$DATABASE_URL" -c "SELECT timestamp, status, finished_at, error FROM ingest_runs WHERE failed_check = 'lost' ORDER BY timestamp DESC LIMIT 20"`
)
