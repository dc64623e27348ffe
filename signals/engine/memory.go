package engine

import (
	"context"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/series"
)

// Deadline is how long after a boundary its own minute is waited for. A minute
// that is committed later is not seen by that boundary, whenever it is computed.
const Deadline = 45 * time.Second

const (
	period  = series.Minute(signals.Period / time.Minute)
	history = series.Minute(signals.History / time.Minute)
	// kept is what memory holds: the history of a boundary and of those just
	// before it, which a restart begins with.
	kept = history + 3*period
	// chunk is how many minutes are read at a time.
	chunk = 60
)

// Memory is the copy of the last day of the database that signals are computed
// from. It is for one goroutine.
type Memory struct {
	book     *series.Book
	minutes  map[series.Minute]minute
	dirty    map[mark]struct{}
	universe universe

	upto        series.Minute // the last minute that it ever followed
	before, now look          // the last two boundaries looked at
	scratch     [asset.Count]series.Scratch
}

// minute is a snapshot that is in memory.
type minute struct {
	finished time.Time        // of its run: another one means that it was written again
	written  int              // rows that its run wrote
	rows     [asset.Count]int // rows that are there
}

// mark is a row that is dirty.
type mark struct {
	minute series.Minute
	slot   int
	asset  asset.Asset
}

// NewMemory makes an empty memory. The first look fills it.
func NewMemory() *Memory {
	m := &Memory{}
	m.reset()
	return m
}

// reset forgets everything: after an error nobody knows how far memory came.
func (m *Memory) reset() {
	*m = Memory{book: series.NewBook(), minutes: map[series.Minute]minute{}, dirty: map[mark]struct{}{}}
}

// stored is what the database holds, as far as memory has to follow it.
type stored struct {
	runs   map[series.Minute]minute    // runs that did not fail
	ended  map[series.Minute]time.Time // every run, and when it ended
	marks  []dirtyRow
	oldest series.Minute // of the rows
}

type dirtyRow struct {
	At        time.Time
	Wallet    string
	Asset     string
	Transient bool
}

// What the boundary upto sees of the stored runs: those that had ended in time
// for it, and the rows of failed ones never. A row that the collapse check marked
// is known to be dirty once the run of the minute after it has ended, which is
// how the check knew; a mark made by hand always is.
const (
	selectRuns = `
		SELECT timestamp, finished_at, rows_written, status <> 'failed'
		FROM ingest_runs
		WHERE timestamp > $1 AND timestamp <= $2 AND finished_at <= $3 AND NOT superseded`
	selectDirty = `
		SELECT timestamp, wallet_id, asset, coalesce(dirty_reason = 'transient_collapse', false)
		FROM wallet_snapshots
		WHERE is_dirty AND timestamp > $1 AND timestamp <= $2`
	selectOldest = `SELECT min(timestamp) FROM wallet_snapshots`
)

// sync brings memory in line with what the database holds up to a minute, of
// runs that had ended by a deadline. After an error memory is empty.
func (m *Memory) sync(ctx context.Context, tx pgx.Tx, upto series.Minute, deadline time.Time) (have stored, err error) {
	defer func() {
		if err != nil {
			m.reset()
		}
	}()
	if upto+2*period < m.upto {
		universe := m.universe
		m.reset() // a clock went back: what was forgotten since is needed again
		m.universe = universe
	}
	m.upto = max(m.upto, upto)
	after := upto - kept
	if have, err = ask(ctx, tx, after, upto, deadline); err != nil {
		return have, err
	}
	wanted := map[series.Minute]bool{}
	for at, run := range have.runs {
		if known, ok := m.minutes[at]; !ok || !known.finished.Equal(run.finished) {
			wanted[at] = true
		}
	}
	for at, known := range m.minutes {
		_, there := have.runs[at]
		switch {
		case at <= after:
			delete(m.minutes, at)
		case at <= upto && !there, at < have.oldest && known.rows != [asset.Count]int{}:
			m.clear(at)
			if there {
				m.minutes[at] = minute{finished: known.finished, written: known.written}
			}
		}
	}
	marks := m.visible(have)
	for known := range m.dirty {
		if _, still := marks[known]; !still && known.minute > after && known.minute <= upto {
			wanted[known.minute] = true // the mark was taken back: what the row holds has to be read again
		}
	}
	if err := m.load(ctx, tx, wanted, have.runs); err != nil {
		return have, err
	}
	for known := range m.visible(have) { // again: the rows that were read have brought wallets
		if _, done := m.dirty[known]; !done {
			m.book.Series[known.asset][known.slot].Set(known.minute, series.Dirty)
			m.dirty[known] = struct{}{}
		}
	}
	m.forget(after + 1)
	return have, nil
}

