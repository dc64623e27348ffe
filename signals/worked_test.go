package signals

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// TestTheWorkedExampleOfTheDocs computes the example of docs/signals.md and looks
// for every number there: a page that explains a rule must not drift from it.
func TestTheWorkedExampleOfTheDocs(t *testing.T) {
	hype := func(units float64) float64 { return math.Round(units * 100) } // smallest unit: 0.01
	in := Input{
		Boundary: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Asset: asset.HYPE, Snapshots: 5, Rows: 60,
		Past: [3]Past{{72, true}, {70, true}, {62, true}},
	}
	none := math.NaN()
	for _, w := range []struct{ median, previous, current float64 }{
		{5000, 5000, 6000},
		{1000, 1000, 1300},
		{2000, 2000, 2200},
		{0, none, 400},
		{800, 800, 1000},
		{3000, -3000, -2000},
		{500, 500, 505},
		{200, -200, 20},
		{900, 900, none},
		{1200, 1200, 1200},
		{600, 600, 750},
		{10000, 10000, 12000},
	} {
		in.Wallets.Previous = append(in.Wallets.Previous, hype(w.previous))
		in.Wallets.Current = append(in.Wallets.Current, hype(w.current))
		in.Wallets.Epsilon = append(in.Wallets.Epsilon, Epsilon(asset.HYPE, uint64(2*hype(w.median))))
		if !math.IsNaN(w.current) {
			in.Holdings = append(in.Holdings, asset.Size(hype(w.current)))
		}
	}
	s, closures, err := Compute(in)
	if err != nil || len(closures) > 0 || len(s.Degraded) > 0 {
		t.Fatalf("Compute: %v, %v, %v", closures, s.Degraded, err)
	}
	page, err := os.ReadFile("../docs/signals.md")
	if err != nil {
		t.Fatal(err)
	}
	c, p := s.Classes, s.Positioning
	gross := 0.0
	for _, held := range in.Holdings {
		gross += held.Abs().Float(asset.HYPE)
	}
	thousands := func(n float64) string {
		text := fmt.Sprintf("%.0f", n)
		return text[:len(text)-3] + "," + text[len(text)-3:]
	}
	for _, line := range []string{
		fmt.Sprintf("Missing: %d of 12, %.1f %%.", s.MissingCount, 100*float64(s.MissingCount)/12),
		fmt.Sprintf("N = %d: %d adders long, %d adders short, %d reducer, %d flat.", s.WalletCount, c.AddLong, c.AddShort, c.Reducers, c.Flat),
		fmt.Sprintf("= %.1f %%, Low.", s.ExitClusterScore),
		fmt.Sprintf("= %.1f, above 75.", s.AlignmentScore),
		fmt.Sprintf("and %.1f is above 73.0: %s.", s.AlignmentScore, s.AlignmentTrend),
		fmt.Sprintf("is %.3f, so %.1f, Low.", s.DispersionIndex/100, s.DispersionIndex),
		fmt.Sprintf("fits: **%s, %s**.", s.AllowedPlaybook, s.RiskMode),
		fmt.Sprintf("`add_exposure` is %t", s.AddExposure),
		fmt.Sprintf("net %s HYPE, %d wallets long, %d short, %d flat; the ten largest hold %.1f %% of %s.",
			thousands(float64(p.NetSzi.Int64())/100), p.Long, p.Short, p.Flat, p.Top10SharePct, thousands(gross)),
	} {
		if !strings.Contains(string(page), line) {
			t.Errorf("the page lacks %q", line)
		}
	}
	if s.TightenStops {
		t.Error("tighten_stops is true")
	}
}
