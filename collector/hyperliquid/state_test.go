package hyperliquid

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// listing is a state with these entries, separated by commas.
func listing(entries string) string {
	return `{"assetPositions":[` + entries + `],"time":1767225600123}`
}

// holding is an entry whose position has these members.
func holding(members string) string { return `{"type":"oneWay","position":{` + members + `}}` }

func TestStateGivesEveryAssetARow(t *testing.T) {
	got, err := newClient(t, answer(200, testdata(t, "state.json"))).State(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	want := State{Time: time.Date(2026, 1, 1, 0, 0, 0, 123e6, time.UTC), AccountValue: 250000.5}
	want.Positions[asset.BTC] = Position{Size: -312345, Known: true, Entry: "81234.5", Leverage: "20", Margin: "12500.0"}
	want.Positions[asset.HYPE] = Position{Size: 2000030, Known: true, Entry: "40.125", Liquidation: "27.5", Leverage: "3", Margin: "260000.0"}
	want.Positions[asset.ETH] = Position{Known: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Time.Location() != time.UTC {
		t.Errorf("time is in %s", got.Time.Location())
	}
}

func TestStateAsksForTheAccount(t *testing.T) {
	type question struct{ Method, Path, ContentType, Accept, Body, Key string }
	var got question
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = question{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Accept"), string(body), r.Header.Get("Idempotency-Key")}
		_, _ = io.WriteString(w, listing(""))
	})
	if _, err := c.State(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	want := question{"POST", "/info", "application/json", "application/json", `{"type":"clearinghouseState","user":"` + account + `"}`, ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStateFailureNeverLooksFlat(t *testing.T) {
	deep := strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6)
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":                {429, "null", RateLimited},
		"rate limited with a state":   {429, listing(""), RateLimited},
		"server error":                {500, "null", ServerError},
		"server error with a state":   {500, listing(""), ServerError},
		"gateway":                     {502, "<html><head><title>502 Bad Gateway</title></head></html>", ServerError},
		"unavailable":                 {503, "<html></html>", ServerError},
		"gateway timeout":             {504, "<html></html>", ServerError},
		"unprocessable":               {422, "Failed to deserialize the JSON body into the target type", Rejected},
		"not found with a state":      {404, listing(""), Rejected},
		"another success":             {206, listing(""), Rejected},
		"nothing there":               {204, "", Rejected},
		"not modified":                {304, listing(""), Rejected},
		"redirect":                    {302, listing(""), Rejected},
		"null":                        {200, "null", Null},
		"null with blanks":            {200, " null\n", Null},
		"nothing":                     {200, "", Malformed},
		"html":                        {200, "<html><body>maintenance</body></html>", Malformed},
		"text":                        {200, "maintenance", Malformed},
		"cut short":                   {200, listing("")[:20], Malformed},
		"two values":                  {200, listing("") + listing(""), Malformed},
		"trailing data":               {200, listing("") + "x", Malformed},
		"byte order mark":             {200, "\ufeff" + listing(""), Malformed},
		"deep":                        {200, deep, Malformed},
		"deep inside":                 {200, `{"x":` + deep + `,"assetPositions":[],"time":1767225600123}`, Malformed},
		"list":                        {200, "[]", Schema},
		"string":                      {200, `"assetPositions"`, Schema},
		"number":                      {200, "0", Schema},
		"boolean":                     {200, "false", Schema},
		"empty object":                {200, "{}", Schema},
		"error object":                {200, `{"error":"busy"}`, Schema},
		"positions absent":            {200, `{"time":1767225600123}`, Schema},
		"positions null":              {200, `{"assetPositions":null,"time":1767225600123}`, Schema},
		"positions an object":         {200, `{"assetPositions":{},"time":1767225600123}`, Schema},
		"positions a string":          {200, `{"assetPositions":"[]","time":1767225600123}`, Schema},
		"positions twice":             {200, `{"assetPositions":[],"assetPositions":[],"time":1767225600123}`, Schema},
		"positions twice, once null":  {200, `{"assetPositions":null,"assetPositions":[],"time":1767225600123}`, Schema},
		"positions twice, escaped":    {200, `{"assetPositions":[],"asset\u0050ositions":[],"time":1767225600123}`, Schema},
		"positions in another case":   {200, `{"assetpositions":[],"time":1767225600123}`, Schema},
		"positions nested":            {200, `{"state":{"assetPositions":[]},"time":1767225600123}`, Schema},
		"time absent":                 {200, `{"assetPositions":[]}`, Schema},
		"time null":                   {200, `{"assetPositions":[],"time":null}`, Schema},
		"time a string":               {200, `{"assetPositions":[],"time":"1767225600123"}`, Schema},
		"time zero":                   {200, `{"assetPositions":[],"time":0}`, Schema},
		"time negative":               {200, `{"assetPositions":[],"time":-176722560012}`, Schema},
		"time one":                    {200, `{"assetPositions":[],"time":1}`, Schema},
		"time 1e18":                   {200, `{"assetPositions":[],"time":1e18}`, Schema},
		"time 1e18 in digits":         {200, `{"assetPositions":[],"time":1000000000000000000}`, Schema},
		"time 1e12 as an exponent":    {200, `{"assetPositions":[],"time":1.767225600e12}`, Schema},
		"time beyond every integer":   {200, `{"assetPositions":[],"time":99999999999999999999999999}`, Schema},
		"time a fraction":             {200, `{"assetPositions":[],"time":17672256001.5}`, Schema},
		"time an exponent":            {200, `{"assetPositions":[],"time":17672256001e2}`, Schema},
		"time in seconds":             {200, `{"assetPositions":[],"time":1767225600}`, Schema},
		"time in microseconds":        {200, `{"assetPositions":[],"time":1767225600123000}`, Schema},
		"time twice":                  {200, `{"assetPositions":[],"time":1767225600123,"time":1767225600124}`, Schema},
		"time in another case":        {200, `{"assetPositions":[],"Time":1767225600123}`, Schema},
		"entry null":                  {200, listing("null"), Schema},
		"entry a list":                {200, listing("[]"), Schema},
		"entry a string":              {200, listing(`"BTC"`), Schema},
		"entry without position":      {200, listing(`{"type":"oneWay"}`), Schema},
		"entry with position null":    {200, listing(`{"position":null}`), Schema},
		"entry with two positions":    {200, listing(`{"position":{"coin":"SOL"},"position":{"coin":"SOL"}}`), Schema},
		"coin absent":                 {200, listing(holding(`"szi":"1"`)), Schema},
		"coin null":                   {200, listing(holding(`"coin":null,"szi":"1"`)), Schema},
		"coin a number":               {200, listing(holding(`"coin":1,"szi":"1"`)), Schema},
		"coin in another case":        {200, listing(holding(`"Coin":"BTC","szi":"1"`)), Schema},
		"coin twice":                  {200, listing(holding(`"coin":"SOL","coin":"BTC","szi":"1"`)), Schema},
		"one of our coins twice":      {200, listing(holding(`"coin":"BTC","szi":"1"`) + "," + holding(`"coin":"BTC","szi":"1"`)), Schema},
		"one of our coins in escapes": {200, listing(holding(`"coin":"BTC","szi":"1"`) + "," + holding(`"coin":"\u0042TC","szi":"1"`)), Schema},
		"over the limit":              {200, listing("") + strings.Repeat(" ", maxStateBody), TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newClient(t, answer(tt.status, tt.body)).State(t.Context(), account)
			failed := wantFailure(t, err, tt.want)
			if failed.Status != tt.status || failed.Endpoint != "state" {
				t.Errorf("endpoint %s, status %d", failed.Endpoint, failed.Status)
			}
			if got != (State{}) {
				t.Errorf("a failure came with %+v", got)
			}
			if len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is no short line: %q", err)
			}
		})
	}
}

