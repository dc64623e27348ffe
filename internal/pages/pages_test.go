package pages

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/docs"
)

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w
}

var (
	link    = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	heading = regexp.MustCompile(`id="([^"]*)"`)
)

// Every page is reached from the first one, and no link on any of them is dead: neither the
// page, nor the heading on it. That holds wherever the pages are served.
func TestNoLinkIsDead(t *testing.T) {
	for _, prefix := range []string{"", "/gate", "/a/b"} {
		t.Run(prefix, func(t *testing.T) { checkLinks(t, prefix) })
	}
}

func checkLinks(t *testing.T, prefix string) {
	pages, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	h := http.StripPrefix(prefix, pages)
	served := map[string]bool{} // by others
	for _, path := range []string{"/metrics", "/api/v1/status", "/-/healthy", "/-/ready"} {
		served[prefix+path] = true
	}
	todo, seen, bodies := []string{prefix + "/"}, map[string]bool{prefix + "/": true}, map[string]string{}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		w := get(t, h, at)
		if w.Code != http.StatusOK {
			t.Errorf("%s answers %d", at, w.Code)
		}
		bodies[at] = w.Body.String()
		if w.Header().Get("Content-Type") == "image/png" {
			continue
		}
		for _, to := range links(t, at, bodies[at]) {
			if to.Host == "" && !seen[to.Path] && !served[to.Path] {
				seen[to.Path] = true
				todo = append(todo, to.Path)
			}
		}
	}
	for at, body := range bodies {
		for _, to := range links(t, at, body) {
			if to.Host != "" || to.Fragment == "" {
				continue
			}
			has := false
			for _, id := range heading.FindAllStringSubmatch(bodies[to.Path], -1) {
				has = has || id[1] == to.Fragment
			}
			if !has {
				t.Errorf("%s links to %s, and there is no such heading", at, to)
			}
		}
	}
	err = fs.WalkDir(docs.Files, ".", func(name string, entry fs.DirEntry, err error) error {
		if at := prefix + docs.Path(name); err == nil && !entry.IsDir() && !seen[at] {
			t.Errorf("no link leads to %s", at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// links are where the links of a page lead, as a browser follows them.
func links(t *testing.T, at, body string) (list []*url.URL) {
	t.Helper()
	for _, found := range link.FindAllStringSubmatch(body, -1) {
		to, err := url.Parse(found[1])
		if err != nil {
			t.Errorf("%s: %v", at, err)
			continue
		}
		list = append(list, (&url.URL{Path: at}).ResolveReference(to))
	}
	return list
}

// Nothing of a page comes from elsewhere, and no other page may hold it in a frame.
func TestAPageIsClosed(t *testing.T) {
	h, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	w := get(t, h, "/runbooks/7-database")
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Error(policy)
	}
	for _, want := range []string{"<title>7: database", "whalegate runbook diagnose", `href="../runbooks/8-halt"`, `href="../docs/retention"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if w := get(t, h, "/runbooks/10-none"); w.Code != http.StatusNotFound {
		t.Errorf("a page that is not there: %d", w.Code)
	}
}
