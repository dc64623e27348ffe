package lead

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Read asks who leads.
func Read(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}) (facts.Leader, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, "SELECT * FROM collector_who()")
	if err != nil {
		return facts.Leader{}, postgres.Because(ctx, "ask who leads", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[facts.Leader])
	return w, postgres.Because(ctx, "ask who leads", err)
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
