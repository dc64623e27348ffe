package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals/series"
)

// measureMedians takes the medians of a day from run lengths, and from sorted
// copies of all of its minutes.
func measureMedians(_ context.Context, b *bench) error {
	const wallets = 200
	c, err := newCrowd(wallets, someDay)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	restless := func(time.Time) [][asset.Count]asset.Size {
		list := make([][asset.Count]asset.Size, wallets)
		for i := range list {
			for a := range list[i] {
				list[i][a] = asset.Size(random.IntN(1_000_000))
			}
		}
		return list
	}
	market, worst := newDay(c.at), newDay(restless)
	p, err := market.medians()
	if err != nil {
		return err
	}
	how := fmt.Sprintf("%.2f ms against %.2f ms for %d series, %d pairs", median(p.a), median(p.b), len(market.columns), len(p.a))
	b.add("24 h medians, all series", 0.25, p.ratio(), "", how)
	if p, err = worst.medians(); err != nil {
		return err
	}
	b.note("… with positions that change every minute", p.ratio(), "", fmt.Sprintf("%.2f ms against %.2f ms", median(p.a), median(p.b)))
	how = fmt.Sprintf("of the heap; %.0f with positions that change every minute, %d as plain minutes", worst.bytes, dayMinutes*8)
	b.note("… bytes of a series", market.bytes, " bytes", how)
	return nil
}

// day is one day of positions in both forms.
type day struct {
	book    *book
	bytes   float64    // of the book, a series
	columns [][]uint64 // the minutes of each wallet and asset, without the side
}

func newDay(at func(time.Time) [][asset.Count]asset.Size) *day {
	var minutes [][][asset.Count]asset.Size
	for m := range dayMinutes {
		minutes = append(minutes, at(someDay.Add(time.Duration(m)*time.Minute)))
	}
	before := heap()
	d := &day{book: newBook()}
	for m, list := range minutes {
		d.book.keep(someDay.Add(time.Duration(m)*time.Minute), list)
	}
	d.bytes = (heap() - before) / float64(len(minutes[0])*asset.Count)
	for i := range minutes[0] {
		for a := range asset.Count {
			var column []uint64
			for _, list := range minutes {
				column = append(column, uint64(list[i][a].Abs()))
			}
			d.columns = append(d.columns, column)
		}
	}
	return d
}

// medians takes all of them in both ways, each in one goroutine.
func (d *day) medians() (pairs, error) {
	last := minuteNumber(someDay) + dayMinutes - 1
	fromRuns, fromSorted := make([]uint64, len(d.columns)), make([]uint64, len(d.columns))
	var scratch series.Scratch
	buffer := make([]uint64, dayMinutes)
	p, err := alternate(50,
		func() (float64, error) {
			return timed(func() error {
				for i := range d.columns {
					fromRuns[i] = d.book.Series[i%asset.Count][i/asset.Count].TwiceMedian(last-dayMinutes, last, &scratch)
				}
				return nil
			})
		},
		func() (float64, error) {
			return timed(func() error {
				for i, column := range d.columns {
					copy(buffer, column)
					slices.Sort(buffer)
					fromSorted[i] = buffer[(dayMinutes-1)/2] + buffer[dayMinutes/2]
				}
				return nil
			})
		})
	if err == nil && !slices.Equal(fromRuns, fromSorted) {
		err = errors.New("the two ways do not give the same medians")
	}
	return p, err
}
