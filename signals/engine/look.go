package engine

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/series"
)

// look is what a boundary saw: the columns are indexed by asset and slot.
type look struct {
	at        series.Minute // 0: nothing was looked at
	positions [asset.Count][]position
	epsilon   [asset.Count][]float64
	snapshots [asset.Count]int // minutes of the window with rows of the asset
	lost      int              // minutes of the history whose rows are not there any more
	saw       picture
}

// position is a wallet in an asset as a boundary saw it.
type position struct {
	size        asset.Size
	held        bool // it has an effective size
	rows, dirty uint8
}

// Advance brings memory to boundary t and looks at it. The look before is that
// of the boundary before, because "previous" is what that one saw; if what it
// saw is not what is stored any more, it looks again, as after a restart.
func (m *Memory) Advance(ctx context.Context, tx pgx.Tx, t time.Time) error {
	at := minuteOf(t)
	if err := m.universe.follow(ctx, tx, t); err != nil {
		return err
	}
	if m.now.at == at {
		m.now = m.before // looked at already, and not written: the database may have moved on
	}
	if m.now.at == at-period {
		have, err := m.sync(ctx, tx, at, timeOf(at).Add(Deadline))
		if err != nil {
			return err
		}
		if have.picture(at-period) == m.now.saw {
			m.see(at, have)
			return nil
		}
	}
	m.now = look{}
	for _, boundary := range []series.Minute{at - period, at} {
		have, err := m.sync(ctx, tx, boundary, timeOf(boundary).Add(Deadline))
		if err != nil {
			return err
		}
		m.see(boundary, have)
	}
	return nil
}

// see looks at one boundary.
func (m *Memory) see(at series.Minute, have stored) {
	next := look{at: at, saw: have.picture(at)}
	for back := range period {
		for a, rows := range m.minutes[at-back].rows {
			if rows > 0 {
				next.snapshots[a]++
			}
		}
	}
	for ts, minute := range m.minutes {
		if ts > at-history-period && ts <= at && minute.written > 0 && minute.rows == [asset.Count]int{} {
			next.lost++
		}
	}
	var group sync.WaitGroup
	for _, a := range asset.All {
		group.Go(func() { next.positions[a], next.epsilon[a] = m.effective(a, at) })
	}
	group.Wait()
	m.before, m.now = m.now, next
}

// effective derives every wallet's ε and effective size.
func (m *Memory) effective(a asset.Asset, at series.Minute) ([]position, []float64) {
	positions, epsilons := make([]position, m.book.Slots()), make([]float64, m.book.Slots())
	var values [period]series.Value
	var clean [period]signals.Reading
	for slot := range positions {
		s := &m.book.Series[a][slot]
		epsilons[slot] = signals.Epsilon(a, s.TwiceMedian(at-history, at, &m.scratch[a]))
		s.Window(at-period+1, values[:])
		window := clean[:0]
		p := &positions[slot]
		for _, v := range values {
			switch v {
			case series.None:
				continue
			case series.Dirty:
				p.dirty++
			case series.Null:
				window = append(window, signals.Reading{})
			default:
				window = append(window, signals.Reading{Size: asset.Size(v), Known: true})
			}
			p.rows++
		}
		p.size, p.held = signals.Effective(window, epsilons[slot])
	}
	return positions, epsilons
}

// Input is what the boundary looked at last holds of an asset, without the past
// scores.
func (m *Memory) Input(a asset.Asset) signals.Input {
	n := len(m.universe.wallets)
	in := signals.Input{
		Boundary: timeOf(m.now.at), Asset: a, Snapshots: m.now.snapshots[a],
		Wallets:  signals.Wallets{Current: make([]float64, n), Previous: make([]float64, n), Epsilon: make([]float64, n)},
		Holdings: make([]asset.Size, 0, n),
	}
	for i, wallet := range m.universe.wallets {
		in.Wallets.Current[i], in.Wallets.Previous[i], in.Wallets.Epsilon[i] = math.NaN(), math.NaN(), float64(a.Dust())
		slot, ok := m.book.Find(wallet)
		if !ok {
			continue
		}
		p := m.now.positions[a][slot]
		in.Rows += int(p.rows)
		in.Dirty += int(p.dirty)
		in.Wallets.Epsilon[i] = m.now.epsilon[a][slot]
		if p.held {
			in.Wallets.Current[i] = float64(p.size)
			in.Holdings = append(in.Holdings, p.size)
		}
		if slot < len(m.before.positions[a]) && m.before.positions[a][slot].held {
			in.Wallets.Previous[i] = float64(m.before.positions[a][slot].size)
		}
	}
	return in
}

// Lost is how many minutes of the history of the boundary looked at last have no
// rows any more: nothing can be said about a boundary whose inputs are gone.
func (m *Memory) Lost() int { return m.now.lost }

// Absorb reads what is new without looking, so that little is left to be read
// when the boundary comes.
func (m *Memory) Absorb(ctx context.Context, tx pgx.Tx, now time.Time) error {
	_, err := m.sync(ctx, tx, minuteOf(now), now)
	return err
}

// Fill reads at most so many of the minutes that a look at boundary t will need, oldest
// first, and tells how many are left: a day can be read in steps, each a short
// transaction. Dirty rows come with the look.
func (m *Memory) Fill(ctx context.Context, tx pgx.Tx, t time.Time, most int) (left int, err error) {
	upto := minuteOf(t)
	have, err := ask(ctx, tx, upto-kept, upto, t.Add(Deadline))
	if err != nil {
		return 0, err
	}
	var missing []series.Minute
	for at := range have.runs {
		if _, known := m.minutes[at]; !known {
			missing = append(missing, at)
		}
	}
	slices.Sort(missing)
	wanted := map[series.Minute]bool{}
	for _, at := range missing[:min(most, len(missing))] {
		wanted[at] = true
	}
	if err := m.load(ctx, tx, wanted, have.runs); err != nil {
		m.reset()
		return 0, err
	}
	return len(missing) - len(wanted), nil
}

// altered tells that a minute of the history of the boundary looked at last has more or
// fewer rows than its run wrote.
func (m *Memory) altered(t time.Time) bool {
	for at, run := range m.minutes {
		if at > minuteOf(t)-history-period && at <= minuteOf(t) {
			rows := 0
			for _, n := range run.rows {
				rows += n
			}
			if rows != run.written {
				return true
			}
		}
	}
	return false
}