// picture is what a boundary saw of the runs and the dirty rows: two are equal
// when they are of the same minutes, runs and marks.
type picture struct {
	runs, marks uint64 // sums of hashes
	lost        int    // minutes without rows
}

var hashes = maphash.MakeSeed()

// picture of the boundary at: what it sees of what is stored now.
func (have stored) picture(at series.Minute) picture {
	var p picture
	deadline := timeOf(at).Add(Deadline)
	relevant := func(m series.Minute) bool { return m <= at && m > at-history-period }
	for m, run := range have.runs {
		if relevant(m) && !run.finished.After(deadline) {
			p.runs += maphash.Comparable(hashes, [2]int64{int64(m), run.finished.UnixNano()})
			if m < have.oldest {
				p.lost++
			}
		}
	}
	for _, row := range have.marks {
		m := minuteOf(row.At)
		ended, later := have.ended[m+1]
		if relevant(m) && (!row.Transient || later && m < at && !ended.After(deadline)) {
			p.marks += maphash.Comparable(hashes, row)
		}
	}
	return p
}

func ask(ctx context.Context, tx pgx.Tx, after, upto series.Minute, deadline time.Time) (stored, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	have := stored{runs: map[series.Minute]minute{}, ended: map[series.Minute]time.Time{}}
	var ts time.Time
	var run minute
	var usable bool
	batch := &pgx.Batch{}
	batch.Queue(selectRuns, timeOf(after), timeOf(upto), deadline).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&ts, &run.finished, &run.written, &usable}, func() error {
			have.ended[minuteOf(ts)] = run.finished
			if usable {
				have.runs[minuteOf(ts)] = run
			}
			return nil
		})
		return err
	})
	batch.Queue(selectDirty, timeOf(after), timeOf(upto)).Query(func(rows pgx.Rows) (err error) {
		have.marks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[dirtyRow])
		return err
	})
	batch.Queue(selectOldest).QueryRow(func(row pgx.Row) error {
		var oldest *time.Time
		err := row.Scan(&oldest)
		if have.oldest = math.MaxUint32; oldest != nil {
			have.oldest = minuteOf(*oldest)
		}
		return err
	})
	return have, postgres.Because(ctx, "read runs", tx.SendBatch(ctx, batch).Close())
}

// visible are the marks that count, of rows that are in memory.
func (m *Memory) visible(have stored) map[mark]struct{} {
	marks := make(map[mark]struct{}, len(have.marks))
	for _, row := range have.marks {
		at := minuteOf(row.At)
		if _, there := have.runs[at]; !there {
			continue
		}
		if _, later := have.ended[at+1]; row.Transient && !later {
			continue
		}
		slot, ok := m.book.Find(row.Wallet)
		a, err := asset.Parse(row.Asset)
		if ok && err == nil {
			marks[mark{at, slot, a}] = struct{}{}
		}
	}
	return marks
}

// load reads the wanted minutes, neighbours together.
func (m *Memory) load(ctx context.Context, tx pgx.Tx, wanted map[series.Minute]bool, runs map[series.Minute]minute) error {
	todo := slices.Sorted(maps.Keys(wanted))
	for len(todo) > 0 {
		n := 1
		for n < len(todo) && n < chunk && todo[n] == todo[0]+series.Minute(n) {
			n++
		}
		fresh := make([]minute, n)
		for i, at := range todo[:n] {
			if _, known := m.minutes[at]; known {
				m.clear(at)
			}
			fresh[i] = runs[at]
		}
		first := todo[0]
		err := readRows(ctx, tx.Conn().PgConn(), first, todo[n-1], func(at series.Minute, wallet []byte, a asset.Asset, v series.Value) {
			m.book.Series[a][m.book.Slot(wallet)].Set(at, v)
			fresh[at-first].rows[a]++
		})
		if err != nil {
			return err
		}
		for i, at := range todo[:n] {
			m.minutes[at] = fresh[i]
		}
		todo = todo[n:]
	}
	return nil
}

// clear forgets a minute and the marks in it.
func (m *Memory) clear(at series.Minute) {
	m.book.Clear(at)
	delete(m.minutes, at)
	maps.DeleteFunc(m.dirty, func(d mark, _ struct{}) bool { return d.minute == at })
}

// forget drops what is before a minute. A wallet whose last row was a day ago has
// no position in any look, so its slot can be another's.
func (m *Memory) forget(before series.Minute) {
	maps.DeleteFunc(m.dirty, func(d mark, _ struct{}) bool { return d.minute < before })
	m.book.Forget(before)
}
