package simulator

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/fixtures"
)

// recorded2026 is the real recording; the test is skipped without one.
func recorded2026(t *testing.T) *Recording {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(fixtures.Dir(t), "hyperliquid", "positions", "*.csv.gz"))
	if err != nil || len(names) == 0 {
		t.Skip("no recorded positions")
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	recording, err := LoadPositions(f)
	if err != nil {
		t.Fatal(err)
	}
	return recording
}

const (
	alice = "0x00000000000000000000000000000000000a11ce"
	bobby = "0x0000000000000000000000000000000000000b0b"
)

// Alice leaves BTC at the second step and is not listed at the third; Bobby
// comes later.
const threeSteps = `ts,address,coin,szi
2026-02-04T09:34:27Z,` + alice + `,BTC,-1.5
2026-02-04T09:34:27Z,` + alice + `,HYPE,20
2026-02-04T09:36:00Z,0x00000000000000000000000000000000000A11CE,HYPE,25.004
2026-02-04T09:36:00Z,` + alice + `,DOGE,7
2026-02-04T09:38:27Z,` + bobby + `,ETH,3
`

func TestPositionsFollowTheRecording(t *testing.T) {
	recording, err := LoadPositions(strings.NewReader(threeSteps))
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, Config{Rows: 10, Active: 4, Recording: recording})
	if got := e.Wallets()[:2]; got[0] != alice || got[1] != bobby {
		t.Errorf("the recorded wallets are not at the top: %v", got)
	}
	sizes := func(hype, btc, eth asset.Size) [asset.Count]asset.Size {
		return [asset.Count]asset.Size{asset.HYPE: hype, asset.BTC: btc, asset.ETH: eth}
	}
	for _, tt := range []struct {
		minute int
		alice  [asset.Count]asset.Size
		bobby  [asset.Count]asset.Size
	}{
		{0, sizes(2000, -150000, 0), sizes(0, 0, 0)},
		{1, sizes(2000, -150000, 0), sizes(0, 0, 0)},
		{2, sizes(2500, 0, 0), sizes(0, 0, 0)},
		{4, sizes(2500, 0, 0), sizes(0, 0, 30000)},
		{5, sizes(2000, -150000, 0), sizes(0, 0, 0)}, // from the start again
		{9, sizes(2500, 0, 0), sizes(0, 0, 30000)},
	} {
		e.AdvanceTo(origin.Add(time.Duration(tt.minute) * time.Minute))
		if got, ok := e.Sizes(alice); !ok || got != tt.alice {
			t.Errorf("minute %d: Alice holds %v, want %v", tt.minute, got, tt.alice)
		}
		if got, ok := e.Sizes(bobby); !ok || got != tt.bobby {
			t.Errorf("minute %d: Bobby holds %v, want %v", tt.minute, got, tt.bobby)
		}
	}
	if err := e.Close(alice, "hype"); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.Sizes(alice); got != sizes(0, 0, 0) {
		t.Errorf("Alice holds %v after she closed", got)
	}
}

func TestRealRecordingReplays(t *testing.T) {
	recording := recorded2026(t)
	e := open(t, Config{Recording: recording})
	if got := e.Wallets()[0]; got != recording.Addresses()[0] {
		t.Logf("the first is %s", got) // the order drifts within the recorded ones
	}
	for _, after := range []time.Duration{0, 24 * time.Hour, 20 * 24 * time.Hour} {
		e.AdvanceTo(origin.Add(after))
		holding := 0
		for _, address := range recording.Addresses() {
			sizes, ok := e.Sizes(address)
			if !ok {
				t.Fatalf("%s is not there", address)
			}
			if sizes != [asset.Count]asset.Size{} {
				holding++
			}
		}
		if holding < 150 {
			t.Errorf("after %s: %d wallets hold something", after, holding)
		}
	}
	first, _ := e.Sizes("0x35d1151ef1aab579cbb3109e69fa82f94ff5acb1")
	e2 := open(t, Config{Recording: recording})
	if at0, _ := e2.Sizes("0x35d1151ef1aab579cbb3109e69fa82f94ff5acb1"); at0[asset.BTC].Text(asset.BTC) != "-116.73390" {
		t.Errorf("BTC at the start is %s (later %s)", at0[asset.BTC].Text(asset.BTC), first[asset.BTC].Text(asset.BTC))
	}
}

func TestLoadPositionsNamesTheLine(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "read header"},
		{"ts,address,coin,szi\n", "no rows"},
		{"time,address,coin,szi\n", "line 1: columns"},
		{"ts,address,coin,szi\nnoon," + alice + ",BTC,1\n", `line 2: ts: "noon" is no RFC 3339 time`},
		{"ts,address,coin,szi\n2026-02-04T09:34:27Z,0x1,BTC,1\n", `line 2: address: "0x1" is no address`},
		{"ts,address,coin,szi\n2026-02-04T09:34:27Z," + alice + ",BTC,NaN\n", "line 2: szi: not a position size"},
		{threeSteps + "2026-02-04T09:34:27Z," + alice + ",BTC,1\n", "line 7: ts: 2026-02-04T09:34:27Z is before the row above"},
		{threeSteps + "2026-02-05T09:34:27Z\n", "line 7: wrong number of fields"},
		{"\x1f\x8bnot gzip at all", "unzip positions"},
	} {
		_, err := LoadPositions(strings.NewReader(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error is %v, want %q", err, tt.want)
		}
	}
}

func FuzzLoadPositions(f *testing.F) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	w.Write([]byte(threeSteps))
	w.Close()
	f.Add(zipped.Bytes())
	f.Add([]byte(threeSteps))
	f.Add([]byte("ts,address,coin,szi\n\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := LoadPositions(bytes.NewReader(text))
		if err != nil {
			return
		}
		for i := range r.wallets {
			for minute := range int64(3) {
				r.wallets[i].at(minute * 1000)
			}
		}
	})
}
