package hyperliquid

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const answerDate = "Thu, 01 Jan 2026 12:00:42 GMT"

var answerTime = time.Date(2026, 1, 1, 12, 0, 42, 0, time.UTC)

// dated answers with these headers, written as "Name: value".
func dated(body string, headers ...string) canned {
	return func(req *http.Request) (*http.Response, error) {
		res, err := answer(200, body)(req)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			res.Header.Add(name, value)
		}
		return res, err
	}
}

func TestAnsweredIsTheServersClock(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []string
		want    time.Time
	}{
		"no date":             {nil, time.Time{}},
		"a date":              {[]string{"Date: " + answerDate}, answerTime},
		"an older form":       {[]string{"Date: Thu Jan  1 12:00:42 2026"}, answerTime},
		"held by a cache":     {[]string{"Date: " + answerDate, "Age: 90"}, answerTime.Add(90 * time.Second)},
		"fresh from a cache":  {[]string{"Date: " + answerDate, "Age: 0"}, answerTime},
		"the longest age":     {[]string{"Date: " + answerDate, "Age: 2147483648"}, answerTime.Add(2147483648 * time.Second)},
		"an age only":         {[]string{"Age: 90"}, time.Time{}},
		"no date at all":      {[]string{"Date: today"}, time.Time{}},
		"an empty date":       {[]string{"Date: "}, time.Time{}},
		"a date of our own":   {[]string{"Date: 2026-01-01T12:00:42Z"}, time.Time{}},
		"two dates":           {[]string{"Date: " + answerDate, "Date: Thu, 01 Jan 2026 12:00:43 GMT"}, time.Time{}},
		"a negative age":      {[]string{"Date: " + answerDate, "Age: -1"}, time.Time{}},
		"an age in fractions": {[]string{"Date: " + answerDate, "Age: 1.5"}, time.Time{}},
		"an endless age":      {[]string{"Date: " + answerDate, "Age: 99999999999999999999"}, time.Time{}},
		"too long an age":     {[]string{"Date: " + answerDate, "Age: 2147483649"}, time.Time{}},
		"two ages":            {[]string{"Date: " + answerDate, "Age: 1", "Age: 2"}, time.Time{}},
		"an empty age":        {[]string{"Date: " + answerDate, "Age: "}, time.Time{}},
	} {
		state, err := newClient(t, dated(listing(""), tt.headers...)).State(t.Context(), account)
		if err != nil || !state.Answered.Equal(tt.want) || state.Answered.Location() != time.UTC {
			t.Errorf("%s: answered %s, %v; want %s", name, state.Answered, err, tt.want)
		}
	}
}

// A real server stamps its answers, in whatever zone we are.
func TestAnsweredComesThroughHTTP(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", answerDate)
		w.Header().Set("Age", "3")
		_, _ = io.WriteString(w, listing(""))
	})
	if state, err := c.State(t.Context(), account); err != nil || state.Answered != answerTime.Add(3*time.Second) {
		t.Errorf("answered %s, %v", state.Answered, err)
	}
}
