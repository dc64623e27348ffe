package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// leaders is what a client reads of a leaderboard.
type leaders struct {
	LeaderboardRows []struct {
		EthAddress, AccountValue string
		WindowPerformances       []performance
		Prize                    int
		DisplayName              *string
	}
}

type performance struct {
	name          string
	Pnl, Roi, Vlm string
}

func (p *performance) UnmarshalJSON(text []byte) error {
	type numbers performance
	return json.Unmarshal(text, &[]any{&p.name, (*numbers)(p)})
}

// top reads a leaderboard as a client would: the n addresses with the highest
// profit of the month.
func (l leaders) top(n int) []string {
	profits := map[string]float64{}
	var all []string
	for _, r := range l.LeaderboardRows {
		who := strings.ToLower(r.EthAddress)
		all = append(all, who)
		for _, p := range r.WindowPerformances {
			if p.name == "month" {
				profits[who], _ = strconv.ParseFloat(p.Pnl, 64)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		if profits[a] != profits[b] {
			if profits[a] > profits[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return all[:min(n, len(all))]
}

func getBoard(e *Exchange, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/Mainnet/leaderboard", nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	return w
}

func readBoard(t *testing.T, e *Exchange) (l leaders) {
	t.Helper()
	w := getBoard(e)
	if err := json.Unmarshal(w.Body.Bytes(), &l); err != nil || w.Code != 200 {
		t.Fatalf("%d: %v", w.Code, err)
	}
	return l
}

func TestLeaderboardHasTheShapesOfTheRealOne(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Seed: 1, Rows: 5000, Origin: time.Now()})
	w := getBoard(e)
	if perRow := w.Body.Len() / 5000; perRow < 600 || perRow > 1000 {
		t.Errorf("%d bytes a row", perRow)
	}
	l := readBoard(t, e)
	if len(l.LeaderboardRows) != 5000 {
		t.Fatalf("%d rows", len(l.LeaderboardRows))
	}
	seen := map[string]int{}
	for _, r := range l.LeaderboardRows {
		if _, err := parseAddress(r.EthAddress); err != nil {
			t.Error(err)
		}
		if r.EthAddress != strings.ToLower(r.EthAddress) {
			seen["mixed case"]++
		}
		names := ""
		for _, p := range r.WindowPerformances {
			names += p.name + " "
			for _, number := range []string{p.Pnl, p.Roi, p.Vlm} {
				if _, err := strconv.ParseFloat(number, 64); err != nil || !strings.Contains(number, ".") {
					t.Errorf("%q: %v", number, err)
				}
			}
			if p.name == "month" && p.Vlm == "0.0" {
				seen["without volume"]++
			}
		}
		seen[names]++
		switch {
		case r.DisplayName == nil:
			seen["without name"]++
		case slices.Contains(hostile, *r.DisplayName):
			seen["hostile name"]++
		default:
			seen["name"]++
		}
	}
	for _, what := range []string{"mixed case", "without volume", "without name", "hostile name", "name", "day week month allTime ", "day week allTime "} {
		if seen[what] < 10 {
			t.Errorf("%s: %d rows", what, seen[what])
		}
	}
	if ordered := seen["day week month allTime "]; ordered < 4800 || len(seen) < 8 {
		t.Errorf("windows: %v", seen)
	}
	if got, want := l.top(400), e.Wallets()[:400]; !slices.Equal(got, want) {
		t.Error("the ranking of the rows is not that of Wallets")
	}
	if first := strings.ToLower(l.LeaderboardRows[0].EthAddress); first == e.Wallets()[0] && strings.ToLower(l.LeaderboardRows[1].EthAddress) == e.Wallets()[1] {
		t.Error("rows are sorted by profit")
	}
}

func TestLargeLeaderboardIsStreamed(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Rows: 50_000, Origin: time.Now()})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	response, err := http.Get(server.URL + "/Mainnet/leaderboard")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	t.Logf("%.1f MB", float64(n)/1e6)
	if err != nil || n < 33e6 || n > 48e6 || response.ContentLength > 0 {
		t.Errorf("%d bytes: %v", n, err)
	}
}

func TestLeaderboardChangesByTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		first := getBoard(e)
		tag, modified := first.Header().Get("ETag"), first.Header().Get("Last-Modified")
		if tag == "" || modified != time.Now().UTC().Format(http.TimeFormat) {
			t.Errorf("ETag %s, Last-Modified %s", tag, modified)
		}
		conditions := [][2]string{{"If-None-Match", tag}, {"If-None-Match", `"x", W/` + tag}, {"If-None-Match", "*"}, {"If-Modified-Since", modified}}
		time.Sleep(59 * time.Minute)
		for _, c := range conditions {
			if w := getBoard(e, c[0], c[1]); w.Code != 304 || w.Body.Len() > 0 {
				t.Errorf("%s within the hour: %d with %d bytes", c, w.Code, w.Body.Len())
			}
		}
		if w := getBoard(e); w.Body.String() != first.Body.String() {
			t.Error("the content changed within the hour")
		}
		time.Sleep(time.Minute)
		for _, c := range conditions {
			if w := getBoard(e, c[0], c[1]); c[1] != "*" && (w.Code != 200 || w.Body.String() == first.Body.String()) {
				t.Errorf("%s after the hour: %d", c, w.Code)
			}
		}
		if got := e.Stats()["leaderboard"]; got["304"] != 5 || got["200"] != 5 {
			t.Errorf("stats: %v", got)
		}
	})
}

func TestAFewPercentChangeInSixHours(t *testing.T) {
	t.Parallel()
	for _, n := range []int{200, 500} {
		e := open(t, Config{Seed: 1, Rows: 5000, Active: 300})
		previous := e.Wallets()[:n]
		for refresh := range 12 {
			e.AdvanceTo(origin.Add(time.Duration(refresh+1) * 6 * time.Hour))
			next := e.Wallets()[:n]
			if changed := churned(previous, next); changed > 0.15 {
				t.Errorf("refresh %d: %.0f %% churn", refresh, 100*changed)
			} else if refresh == 5 && changed == 0 {
				t.Errorf("top %d: no churn at all", n)
			}
			previous = next
		}
	}
}

func TestTheTopTrades(t *testing.T) {
	e := open(t, Config{Seed: 1})
	e.AdvanceTo(origin.Add(50 * time.Hour))
	holding := 0
	for _, w := range e.Wallets()[:200] {
		var sum [asset.Count]asset.Size
		for _, account := range append(e.SubAccounts(w), w) {
			sizes, _ := e.Sizes(account)
			for _, a := range asset.All {
				sum[a] += sizes[a]
			}
		}
		if sum != [asset.Count]asset.Size{} {
			holding++
		}
	}
	if holding < 160 || holding > 185 {
		t.Errorf("%d of 200 hold something", holding)
	}
}

// churned is the share of those who entered or left.
func churned(before, after []string) float64 {
	n := 0
	for _, w := range after {
		if !slices.Contains(before, w) {
			n += 2
		}
	}
	return float64(n) / float64(len(before))
}
