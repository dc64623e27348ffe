package main

import (
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/series"
)

const dayMinutes = series.Minute(signals.History / time.Minute)

// book is a history of wallets, each named by its place in the lists.
type book struct {
	*series.Book
	scratch [asset.Count]series.Scratch
}

func newBook() *book { return &book{Book: series.NewBook()} }

func minuteNumber(t time.Time) series.Minute { return series.Minute(t.Unix() / 60) }

func (b *book) keep(at time.Time, list [][asset.Count]asset.Size) {
	m := minuteNumber(at)
	var name []byte
	for i, sizes := range list {
		name = strconv.AppendInt(name[:0], int64(i), 10)
		slot := b.Slot(name)
		for a, size := range sizes {
			b.Series[a][slot].Set(m, series.Value(size))
		}
	}
}

// forget drops what the memory of the engine would.
func (b *book) forget(at time.Time) {
	const kept = (signals.History + 3*signals.Period) / time.Minute
	b.Forget(minuteNumber(at) - series.Minute(kept) + 1)
}

// look does what a boundary has to do with a day in memory, as the engine does:
// forgets what is older and takes the medians.
func (b *book) look(boundary time.Time) {
	b.forget(boundary)
	at := minuteNumber(boundary)
	var group sync.WaitGroup
	for _, a := range asset.All {
		group.Go(func() {
			for slot := range b.Series[a] {
				b.Series[a][slot].TwiceMedian(at-dayMinutes, at, &b.scratch[a])
			}
		})
	}
	group.Wait()
}

// heap is the bytes that are in use.
func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
