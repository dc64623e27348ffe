package collector

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/plausible"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/threshold"
)

// fail makes the run a failed one for a check and its subject. The first check that
// fails names it; the error holds all.
func (r *Run) fail(check, subject, why string, details map[string]any) {
	if r.Status != Failed {
		r.Status, r.Error, r.failedRunCheck, r.failedSubject = Failed, "", check, subject
	}
	if r.Error != "" {
		r.Error += "; "
	}
	r.Error += check + ": " + why
	if details == nil {
		details = map[string]any{}
	}
	details["error"] = why
	r.checks = append(r.checks, qa.Event{Check: check, Severity: "critical", Subject: subject, Details: details, Action: "run failed"})
}

// believe applies S10 to S12 to what was read: an answer of 200 proves nothing. The
// cause comes first: a coin that was renamed also looks as if everybody had closed.
func (c *Collector) believe(ctx, budget context.Context, m *Minute, wallets []Tracked) error {
	base, err := c.currentBaseline(ctx, wallets)
	if err != nil {
		return err
	}
	read, now := m.Run.Status != Failed, sizesOf(m.Readings)
	var failures []failure
	if read {
		failures, m.Ended = base.judge(m.Run.Timestamp, wallets, now)
	}
	if len(failures) > 0 && !c.coins.askedFor.Equal(m.Run.Timestamp) {
		c.askCoins(budget, m.Run.Timestamp) // is it still the same coin?
	}
	if subject, why := c.coins.check(c.cfg.Clock.Now()); subject != "" {
		m.Run.fail("S12", subject, why, nil)
	}
	if !read {
		return nil
	}
	if same := plausible.SameState(now); same.Failed() {
		m.Run.fail("S10", "same_state", fmt.Sprintf("%d of the %d wallets that hold anything have the three sizes of another one", same.Wallets, same.Holders),
			map[string]any{"wallets": same.Wallets, "holders": same.Holders})
	}
	for _, f := range failures {
		subject := f.change.Subject()
		if f.open != nil {
			subject = f.open.subject
		} else {
			m.Opened = append(m.Opened, f)
		}
		m.Run.fail("S11", subject, f.why, map[string]any{"wallets": f.change.Affected, "holders": f.change.Holders})
	}
	return nil
}

// keepOpened copies what was held before a failure of S11, so that neither waiting nor
// pruning nor a restart accepts anything, and ends those whose sizes are back.
func keepOpened(ctx context.Context, tx session, m Minute) error {
	batch := &pgx.Batch{}
	for _, f := range m.Opened {
		var wallets, sizes []string
		a := f.change.Asset
		for _, w := range f.before {
			if w.Known[a] {
				wallets, sizes = append(wallets, w.ID), append(sizes, w.Size[a].Text(a))
			}
		}
		var factor *float64
		if f.change.Kind == plausible.Rescaled {
			factor = &f.change.Factor
		}
		batch.Queue(`
			WITH opened AS (
				INSERT INTO baselines (asset, subject, opened_ts, affected, holders, factor) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT DO NOTHING RETURNING id)
			INSERT INTO baseline_sizes (baseline_id, wallet_id, before)
			SELECT id, wallet_id, size::numeric FROM opened, unnest($7::text[], $8::text[]) AS s (wallet_id, size)`,
			a.String(), f.change.Subject(), m.Run.Timestamp, f.change.Affected, f.change.Holders, factor, wallets, sizes)
	}
	if m.Run.Status != Failed {
		for _, id := range m.Ended {
			batch.Queue("UPDATE baselines SET ended_ts = $2 WHERE id = $1 AND ended_ts IS NULL", id, m.Run.Timestamp)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, batch).Close()
}

const (
	coinsEvery = 5 * time.Minute   // how often the exchange is asked for its coins
	coinsFor   = threshold.MetaOld // how long its answer counts
)

// coins is what the exchange last said of our coins (S12).
type coins struct {
	known    bool // read from the database, or answered
	said     [asset.Count]hyperliquid.Coin
	answered time.Time // zero: never
	askedFor time.Time // the minute in which it was asked last
}

// check is S12: the stable code of what is wrong, "" when nothing is.
func (c *coins) check(now time.Time) (subject, why string) {
	switch {
	case c.answered.IsZero():
		return "meta:unanswered", "the exchange has never said which coins it has"
	case now.Sub(c.answered) > coinsFor:
		return "meta:unanswered", fmt.Sprintf("the exchange has not said which coins it has since %s", c.answered.Format(time.RFC3339))
	}
	for _, a := range asset.All {
		said, subject := c.said[a], "meta:"+a.String()
		switch {
		case !said.Listed:
			return subject, fmt.Sprintf("the exchange knows no coin %s", a.Coin())
		case said.Twice:
			return subject, fmt.Sprintf("the exchange lists %s twice, and nobody can tell which is true", a.Coin())
		case said.Delisted:
			return subject, fmt.Sprintf("the exchange has delisted %s", a.Coin())
		case said.SizeDecimals != a.Decimals():
			return subject, fmt.Sprintf("the exchange keeps %d decimals of a size in %s, %d are expected", said.SizeDecimals, a.Coin(), a.Decimals())
		}
	}
	return "", ""
}

// due tells that the coins are to be asked for in a minute.
func (c *coins) due(minute time.Time) bool {
	since := minute.Sub(c.askedFor)
	return c.askedFor.IsZero() || since >= coinsEvery || since < 0
}

// askCoins asks the exchange for its coins. When it does not answer, what it said last
// goes on counting, for a day.
func (c *Collector) askCoins(ctx context.Context, minute time.Time) {
	c.coins.askedFor = minute
	said, err := c.upstream.Meta(ctx)
	if err == nil {
		c.coins.said, c.coins.answered = said.Coins, c.cfg.Clock.Now()
		err = c.store.KeepCoins(ctx, said.Coins, c.coins.answered)
	}
	if err != nil && ctx.Err() == nil {
		c.cfg.Logger.Warn("ask for the coins", "error", err)
	}
}

// KeepCoins stores what the exchange says of our coins.
func (s *Store) KeepCoins(ctx context.Context, said [asset.Count]hyperliquid.Coin, at time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	batch := &pgx.Batch{}
	for _, a := range asset.All {
		batch.Queue(`
			INSERT INTO exchange_meta (asset, listed, delisted, sz_decimals, twice, answered_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (asset) DO UPDATE SET listed = excluded.listed, delisted = excluded.delisted, sz_decimals = excluded.sz_decimals, twice = excluded.twice, answered_at = excluded.answered_at`,
			a.String(), said[a].Listed, said[a].Delisted, said[a].SizeDecimals, said[a].Twice, at)
	}
	return postgres.Because(ctx, "keep coins", s.fence.Send(ctx, s.pool, batch))
}

// Coins reads what the exchange last said of our coins. What a clock that was ahead has
// dated does not count.
func (s *Store) Coins(ctx context.Context) (coins, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	c := coins{known: true}
	rows, err := s.pool.Query(ctx, "SELECT asset, listed, delisted, sz_decimals, twice, answered_at FROM exchange_meta WHERE answered_at <= whalegate_now() + interval '1 minute'")
	if err != nil {
		return c, postgres.Because(ctx, "read coins", err)
	}
	var name string
	var said hyperliquid.Coin
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &said.Listed, &said.Delisted, &said.SizeDecimals, &said.Twice, &at}, func() error {
		a, err := asset.Parse(name)
		c.said[a], c.answered = said, at.UTC()
		return err
	})
	return c, postgres.Because(ctx, "read coins", err)
}
