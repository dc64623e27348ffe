package collector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector/plausible"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
)

const (
	baselineFor = 24 * time.Hour   // how far a wallet's newest good size may lie before the newest good minute
	gradualFor  = 10 * time.Minute // what happens to everybody within that is noticed
)

// baseline is what the sizes of a minute are held against (S11): what each wallet held
// last in a good minute, and the good minutes of the last ten. It is read from the
// database at first, and follows what is committed.
type baseline struct {
	newest  map[string]*lastHeld // by wallet; nil of one whose size nobody knows
	at      time.Time            // the newest good minute
	minutes []levelAt            // the good minutes of the last ten, oldest first
	since   [asset.Count]time.Time
	open    [asset.Count]*openFailure
	seen    string // which failures are open and which were accepted, as the database had it
}

// lastHeld is a wallet's newest good size in each asset, and of which minute it is.
type lastHeld struct {
	size [asset.Count]asset.Size
	at   [asset.Count]time.Time // zero: never read
}

type levelAt struct {
	at    time.Time
	level plausible.Level
}

// openFailure is a failure of S11 that lasts: the sizes of before are what counts.
type openFailure struct {
	id      int64
	subject string
	factor  float64 // by which sizes were rescaled; 0: they were not
	before  map[string]asset.Size
}

// add takes a good minute.
func (b *baseline) add(minute time.Time, readings []Reading) {
	for i := range readings {
		r := &readings[i]
		last := b.newest[r.Wallet]
		if last == nil {
			last = &lastHeld{}
			b.newest[r.Wallet] = last
		}
		for a, p := range r.Positions {
			if p.Known {
				last.size[a], last.at[a] = p.Size, minute
			}
		}
	}
	b.at = minute
	b.minutes = append(b.minutes, levelAt{minute, sizesOf(readings)})
	b.minutes = slices.DeleteFunc(b.minutes, func(l levelAt) bool { return minute.Sub(l.at) >= gradualFor })
}

// sizesOf are the sizes of readings, which are sorted by wallet.
func sizesOf(readings []Reading) plausible.Level {
	level := make(plausible.Level, len(readings))
	for i := range readings {
		level[i].ID = readings[i].Wallet
		for a, p := range readings[i].Positions {
			level[i].Size[a], level[i].Known[a] = p.Size, p.Known
		}
	}
	return level
}

// last is the newest good size of each of the wallets, which are sorted.
func (b *baseline) last(wallets []Tracked) plausible.Level {
	level := make(plausible.Level, 0, len(wallets))
	for i := range wallets {
		last := b.newest[wallets[i].Wallet]
		if last == nil {
			continue
		}
		w := plausible.Wallet{ID: wallets[i].Wallet}
		for a := range w.Size {
			w.Size[a], w.Known[a] = last.size[a], !last.at[a].IsZero() && b.at.Sub(last.at[a]) <= baselineFor
		}
		level = append(level, w)
	}
	return level
}

// earlier is the oldest good minute of the ten before one, as far as it counts for an
// asset; nil when there is none.
func (b *baseline) earlier(minute time.Time, a asset.Asset) plausible.Level {
	for _, l := range b.minutes {
		if minute.Sub(l.at) <= gradualFor && l.at.After(b.since[a]) {
			return l.level
		}
	}
	return nil
}

// failure is what S11 found in one asset.
type failure struct {
	change plausible.Change
	before plausible.Level // what it was held against
	open   *openFailure    // the failure that it goes on; nil: it begins
	why    string
}

// judge is S11: nothing happened to everybody at once. ended are the failures that were
// open, and whose sizes are back.
func (b *baseline) judge(minute time.Time, wallets []Tracked, now plausible.Level) (failures []failure, ended []int64) {
	last := b.last(wallets)
	for _, a := range asset.All {
		if open := b.open[a]; open != nil {
			if why, over := open.over(wallets, now, a); over {
				ended = append(ended, open.id)
			} else {
				failures = append(failures, failure{change: plausible.Change{Asset: a}, open: open, why: why})
				continue
			}
		}
		for _, before := range []plausible.Level{last, b.earlier(minute, a)} {
			changes := plausible.Changes(before, now, a, plausible.MinHolders)
			if len(changes) > 0 {
				failures = append(failures, failure{change: changes[0], before: before, why: changes[0].String()})
				break
			}
		}
	}
	return failures, ended
}

