package hyperliquid

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	runtimemetrics "runtime/metrics"
	"testing"
)

// generated writes a leaderboard of the real one's shape while it is read, and
// watches the heap as it goes.
type generated struct {
	rows, next int
	rest       []byte
	size       int64
	peak       uint64
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		if g.next > g.rows+1 {
			return 0, io.EOF
		}
		g.rest = g.piece(g.rest)
		g.next++
		if g.next%64 == 0 {
			g.peak = max(g.peak, objects())
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	g.size += int64(n)
	return n, nil
}

func (g *generated) Close() error { return nil }

func (g *generated) piece(b []byte) []byte {
	switch g.next {
	case 0:
		return append(b, `{"leaderboardRows":[`...)
	case g.rows + 1:
		return append(b, `]}`...)
	}
	separator := ","
	if g.next == 1 {
		separator = ""
	}
	b = fmt.Appendf(b, `%s{"ethAddress":"0x%040x","accountValue":"62426218.3606450111","windowPerformances":[`, separator, g.next)
	for i, window := range []string{"day", "week", "month", "allTime"} {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `["%s",{"pnl":"%d.8106639995","roi":"0.0514258902","vlm":"9327295669.5900020599"}]`, window, g.next*7919%1000003*(i+1))
	}
	return fmt.Appendf(b, `],"prize":0,"displayName":"%0400d"}`, g.next)
}

// objects is what objects take up, garbage not yet collected included.
func objects() uint64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	return sample[0].Value.Uint64()
}

// askGenerated gives the bytes read and how far the heap rose meanwhile.
func askGenerated(t testing.TB, rows int) (size int64, extra uint64) {
	runtime.GC()
	body := &generated{rows: rows}
	before := objects()
	c := newClient(t, canned(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, ContentLength: -1, Header: http.Header{}, Body: body}, nil
	}))
	board, err := c.Leaderboard(t.Context(), 200, Validators{})
	if err != nil || board.RowsRead != rows || board.RowsSkipped != 0 || len(board.Entries) != min(rows, 200) {
		t.Fatalf("%d rows read, %d skipped, %v", board.RowsRead, board.RowsSkipped, err)
	}
	return body.size, max(body.peak, before) - before
}

func TestLeaderboardIsNeverHeldInMemory(t *testing.T) {
	const limit = 16 << 20
	if size, extra := askGenerated(t, 20_000); extra > limit {
		t.Errorf("%d bytes of leaderboard took %d bytes of memory, the limit is %d", size, extra, limit)
	}
}

func BenchmarkLeaderboard50000(b *testing.B) {
	var size int64
	var peak uint64
	for b.Loop() {
		n, extra := askGenerated(b, 50_000)
		size, peak = n, max(peak, extra)
	}
	b.SetBytes(size)
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}
