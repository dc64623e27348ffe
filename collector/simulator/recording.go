package simulator

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// Recording is positions of real wallets over time, to be played in place of
// the market, from its first row on and again from there after its last.
type Recording struct {
	wallets []recorded
	minutes int64 // from the first row to the last, and one more to hold it
}

type recorded struct {
	address address
	steps   []recordedStep // by time
	minutes int64
}

type recordedStep struct {
	after time.Duration // the recording's start
	sizes [asset.Count]asset.Size
}

// Addresses of the recorded wallets, in order of appearance.
func (r *Recording) Addresses() []string {
	var all []string
	for _, w := range r.wallets {
		all = append(all, w.address.String())
	}
	return all
}

// at is the position at a minute since the start. Between steps a position is
// held; before a wallet's first step it has none.
func (r *recorded) at(minute int64) [asset.Count]asset.Size {
	after := time.Duration(minute%r.minutes) * time.Minute
	i := sort.Search(len(r.steps), func(i int) bool { return r.steps[i].after > after })
	if i == 0 {
		return [asset.Count]asset.Size{}
	}
	return r.steps[i-1].sizes
}

// LoadPositions reads a CSV file, plain or gzipped, with the header
// ts,address,coin,szi and its rows in order of time. The rows of one ts and
// address are everything that the address held then: a coin without a row is
// flat, an address without rows unchanged. Coins that are not ours are left
// out. Errors name the line.
func LoadPositions(r io.Reader) (*Recording, error) {
	buffered := bufio.NewReader(r)
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("unzip positions: %w", err)
		}
		buffered = bufio.NewReader(unzipped)
	}
	rows := csv.NewReader(buffered)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if want := []string{"ts", "address", "coin", "szi"}; !slices.Equal(header, want) {
		return nil, fmt.Errorf("line 1: columns are %q, want %q", header, want)
	}
	p := &positionReader{seats: map[address]int{}}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read positions: %w", err) // names the line itself
		}
		if err := p.add(row); err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	if len(p.wallets) == 0 {
		return nil, errors.New("positions: no rows")
	}
	recording := &Recording{wallets: p.wallets, minutes: int64(p.last.Sub(p.first)/time.Minute) + 1}
	for i := range recording.wallets {
		recording.wallets[i].minutes = recording.minutes
	}
	return recording, nil
}

type positionReader struct {
	first, last time.Time
	seats       map[address]int
	wallets     []recorded
}

func (p *positionReader) add(row []string) error {
	at, err := time.Parse(time.RFC3339, row[0])
	if err != nil {
		return fmt.Errorf("ts: %q is no RFC 3339 time", clip(row[0]))
	}
	if p.first.IsZero() {
		p.first = at
	}
	if at.Before(p.last) {
		return fmt.Errorf("ts: %s is before the row above it; rows must be in order of time", row[0])
	}
	p.last = at
	who, err := parseAddress(row[1])
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	seat, ok := p.seats[who]
	if !ok {
		seat = len(p.wallets)
		p.seats[who] = seat
		p.wallets = append(p.wallets, recorded{address: who})
	}
	w := &p.wallets[seat]
	after := at.Sub(p.first)
	if n := len(w.steps); n == 0 || w.steps[n-1].after != after {
		w.steps = append(w.steps, recordedStep{after: after})
	}
	which, ours := asset.FromCoin(row[2])
	if !ours {
		return nil
	}
	size, err := asset.ParseSize(row[3], which)
	if err != nil {
		return fmt.Errorf("szi: %w", err)
	}
	w.steps[len(w.steps)-1].sizes[which] = size
	return nil
}
