package hyperliquid

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rows is a leaderboard of these rows, separated by commas.
func rows(list string) string { return `{"leaderboardRows":[` + list + `]}` }

// ranking row n, with this month PnL.
func row(n int, pnl string) string {
	return fmt.Sprintf(`{"ethAddress":"0x%040x","accountValue":"1.0","windowPerformances":[["month",{"pnl":%s,"roi":"0.5","vlm":"1"}]],"prize":0,"displayName":null}`, n, pnl)
}

func address(n int) string { return fmt.Sprintf("0x%040x", n) }

func TestLeaderboardGivesTheFirstByMonth(t *testing.T) {
	c := newClient(t, answer(200, testdata(t, "leaderboard.json")))
	all := []Entry{
		{address(0xb3), "250000.75", "1.5", "1.0"},
		{address(0xb4), "250000.75", "1.25", "1.0"},
		{address(0xb1), "100.25", "0.5", "1000.5"},
		{address(0xb5), "0", "", "77.0"},
		{address(0xb2), "-3.5", "-0.01", "2000.0"},
	}
	for _, top := range []int{-1, 0, 1, 2, 3, 5, 6, 1 << 40} {
		got, err := c.Leaderboard(t.Context(), top, Validators{})
		want := Leaderboard{Entries: all[:max(0, min(top, len(all)))], RowsRead: 6, RowsSkipped: 1}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("top %d: %v\n%s", top, err, diff)
		}
	}
}

func TestLeaderboardIsAskedForConditionally(t *testing.T) {
	const etag, modified = `"abc"`, "Thu, 01 Jan 2026 12:00:00 GMT"
	for _, known := range []Validators{{}, {ETag: etag}, {LastModified: modified}, {etag, modified}, {ETag: `"old"`}} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/Mainnet/leaderboard" {
				t.Errorf("asked with %s %s", r.Method, r.URL.Path)
			}
			if _, sent := r.Header["If-None-Match"]; sent != (known.ETag != "") {
				t.Errorf("%+v: If-None-Match is sent: %t", known, sent)
			}
			if _, sent := r.Header["If-Modified-Since"]; sent != (known.LastModified != "") {
				t.Errorf("%+v: If-Modified-Since is sent: %t", known, sent)
			}
			w.Header().Set("ETag", etag)
			w.Header().Set("Last-Modified", modified)
			if r.Header.Get("If-None-Match") == etag || r.Header.Get("If-Modified-Since") == modified {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprint(w, rows(row(1, `"5"`)))
		})
		got, err := c.Leaderboard(t.Context(), 5, known)
		want := Leaderboard{NotModified: true, Validators: known}
		if known == (Validators{}) || known.ETag == `"old"` {
			want = Leaderboard{Entries: []Entry{{address(1), "5", "0.5", "1.0"}}, RowsRead: 1, Validators: Validators{etag, modified}}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%+v: %v\n%s", known, err, diff)
		}
	}
}

func TestNotModifiedMustHaveBeenAskedFor(t *testing.T) {
	_, err := newClient(t, answer(304, "")).Leaderboard(t.Context(), 5, Validators{})
	wantFailure(t, err, Rejected)
}

func TestValidatorsTooLongToKeepAreDropped(t *testing.T) {
	header := http.Header{"Etag": {strings.Repeat("x", 513)}, "Last-Modified": {strings.Repeat("x", 512)}}
	if got := validatorsOf(header); got.ETag != "" || len(got.LastModified) != 512 {
		t.Errorf("%+v", got)
	}
}