// A listed coin whose size cannot be read is unknown, whatever the reason.
func TestUnreadableSizeIsUnknownNeverZero(t *testing.T) {
	for _, szi := range []string{
		"", `,"szi":null`, `,"szi":""`, `,"szi":"NaN"`, `,"szi":"Infinity"`, `,"szi":"-"`, `,"szi":"0x10"`, `,"szi":"1,5"`,
		`,"szi":" 1"`, `,"szi":true`, `,"szi":[]`, `,"szi":{"value":"1"}`, `,"szi":"1e30"`, `,"szi":1e300`, `,"szi":"1e999999"`,
		`,"szi":"99999999999999999999"`, `,"szi":"1","szi":"2"`, `,"szi":null,"szi":"2"`, `,"SZI":"1"`, `,"Szi":0`,
		`,"szi":"` + strings.Repeat("9", 1<<20) + `"`, `,"szi":"` + strings.Repeat("0", 300) + `"`,
	} {
		for _, a := range asset.All {
			state, err := decodeState([]byte(listing(holding(`"coin":"` + a.Coin() + `","entryPx":"5"` + szi))))
			if err != nil {
				t.Fatalf("szi %.40q: %v", szi, err)
			}
			if got := state.Positions[a]; got.Known || got.Size != 0 || got.Entry != "5" {
				t.Errorf("szi %.40q of %s: %+v, want unknown beside a readable entry price", szi, a, got)
			}
		}
	}
}

