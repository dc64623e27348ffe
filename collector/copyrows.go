package collector

import (
	"io"
	"strconv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// sortedAssets is the order of the primary key.
var sortedAssets = [asset.Count]asset.Asset{asset.BTC, asset.ETH, asset.HYPE}

// copyRows is a minute in COPY's text format, sorted by the primary key. It is
// written while it is read, so that the server takes in the first rows while the
// next are being formatted, and a large minute is never held as text.
// Every field has been validated: none can hold a tab, a newline or a backslash.
type copyRows struct {
	readings []Reading
	minute   string // the timestamp, formatted
	run      string // the run's id and the separators around it
	rest     []byte // formatted, not read yet
	buffer   []byte
}

// stamp is how COPY gets a time.
const stamp = "2006-01-02 15:04:05.000Z07:00"

func newCopyRows(ts time.Time, run int64, readings []Reading) *copyRows {
	return &copyRows{readings: readings, minute: ts.UTC().Format(stamp), run: "\t" + strconv.FormatInt(run, 10) + "\t"}
}

// portion is how much is formatted before the server gets it.
const portion = 8 << 10

// Read fills p as far as there are rows, a portion at most.
func (c *copyRows) Read(p []byte) (n int, err error) {
	p = p[:min(len(p), portion)]
	for n < len(p) {
		if len(c.rest) == 0 {
			if len(c.readings) == 0 {
				break
			}
			c.buffer = c.append(c.buffer[:0], &c.readings[0])
			c.rest, c.readings = c.buffer, c.readings[1:]
		}
		copied := copy(p[n:], c.rest)
		n, c.rest = n+copied, c.rest[copied:]
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// append adds the rows of one wallet.
func (c *copyRows) append(b []byte, r *Reading) []byte {
	field := func(text string) {
		b = append(b, '\t')
		if text == "" {
			text = `\N`
		}
		b = append(b, text...)
	}
	var state [len(stamp)]byte
	asked := append(state[:0], `\N`...)
	if !r.StateTime.IsZero() {
		asked = r.StateTime.UTC().AppendFormat(state[:0], stamp)
	}
	for _, a := range sortedAssets {
		p := &r.Positions[a]
		b = append(b, c.minute...)
		field(r.Wallet)
		field(a.String())
		b = append(b, '\t')
		if p.Known {
			b = p.Size.AppendText(b, a)
		} else {
			b = append(b, `\N`...)
		}
		field(p.Entry)
		field(p.Liquidation)
		field(p.Leverage)
		field(p.Margin)
		b = append(b, c.run...)
		b = append(b, asked...)
		b = append(b, '\n')
	}
	return b
}