// over tells whether the sizes are back, or why they are not known to be.
func (o *openFailure) over(wallets []Tracked, now plausible.Level, a asset.Asset) (why string, over bool) {
	before := make(plausible.Level, 0, len(o.before))
	for i := range wallets {
		size, ok := o.before[wallets[i].Wallet]
		if !ok {
			continue
		}
		w := plausible.Wallet{ID: wallets[i].Wallet}
		w.Size[a], w.Known[a] = size, true
		before = append(before, w)
	}
	if changes := plausible.Changes(before, now, a, 1); len(changes) > 0 {
		return changes[0].String(), false
	}
	if o.factor != 0 {
		if away := plausible.NotBack(before, now, a, o.factor); away.Most() {
			return fmt.Sprintf("%d of the %d wallets that held %s are still nearer to %.6g times what they held than to that", away.Affected, away.Holders, a, o.factor), false
		}
	}
	if away, back := plausible.Back(before, now, a); !back && away.Kind == plausible.MassOpen {
		return fmt.Sprintf("%d of the %d wallets that hold %s held nothing before: the sizes are not back", away.Affected, away.Holders, a), false
	} else if !back {
		return fmt.Sprintf("%d of the %d wallets that held %s are gone, on the other side, or off by more than a factor of two: the sizes are not back", away.Affected, away.Holders, a), false
	}
	if n := o.remaining(before, a); n < plausible.MinHolders {
		return fmt.Sprintf("%d of the wallets that tell are left, %d are needed", n, plausible.MinHolders), false
	}
	return "", true
}

// remaining counts the wallets of before that are still in the universe and tell
// something: those that held the asset, or where nobody did, all.
func (o *openFailure) remaining(before plausible.Level, a asset.Asset) int {
	held := 0
	for _, size := range o.before {
		if size != 0 {
			held++
		}
	}
	if held < plausible.MinHolders {
		return len(before)
	}
	return before.Holders(a)
}

// baselineChanges tells whether failures were opened, ended or accepted since it was
// asked last, by somebody else too.
const baselineChanges = `
	SELECT coalesce(string_agg(id || CASE WHEN ended_ts IS NULL THEN 'o' ELSE 'a' END, ',' ORDER BY id), '')
	FROM baselines WHERE ended_ts IS NULL OR accepted_at IS NOT NULL`

// baseline returns what sizes are held against, read anew when the database says so.
func (c *Collector) currentBaseline(ctx context.Context, wallets []Tracked) (*baseline, error) {
	seen, err := c.store.baselineState(ctx)
	if err != nil {
		return nil, err
	}
	if c.baseline == nil || c.baseline.seen != seen || !c.baseline.covers(wallets) {
		b, err := c.store.Baseline(ctx, wallets)
		if err != nil {
			return nil, err
		}
		b.seen = seen
		c.baseline = b
	}
	return c.baseline, nil
}

// covers tells that it was read for all of the wallets. One that enters the universe may
// have been in it before.
func (b *baseline) covers(wallets []Tracked) bool {
	return !slices.ContainsFunc(wallets, func(t Tracked) bool { _, ok := b.newest[t.Wallet]; return !ok })
}

func (s *Store) baselineState(ctx context.Context) (seen string, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, baselineChanges).Scan(&seen)
	return seen, postgres.Because(ctx, "read baselines", err)
}

// Baseline reads what the sizes of the next minute are held against.
func (s *Store) Baseline(ctx context.Context, wallets []Tracked) (*baseline, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	b := &baseline{newest: make(map[string]*lastHeld, len(wallets))}
	for i := range wallets {
		b.newest[wallets[i].Wallet] = nil
	}
	err := s.readLast(ctx, b, wallets)
	if err == nil {
		err = s.readMinutes(ctx, b)
	}
	if err == nil {
		err = s.readAccepted(ctx, b)
	}
	if err == nil {
		err = s.readOpen(ctx, b)
	}
	return b, postgres.Because(ctx, "read baseline", err)
}

// goodMinutes are those of runs that feed anything, newest first.
const goodMinutes = "SELECT timestamp FROM ingest_runs WHERE status <> 'failed' AND NOT superseded"

// readLast reads each wallet's newest good size of the day up to the newest good minute.
// Nearly all are in that minute: older ones are asked for the rest alone.
func (s *Store) readLast(ctx context.Context, b *baseline, wallets []Tracked) error {
	var newest *time.Time
	if err := s.pool.QueryRow(ctx, "SELECT max(timestamp) FROM ("+goodMinutes+") g").Scan(&newest); err != nil || newest == nil {
		return err
	}
	b.at = newest.UTC()
	missing := make([]string, len(wallets))
	for i := range wallets {
		missing[i] = wallets[i].Wallet
	}
	until := b.at
	for _, back := range []time.Duration{0, 10 * time.Minute, 2 * time.Hour, baselineFor} {
		from := b.at.Add(-back)
		// The newest known size of each wallet and asset within the stretch.
		rows, err := s.pool.Query(ctx, `
			SELECT DISTINCT ON (s.wallet_id, s.asset) s.wallet_id, s.asset, s.position_szi::text, s.timestamp
			FROM (`+goodMinutes+` AND timestamp BETWEEN $1 AND $2) g
			JOIN wallet_snapshots s USING (timestamp)
			WHERE s.timestamp BETWEEN $1 AND $2 AND s.wallet_id = ANY ($3) AND s.position_szi IS NOT NULL
			ORDER BY s.wallet_id, s.asset, s.timestamp DESC`, from, until, missing)
		if err != nil {
			return err
		}
		if err := b.readSizes(rows); err != nil {
			return err
		}
		missing = slices.DeleteFunc(missing, b.whole)
		if len(missing) == 0 {
			break
		}
		until = from.Add(-time.Microsecond)
	}
	return nil
}

