package outbox

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

// Intent writes who is to be told of an alert.
type Intent struct{ Routes []receiver.Route }

// For makes the intent of a list of receivers.
func For(list []receiver.Receiver) Intent {
	var i Intent
	for _, r := range list {
		i.Routes = append(i.Routes, r.Route)
	}
	return i
}

// Names lists every receiver.
func (i Intent) Names() []string { return i.names(func(receiver.Route) bool { return true }) }

// names of the receivers that want something.
func (i Intent) names(want func(receiver.Route) bool) []string {
	names := []string{}
	for _, r := range i.Routes {
		if want(r) {
			names = append(names, r.Name)
		}
	}
	return names
}

// A message has the same key wherever and whenever it is made: a database that was
// restored or promoted makes what was told already once more, by another collector. An
// alert that fires again at a boundary whose runs were superseded is another one.
const key = `md5(concat_ws(' ', (SELECT min(applied_at) FROM schema_migrations), a.asset, a.alert_type, extract(epoch FROM a.timestamp), (
	SELECT count(*) FROM alerts o WHERE o.superseded AND o.timestamp = a.timestamp AND o.asset = a.asset AND o.alert_type = a.alert_type AND o.id <> a.id), r, `

const insertFiring = `
	INSERT INTO alert_deliveries (alert_id, receiver, kind, idempotency_key)
	SELECT a.id, r, 'firing', ` + key + `'firing'))::uuid FROM alerts a, unnest($2::text[]) r WHERE a.id = $1
	ON CONFLICT (alert_id, receiver, kind) DO NOTHING`

// Fired writes a row for each receiver that wants to hear of the severity.
func (i Intent) Fired(ctx context.Context, tx pgx.Tx, alert int64, severity alerting.Severity) error {
	_, err := tx.Exec(ctx, insertFiring, alert, i.names(func(r receiver.Route) bool { return r.Wants(severity) }))
	return err
}

// Only who was to be told that it fired is told that it has cleared.
const insertResolved = `
	INSERT INTO alert_deliveries (alert_id, receiver, kind, idempotency_key)
	SELECT a.id, r, 'resolved', ` + key + `'resolved'))::uuid FROM alerts a JOIN (SELECT alert_id, receiver AS r, kind FROM alert_deliveries) d ON d.alert_id = a.id
	WHERE a.id = $1 AND d.kind = 'firing' AND r = ANY ($2)
	ON CONFLICT (alert_id, receiver, kind) DO NOTHING`

// Cleared writes a row for each receiver that was to be told and wants to hear of
// the end.
func (i Intent) Cleared(ctx context.Context, tx pgx.Tx, alert int64) error {
	_, err := tx.Exec(ctx, insertResolved, alert, i.names(func(r receiver.Route) bool { return r.SendResolved }))
	return err
}

// What was said while the database could not be asked. A row that waits is not sent
// any more.
const insertSaid = `
	INSERT INTO alert_deliveries (alert_id, receiver, kind, state, attempts, last_attempt_at, delivered_at, idempotency_key)
	SELECT $1, r, 'firing', 'delivered', 1, whalegate_now(), whalegate_now(), k FROM unnest($2::text[], $3::uuid[]) AS said (r, k)
	ON CONFLICT (alert_id, receiver, kind) DO UPDATE
	SET state = 'delivered', delivered_at = excluded.delivered_at, last_error = NULL
	WHERE alert_deliveries.state <> 'delivered'`

// Said records which receivers have been told of an alert already, and as what;
// for the others the rows are written as if it had just fired.
func (i Intent) Said(ctx context.Context, tx pgx.Tx, alert int64, severity alerting.Severity, told map[string]string) error {
	var names, keys []string
	for name, key := range told {
		names, keys = append(names, name), append(keys, key)
	}
	if _, err := tx.Exec(ctx, insertSaid, alert, names, keys); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, insertFiring, alert, i.names(func(r receiver.Route) bool { return r.Wants(severity) && !slices.Contains(names, r.Name) }))
	return err
}
