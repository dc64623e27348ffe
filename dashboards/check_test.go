package dashboards

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/docs"
)

// No link of a board that was made for a service leads to the repository, and none of the
// other leads to a service: an alert at night must not end at a page of another version.
func TestLinksOfABoardLeadToOnePlace(t *testing.T) {
	const service = "https://example.org/gate"
	for external, not := range map[string]string{service: docs.Repository, "": service} {
		files, err := Files(external)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !bytes.Contains(f.Body, []byte(docs.URL(external, "runbooks/"))) || bytes.Contains(f.Body, []byte(not)) {
				t.Errorf("%s, made for %q: no link there, or one to %s", f.Name, external, not)
			}
		}
	}
}

// Boards are this program's whichever service they were made for, and check names it.
func TestCheckNamesWhereLinksLead(t *testing.T) {
	for _, tt := range []struct {
		name, external string
		change         func(string) string
		ok             bool
		note           string
	}{
		{"made for a service", "https://example.org/gate", nil, true, "same; its links lead to https://example.org/gate"},
		{"made for none", "", nil, true, "same; its links lead to the repository"},
		{"one link changed", "https://example.org/gate", func(s string) string {
			return strings.Replace(s, "https://example.org/gate", "https://elsewhere.example.org", 1)
		}, false, "it differs"},
		{"every link a script", "https://example.org/gate", func(s string) string { return strings.ReplaceAll(s, "https://example.org/gate", "javascript:") }, false, "it differs"},
		{"no link", "", func(s string) string { return strings.ReplaceAll(s, openRunbook, "Open") }, false, "it differs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			boards := map[string]string{}
			files, err := Files(tt.external)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if body := string(f.Body); !f.V2 {
					if tt.change != nil {
						body = tt.change(body)
					}
					boards[f.UID] = body
				}
			}
			grafana := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]any{"dashboard": json.RawMessage(boards[path.Base(r.URL.Path)])})
			}))
			defer grafana.Close()
			for uid := range boards {
				if uid == TradingUID && strings.HasPrefix(tt.name, "one link") {
					continue // it has no other one
				}
				got, err := (&Client{URL: grafana.URL}).checkBoard(t.Context(), uid)
				if err != nil || got.OK != tt.ok || !strings.HasPrefix(got.Note, tt.note) {
					t.Errorf("%s: %+v, %v", uid, got, err)
				}
			}
		})
	}
}