// whole tells that a wallet's newest size is known in every asset.
func (b *baseline) whole(wallet string) bool {
	last := b.newest[wallet]
	return last != nil && !slices.ContainsFunc(last.at[:], time.Time.IsZero)
}

// readSizes takes rows of wallet, asset, size and minute, unless a newer one is known.
func (b *baseline) readSizes(rows pgx.Rows) error {
	var wallet, name, text string
	var at time.Time
	_, err := pgx.ForEachRow(rows, []any{&wallet, &name, &text, &at}, func() error {
		a, size, err := parseHeld(name, text)
		if err != nil {
			return err
		}
		last := b.newest[wallet]
		if last == nil {
			last = &lastHeld{}
			b.newest[wallet] = last
		}
		if at := at.UTC(); !last.at[a].After(at) {
			last.size[a], last.at[a] = size, at
		}
		return nil
	})
	return err
}

func parseHeld(name, text string) (asset.Asset, asset.Size, error) {
	a, err := asset.Parse(name)
	if err != nil {
		return 0, 0, err
	}
	size, err := asset.ParseSize(text, a)
	if err != nil {
		return 0, 0, fmt.Errorf("size of %s: %w", name, err)
	}
	return a, size, nil
}

// readMinutes reads the good minutes of the last ten.
func (s *Store) readMinutes(ctx context.Context, b *baseline) error {
	rows, err := s.pool.Query(ctx, goodMinutes+" AND timestamp > $1 AND timestamp <= $2 ORDER BY timestamp", b.at.Add(-gradualFor), b.at)
	if err != nil {
		return err
	}
	minutes, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return err
	}
	for _, minute := range minutes {
		w, err := window(ctx, s.pool, minute.UTC())
		if err != nil {
			return err
		}
		if len(w.Readings) > 0 { // its day may have been dropped
			b.minutes = append(b.minutes, levelAt{w.At, sizesOf(w.Readings)})
		}
	}
	return nil
}

// readAccepted takes the levels that somebody accepted: what was read before them
// counts no longer.
func (s *Store) readAccepted(ctx context.Context, b *baseline) error {
	rows, err := s.pool.Query(ctx, `
		SELECT s.wallet_id, b.asset, coalesce(s.accepted, s.before)::text, b.ended_ts
		FROM (SELECT DISTINCT ON (asset) * FROM baselines WHERE accepted_at IS NOT NULL ORDER BY asset, id DESC) b
		JOIN baseline_sizes s ON s.baseline_id = b.id`)
	if err != nil {
		return err
	}
	if err := b.readSizes(rows); err != nil {
		return err
	}
	rows, err = s.pool.Query(ctx, "SELECT asset, max(ended_ts) FROM baselines WHERE accepted_at IS NOT NULL GROUP BY asset")
	if err != nil {
		return err
	}
	var name string
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &at}, func() error {
		a, err := asset.Parse(name)
		b.since[a] = at.UTC()
		return err
	})
	return err
}

// readOpen reads the failures that last, with the sizes of before.
func (s *Store) readOpen(ctx context.Context, b *baseline) error {
	rows, err := s.pool.Query(ctx, `
		SELECT b.id, b.asset, b.subject, coalesce(b.factor, 0), coalesce(s.wallet_id, ''), coalesce(s.before, 0)::text
		FROM baselines b LEFT JOIN baseline_sizes s ON s.baseline_id = b.id
		WHERE b.ended_ts IS NULL`)
	if err != nil {
		return err
	}
	var id int64
	var name, subject, wallet, text string
	var factor float64
	_, err = pgx.ForEachRow(rows, []any{&id, &name, &subject, &factor, &wallet, &text}, func() error {
		a, size, err := parseHeld(name, text)
		if err != nil {
			return err
		}
		if b.open[a] == nil {
			b.open[a] = &openFailure{id: id, subject: subject, factor: factor, before: map[string]asset.Size{}}
		}
		if wallet != "" {
			b.open[a].before[wallet] = size
		}
		return nil
	})
	return err
}
