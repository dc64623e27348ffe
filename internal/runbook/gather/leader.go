package gather

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/runbook"
)

// readLeader reads who leads, or how the standby that was asked follows.
func readLeader(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	who, err := lead.Read(ctx, conn)
	if err != nil {
		return err
	}
	s.Leader = &who
	var standby bool
	var found runbook.Standby
	var beat, received, led *float64
	var beats *int64
	err = conn.QueryRow(ctx, `
		SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
			(SELECT extract(epoch FROM beat_now() - beat_at) FROM collector_beat)::double precision,
			(SELECT extract(epoch FROM clock_timestamp() - last_msg_receipt_time) FROM pg_stat_wal_receiver)::double precision,
			(SELECT extract(epoch FROM beat_now() - taken_at) FROM collector_leader)::double precision, (SELECT beats FROM collector_beat)`).
		Scan(&standby, &found.Paused, &beat, &received, &led, &beats)
	if led != nil {
		s.Led = *duration.Optional(led)
	}
	if beats != nil {
		s.Beats = *beats
	}
	if err == nil && standby {
		found.Beat, found.Received = duration.Optional(beat), duration.Optional(received)
		s.Standby = &found
	}
	return err
}

// readBeats reads the beats again: whether they moved tells a leader that lives from
// one that froze a moment ago. Where the lead was taken meanwhile, who leads is read
// again, too.
func readBeats(ctx context.Context, conn *pgx.Conn, s *runbook.Stored, c clock.Clock) error {
	var epoch *int64
	err := conn.QueryRow(ctx, "SELECT coalesce((SELECT beats FROM collector_beat), 0), (SELECT epoch FROM collector_leader)").Scan(&s.Later, &epoch)
	if err != nil || epoch == nil || s.Leader == nil || s.Leader.Epoch == nil || *epoch == *s.Leader.Epoch {
		return err
	}
	before := s.Beats
	err = readLeader(ctx, conn, s)
	s.Beats, s.Led = before, c.Elapsed(s.Led)
	return err
}
