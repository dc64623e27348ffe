package lead

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// Who is who leads and who waits, as the database knows it.
type Who struct {
	Leads         bool       `json:"leads"` // a collector leads as health needs it
	Epoch         *int64     `json:"epoch"` // nil: none ever led
	Host          *string    `json:"host"`
	Process       *int       `json:"process"`         // its process id on its host
	Session       *int       `json:"session"`         // pid of the server's process that holds its lock; nil: the lead was released
	Present       bool       `json:"session_present"` // that session holds the lock
	TakenAt       *time.Time `json:"taken_at"`
	BeatSeconds   *float64   `json:"beat_seconds"`    // age of the last beat, in real seconds
	RunAgeSeconds *float64   `json:"run_age_seconds"` // of its newest good run by its own count; nil: it has none yet
	Waiting       []string   `json:"waiting"`         // host/process of each that waits
}

// Read asks who leads.
func Read(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) (Who, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, "SELECT * FROM collector_who()")
	if err != nil {
		return Who{}, postgres.Because(ctx, "ask who leads", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Who])
	return w, postgres.Because(ctx, "ask who leads", err)
}

// Text says it in one line.
func (w Who) Text() string {
	text := "nobody"
	switch {
	case w.Epoch == nil:
	case w.Present:
		text = fmt.Sprintf("%s/%d since %s (epoch %d)", *w.Host, *w.Process, w.TakenAt.UTC().Format(time.RFC3339), *w.Epoch)
		switch {
		case w.Leads:
		case w.BeatSeconds == nil || *w.BeatSeconds > 30 || *w.BeatSeconds < -5:
			text += ", no recent beat"
		case w.RunAgeSeconds == nil:
			text += ", no good run of its own yet"
		default:
			text += fmt.Sprintf(", no good run for %.0f s", *w.RunAgeSeconds)
		}
	default:
		text = fmt.Sprintf("nobody; the last was %s/%d (epoch %d)", *w.Host, *w.Process, *w.Epoch)
	}
	if len(w.Waiting) > 0 {
		text += "; waiting: " + strings.Join(w.Waiting, ", ")
	}
	return text
}

// rower is what a single row is read by: a pool or a connection.
type rower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// errStandby is why a collector whose address leads to a standby neither leads nor can
// take over.
var errStandby = errors.New("this server is a standby and takes no write: a collector needs the primary (--database-url; with several hosts, target_session_attrs=read-write), or this one's promotion")

// CheckPrimary fails where nobody can lead, because the server is a standby.
func CheckPrimary(ctx context.Context, db rower) error {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var standby bool
	err := db.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby)
	if err == nil && standby {
		return errStandby
	}
	return postgres.Because(ctx, "ask whether this server is a standby", err)
}

// MayLead tells whether the login may take the lead; the error names it if not.
func MayLead(ctx context.Context, db rower) error {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var login string
	var may bool
	err := db.QueryRow(ctx, "SELECT current_user, has_table_privilege('collector_leader', 'UPDATE')").Scan(&login, &may)
	if err == nil && !may {
		return fmt.Errorf("the login %s may not lead: a collector logs in as whalegate_writer, or as a member of the database's owner", login)
	}
	return postgres.Because(ctx, "ask whether this login may lead", err)
}