func TestLeaderboardFailures(t *testing.T) {
	good := row(1, `"5"`)
	deep := strings.Repeat("[", 1e6) + strings.Repeat("]", 1e6)
	long := strings.Repeat("x", 2<<20)
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":             {429, "null", RateLimited},
		"server error":             {500, "null", ServerError},
		"bad gateway":              {502, rows(good), ServerError},
		"forbidden":                {403, "<html>", Rejected},
		"partial":                  {206, rows(good), Rejected},
		"null":                     {200, "null", Null},
		"nothing":                  {200, "", Malformed},
		"html":                     {200, "<html></html>", Malformed},
		"text":                     {200, "busy", Malformed},
		"list":                     {200, "[" + good + "]", Schema},
		"string":                   {200, `"leaderboardRows"`, Schema},
		"number":                   {200, "1", Schema},
		"no rows":                  {200, "{}", Schema},
		"rows in another case":     {200, `{"LeaderboardRows":[` + good + `]}`, Schema},
		"rows nested":              {200, `{"x":` + rows(good) + `}`, Schema},
		"rows null":                {200, `{"leaderboardRows":null}`, Schema},
		"rows an object":           {200, `{"leaderboardRows":{}}`, Schema},
		"rows a string":            {200, `{"leaderboardRows":"[]"}`, Schema},
		"rows twice":               {200, `{"leaderboardRows":[],"leaderboardRows":[` + good + `]}`, Schema},
		"rows twice, escaped":      {200, `{"leaderboardRows":[],"leaderboard\u0052ows":[]}`, Schema},
		"cut in a row":             {200, rows(good)[:60], Malformed},
		"cut after a row":          {200, `{"leaderboardRows":[` + good, Malformed},
		"cut after a comma":        {200, `{"leaderboardRows":[` + good + ",", Malformed},
		"cut after the rows":       {200, `{"leaderboardRows":[` + good + "]", Malformed},
		"cut after a name":         {200, `{"leaderboardRows"`, Malformed},
		"cut in a name":            {200, `{"leaderboardRo`, Malformed},
		"cut after the brace":      {200, `{`, Malformed},
		"comma at the end of rows": {200, rows(good + ","), Malformed},
		"comma at the end":         {200, `{"leaderboardRows":[],}`, Malformed},
		"no comma":                 {200, rows(good + good), Malformed},
		"wrong bracket":            {200, `{"leaderboardRows":[` + good + `}}`, Malformed},
		"one syntax error":         {200, rows(good + `,{"ethAddress":}`), Malformed},
		"two values":               {200, rows(good) + rows(good), Malformed},
		"trailing text":            {200, rows(good) + "x", Malformed},
		"trailing bracket":         {200, rows(good) + "]", Malformed},
		"trailing brace":           {200, rows(good) + "}", Malformed},
		"deep":                     {200, deep, Schema},
		"deep before":              {200, `{"x":` + deep + `,"leaderboardRows":[]}`, Malformed},
		"deep behind":              {200, `{"leaderboardRows":[],"x":` + deep + `}`, Malformed},
		"deep in a row":            {200, rows(`{"displayName":` + deep + `}`), Malformed},
		"deep row":                 {200, rows(deep), Malformed},
		"long name in a row":       {200, rows(`{"displayName":"` + long + `"}`), TooLarge},
		"long member":              {200, `{"` + long + `":1,"leaderboardRows":[]}`, TooLarge},
		"long value":               {200, `{"x":"` + long + `","leaderboardRows":[]}`, TooLarge},
		"long list":                {200, `{"x":[` + strings.Repeat("1,", 1<<20) + `1],"leaderboardRows":[]}`, TooLarge},
		"long number":              {200, rows(strings.Repeat("1", 2<<20)), TooLarge},
		"long blanks before":       {200, strings.Repeat(" ", 2<<20) + rows(good), TooLarge},
		"long blanks between":      {200, rows(good + strings.Repeat(" ", 2<<20)), TooLarge},
		"long blanks behind":       {200, rows(good) + strings.Repeat("\n", 2<<20), TooLarge},
		"rows a long string":       {200, `{"leaderboardRows":"` + long + `"}`, TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newClient(t, answer(tt.status, tt.body)).Leaderboard(t.Context(), 5, Validators{})
			failed := wantFailure(t, err, tt.want)
			if failed.Status != tt.status || failed.Endpoint != "leaderboard" || len(err.Error()) > 300 {
				t.Errorf("%+v: %.400q", failed, err)
			}
			if diff := cmp.Diff(Leaderboard{}, got); diff != "" {
				t.Errorf("a failure came with something: %s", diff)
			}
		})
	}
}

func TestUnknownValuesBesideTheRowsAreSkipped(t *testing.T) {
	body := `{"version":1e999,"leaderboardrows":null,"x":{"leaderboardRows":[1]},"leaderboardRows":[` + row(1, `"5"`) + `],"y":["]}"],"z":"\ud800"}` + "\n"
	got, err := decodeLeaderboard(strings.NewReader(body), 5)
	if err != nil || len(got.Entries) != 1 || got.RowsRead != 1 || got.RowsSkipped != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A body that is large for its number of rows stops at the limit for it as a
// whole. The limit is lowered so that the test need not send half a gigabyte.
func TestTheWholeBodyIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`{"leaderboardRows":[`), &repeated{text: row(1, `"5"`) + ","})
	source := &bounded{from: endless, left: 3 << 20}
	_, err := decodeBounded(source, 5)
	wantFailure(t, err, TooLarge)
	if source.read != 3<<20 {
		t.Errorf("%d bytes were read", source.read)
	}
}

// repeated is a text without end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
