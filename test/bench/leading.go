package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// leading makes a term lead a database as health needs it, with a session that holds
// the lock until leaves is called. Its only beat never ages.
func (b *bench) leading(ctx context.Context, database string) (fence *lead.Fence, leaves func(), err error) {
	conn, err := b.connect(ctx, server.Superuser, database)
	if err != nil {
		return nil, nil, err
	}
	term := lead.Term{Epoch: 1, Holder: uuid.New()}
	fence = &lead.Fence{}
	fence.Set(term)
	err = execute(ctx, conn,
		"CREATE OR REPLACE FUNCTION beat_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '2026-01-01 00:00Z'$$",
		fmt.Sprintf("INSERT INTO collector_leader (epoch, holder, pid) VALUES (1, '%s', pg_backend_pid())", term.Holder),
		"INSERT INTO collector_beat (epoch, beats, beat_at, run_age_seconds) VALUES (1, 1, beat_now(), 0)",
		"BEGIN", "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE")
	if err != nil {
		_ = conn.Close(ctx)
		return nil, nil, err
	}
	return fence, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}