func TestReadableSizes(t *testing.T) {
	for szi, want := range map[string]asset.Size{
		`"1.5"`: 150000, `1.5`: 150000, `-2`: -200000, `"0.0"`: 0, `"-0.0"`: 0, `0`: 0, `1e-5`: 1, `"\u0031"`: 100000,
		`"0.000004"`: 0, `"1064075.6000000001"`: 106407560000,
	} {
		state, err := decodeState([]byte(listing(holding(`"szi":` + szi + `,"coin":"BTC","SZI":"9","sZi":null`))))
		if got := state.Positions[asset.BTC]; err != nil || !got.Known || got.Size != want {
			t.Errorf("szi %s: %+v, %v; want %d", szi, got, err, want)
		}
	}
}

func TestForeignCoinsAreIgnored(t *testing.T) {
	var entries []string
	for _, coin := range []string{"hyna:BTC", "@107", "btc", "UBTC", "kHYPE", "", "PURR", "BTC "} {
		name, _ := json.Marshal(coin)
		entries = append(entries, holding(`"coin":`+string(name)+`,"szi":"7"`), holding(`"coin":`+string(name)+`,"szi":{}`))
	}
	state, err := decodeState([]byte(listing(strings.Join(entries, ","))))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range asset.All {
		if got := state.Positions[a]; got != (Position{Known: true}) {
			t.Errorf("%s = %+v, want flat", a, got)
		}
	}
}

func TestUnreadableDetailsAreEmptyTexts(t *testing.T) {
	state, err := decodeState([]byte(listing(holding(
		`"coin":"ETH","szi":"1","entryPx":"NaN","liquidationPx":{},"marginUsed":"1","marginUsed":"2","leverage":"20","EntryPx":"5"`))))
	if got := state.Positions[asset.ETH]; err != nil || got != (Position{Size: 10000, Known: true}) {
		t.Errorf("%+v, %v", got, err)
	}
	for leverage, want := range map[string]string{
		`{"value":"7.5"}`: "7.5", `{"value":3}`: "3", `{"value":null}`: "", `{}`: "", `{"value":1,"value":2}`: "", `[20]`: "", `{"Value":9}`: "",
	} {
		state, err := decodeState([]byte(listing(holding(`"coin":"ETH","szi":1,"leverage":` + leverage))))
		if got := state.Positions[asset.ETH].Leverage; err != nil || got != want {
			t.Errorf("leverage %s: %q, %v; want %q", leverage, got, err, want)
		}
	}
}

// The account's value is a figure beside the positions: whatever it is, the
// state stands.
func TestAccountValueIsFiniteOrZero(t *testing.T) {
	for margin, want := range map[string]float64{
		``:                                                         0,
		`"marginSummary":null,`:                                    0,
		`"marginSummary":[],`:                                      0,
		`"marginSummary":"13109.48",`:                              0,
		`"marginSummary":{},`:                                      0,
		`"marginSummary":{"accountValue":null},`:                   0,
		`"marginSummary":{"accountValue":""},`:                     0,
		`"marginSummary":{"accountValue":"NaN"},`:                  0,
		`"marginSummary":{"accountValue":"Infinity"},`:             0,
		`"marginSummary":{"accountValue":"-inf"},`:                 0,
		`"marginSummary":{"accountValue":"1e999"},`:                0,
		`"marginSummary":{"accountValue":1e999},`:                  0,
		`"marginSummary":{"accountValue":"0x10"},`:                 0,
		`"marginSummary":{"accountValue":["1"]},`:                  0,
		`"marginSummary":{"AccountValue":"1"},`:                    0,
		`"marginSummary":{"accountValue":"1","accountValue":"1"},`: 0,
		`"marginSummary":{"accountValue":"1"},"marginSummary":{"accountValue":"1"},`: 0,
		`"crossMarginSummary":{"accountValue":"1"},`:                                 0,
		`"marginSummary":{"accountValue":"0.0"},`:                                    0,
		`"marginSummary":{"accountValue":"62426218.3606450111"},`:                    62426218.3606450111,
		`"marginSummary":{"accountValue":"-12.5"},`:                                  -12.5,
		`"marginSummary":{"accountValue":13109.482328},`:                             13109.482328,
		`"marginSummary":{"accountValue":"1e30"},`:                                   1e30,
	} {
		got, err := newClient(t, answer(200, `{`+margin+`"assetPositions":[],"time":1767225600123}`)).State(t.Context(), account)
		if err != nil || got.AccountValue != want || math.Signbit(got.AccountValue) != (want < 0) {
			t.Errorf("%s gives %g, %v; want %g", margin, got.AccountValue, err, want)
		}
	}
}
