package hyperliquid

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// universe is a list of coins with these entries, separated by commas.
func universe(entries string) string { return `{"universe":[` + entries + `]}` }

func TestMetaTellsOfOurCoins(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		w.Header().Set("Date", answerDate)
		_, _ = io.WriteString(w, testdata(t, "meta.json"))
	})
	got, err := c.Meta(t.Context())
	want := Meta{Answered: answerTime}
	for _, a := range asset.All {
		want.Coins[a] = Coin{Listed: true, SizeDecimals: a.Decimals()}
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if asked != `{"type":"meta"}` {
		t.Errorf("asked %s", asked)
	}
}

func TestCoins(t *testing.T) {
	for name, tt := range map[string]struct {
		entries string
		want    Coin // of BTC
	}{
		"none at all":       {"", Coin{}},
		"others only":       {`{"name":"ETH","szDecimals":4}`, Coin{}},
		"another case":      {`{"name":"btc","szDecimals":5}`, Coin{}},
		"a builder's":       {`{"name":"hyna:BTC","szDecimals":5}`, Coin{}},
		"listed":            {`{"name":"BTC","szDecimals":5}`, Coin{Listed: true, SizeDecimals: 5}},
		"another precision": {`{"name":"BTC","szDecimals":12}`, Coin{Listed: true, SizeDecimals: 12}},
		"none":              {`{"szDecimals":0,"name":"BTC"}`, Coin{Listed: true}},
		"in escapes":        {`{"name":"\u0042TC","szDecimals":5}`, Coin{Listed: true, SizeDecimals: 5}},
		"delisted":          {`{"name":"BTC","szDecimals":5,"isDelisted":true}`, Coin{Listed: true, Delisted: true, SizeDecimals: 5}},
		"not delisted":      {`{"name":"BTC","szDecimals":5,"isDelisted":false}`, Coin{Listed: true, SizeDecimals: 5}},
		"not said":          {`{"name":"BTC","szDecimals":5,"isDelisted":null,"IsDelisted":true}`, Coin{Listed: true, SizeDecimals: 5}},
		"beside odd others": {`{"name":"X"},{"name":"X","szDecimals":"?","isDelisted":3},{"name":"BTC","szDecimals":5}`, Coin{Listed: true, SizeDecimals: 5}},
	} {
		got, err := newClient(t, answer(200, universe(tt.entries))).Meta(t.Context())
		if err != nil || got.Coins[asset.BTC] != tt.want || got.Coins[asset.HYPE] != (Coin{}) {
			t.Errorf("%s: %+v, %v; want %+v", name, got.Coins, err, tt.want)
		}
	}
}

func TestMetaFailures(t *testing.T) {
	btc := `{"name":"BTC","szDecimals":5}`
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":            {429, "null", RateLimited},
		"server error":            {500, universe(btc), ServerError},
		"null":                    {200, "null", Null},
		"nothing":                 {200, "", Malformed},
		"html":                    {200, "<html>", Malformed},
		"cut short":               {200, universe(btc)[:20], Malformed},
		"trailing data":           {200, universe(btc) + "{}", Malformed},
		"a list":                  {200, "[" + btc + "]", Schema},
		"empty":                   {200, "{}", Schema},
		"universe null":           {200, `{"universe":null}`, Schema},
		"universe an object":      {200, `{"universe":{"BTC":` + btc + `}}`, Schema},
		"universe twice":          {200, `{"universe":[` + btc + `],"universe":[]}`, Schema},
		"universe in capitals":    {200, `{"Universe":[]}`, Schema},
		"entry null":              {200, universe(btc + ",null"), Schema},
		"entry a string":          {200, universe(`"BTC"`), Schema},
		"entry unnamed":           {200, universe(`{"szDecimals":5}`), Schema},
		"entry named twice":       {200, universe(`{"name":"X","name":"BTC","szDecimals":5}`), Schema},
		"a number as name":        {200, universe(`{"name":1}`), Schema},
		"decimals absent":         {200, universe(`{"name":"BTC"}`), Schema},
		"decimals null":           {200, universe(`{"name":"BTC","szDecimals":null}`), Schema},
		"decimals a string":       {200, universe(`{"name":"BTC","szDecimals":"5"}`), Schema},
		"decimals negative":       {200, universe(`{"name":"BTC","szDecimals":-1}`), Schema},
		"decimals a fraction":     {200, universe(`{"name":"BTC","szDecimals":5.0}`), Schema},
		"decimals an exponent":    {200, universe(`{"name":"BTC","szDecimals":5e0}`), Schema},
		"decimals a hundred":      {200, universe(`{"name":"BTC","szDecimals":100}`), Schema},
		"decimals twice":          {200, universe(`{"name":"BTC","szDecimals":5,"szDecimals":5}`), Schema},
		"delisted a string":       {200, universe(`{"name":"BTC","szDecimals":5,"isDelisted":"true"}`), Schema},
		"delisted twice":          {200, universe(`{"name":"BTC","szDecimals":5,"isDelisted":true,"isDelisted":true}`), Schema},
		"forty megabytes":         {200, universe(btc) + strings.Repeat(" ", 40<<20), TooLarge},
		"forty megabytes of list": {200, universe(btc + strings.Repeat(`,{"name":"X"}`, 40<<20/13)), TooLarge},
	} {
		got, err := newClient(t, answer(tt.status, tt.body)).Meta(t.Context())
		if failed := wantFailure(t, err, tt.want); failed.Endpoint != "meta" || failed.Status != tt.status || got != (Meta{}) {
			t.Errorf("%s: %v and %+v", name, failed, got)
		}
	}
}

// One of ours that is listed twice is told as such, however alike its entries are: nobody
// can tell which is true.
func TestS12ACoinThatIsListedTwiceIsTold(t *testing.T) {
	const btc = `{"name":"BTC","szDecimals":5}`
	for _, second := range []string{btc, `{"name":"\u0042TC","szDecimals":4}`, `{"name":"BTC","szDecimals":5,"isDelisted":true}`} {
		meta, err := decodeMeta([]byte(`{"universe":[` + btc + `,{"name":"ETH","szDecimals":4},` + second + `]}`))
		if err != nil || !meta.Coins[asset.BTC].Listed || !meta.Coins[asset.BTC].Twice || meta.Coins[asset.ETH].Twice {
			t.Errorf("%s: %+v, %v", second, meta.Coins, err)
		}
	}
}
