package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/prometheus"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// TestPrometheusAnswersInAnIncident scrapes a service and a watchdog with a real
// Prometheus: every query of the documentation answers, the shipped rules know
// what is there, are quiet, and speak when something breaks.
func TestPrometheusAnswersInAnIncident(t *testing.T) {
	t.Parallel()
	program, err := prometheus.Find()
	if err != nil {
		missing(t, err)
	}
	w := quietWorld(t)
	w.env = append(w.environ(), "WHALEGATE_DATABASE_DISK="+t.TempDir(), "WHALEGATE_DATABASE_DISK_RESERVE=1MiB")
	w.run()
	w.awaitHealth(health.Healthy, "")
	env := append(w.environ(), "DATABASE_URL="+w.pg.URL("whalegate_watchdog", dbName))
	watchdog := launch(w, env, "watchdog").logged(w, "watchdog started")["address"].(string)
	p := w.prometheus(program, watchdog)

	t.Run("queries", func(t *testing.T) { p.in(t).checkQueries() })
	t.Run("rules", func(t *testing.T) { p.in(t).checkRules() })

	w.fault(`{"kind":"status","code":429,"endpoint":"state"}`)
	for _, alert := range []string{"WhalegateIngestionFailing", "WhalegateSignalsBlocked"} {
		p.await(fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing"}`, alert))
	}
	for _, alert := range []string{"WhalegateStale", "WhalegateRateLimited", "WhalegateUpstreamFailing"} { // these want minutes, of real time
		p.await(fmt.Sprintf(`ALERTS{alertname=%q}`, alert))
	}
	p.await(`whalegate_health_reason{job="whalegate"} == 1`)
	p.await(`sum by (reason) (increase(whalegate_wallet_failures_total{job="whalegate"}[15m])) > 0`)
	w.service.kill()
	p.await(`ALERTS{alertname="WhalegateDown"}`)
	p.await(`ALERTS{alertname="WhalegateNoCycle"}`)
}

// scraper is a Prometheus that looks at a world once a second.
type scraper struct {
	*world
	url string
}

func (w *world) prometheus(program, watchdog string) *scraper {
	w.Helper()
	port, err := subprocess.FreePort()
	must(w, err)
	s, err := prometheus.Start(w.Context(), prometheus.Config{
		Program: program, Dir: openDir(w), Port: port, Every: time.Second,
		Target: strings.TrimPrefix(w.address, "http://"), Watchdog: strings.TrimPrefix(watchdog, "http://"),
	})
	must(w, err)
	w.Cleanup(func() { must(w, s.Stop()) })
	return &scraper{w, s.URL}
}

// in is the scraper as a subtest sees it.
func (p *scraper) in(t testing.TB) *scraper { return &scraper{p.world.in(t), p.url} }

// get asks Prometheus's API and decodes the data of its answer.
func (p *scraper) get(path string, data any) error {
	p.Helper()
	code, body := p.ask("GET", p.url+path, "")
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%d %s: %w", code, body, err)
	}
	return nil
}

var errEmpty = errors.New("no answer")

// query is an error when Prometheus has one, and errEmpty when it has no answer.
func (p *scraper) query(text string) error {
	p.Helper()
	var data struct{ Result []any }
	if err := p.get("/api/v1/query?query="+url.QueryEscape(text), &data); err != nil {
		return err
	}
	if len(data.Result) == 0 {
		return errEmpty
	}
	return nil
}

func (p *scraper) await(text string) {
	p.Helper()
	await(p, text, func() error { return p.query(text) })
}

// documented is a query of docs/promql.md.
type documented struct {
	text     string
	mayBeNil bool // "empty when all is well"
}

func documentedQueries(t testing.TB) (all []documented) {
	t.Helper()
	body, err := os.ReadFile("../docs/promql.md")
	must(t, err)
	text, from := string(body), 0
	for _, at := range regexp.MustCompile("(?s)```promql\n(.*?)\n```\n").FindAllStringSubmatchIndex(text, -1) {
		before := strings.TrimSpace(text[from:at[0]])
		last := before[strings.LastIndex(before, "\n\n")+1:]
		all = append(all, documented{text[at[2]:at[3]], strings.Contains(last, "*Empty when all is well")})
		from = at[1]
	}
	if fences := strings.Count(text, "```"); len(all) < 50 || fences != 2*len(all) {
		t.Fatalf("%d queries in %d fences: this checks too little", len(all), fences)
	}
	return all
}

// checkQueries runs every query of the documentation in a healthy world.
func (p *scraper) checkQueries() {
	empty := 0
	for _, q := range documentedQueries(p) {
		if !q.mayBeNil {
			p.await(q.text)
			continue
		}
		if err := p.query(q.text); errors.Is(err, errEmpty) {
			empty++
		} else if err != nil {
			p.Errorf("%s: %v", q.text, err)
		} else if strings.Contains(q.text, "__name__") || strings.Contains(q.text, "ALERTS") {
			p.Errorf("%s: has an answer, and all is well", q.text)
		}
	}
	if empty == 0 {
		p.Error("every query that may be empty has an answer: all is not well")
	}
}

// checkRules wants every shipped rule to be evaluated without an error, to ask
// for nothing that is not there, and not to fire in a healthy world.
func (p *scraper) checkRules() {
	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Query, Health, LastError string }
		}
	}
	await(p, "every rule to be evaluated", func() error {
		must(p, p.get("/api/v1/rules", &groups))
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		return nil
	})
	var names []string
	must(p, p.get("/api/v1/label/__name__/values", &names))
	asked := map[string]string{}
	for _, q := range documentedQueries(p) {
		asked[q.text] = "docs/promql.md"
	}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			asked[r.Query] = r.Name
		}
	}
	if len(asked) < 90 {
		p.Errorf("only %d queries were found: this checks too little", len(asked))
	}
	quoted, metric := regexp.MustCompile(`"[^"]*"`), regexp.MustCompile(`\b(?:[a-z]+:)?(?:whalegate|process|go)_[a-z0-9_]+(?::[a-z0-9_]+)?`)
	for query, who := range asked {
		for _, name := range metric.FindAllString(quoted.ReplaceAllString(query, ""), -1) {
			if !slices.Contains(names, name) {
				p.Errorf("%s asks for %s, which nobody exports", who, name)
			}
		}
	}
	if err := p.query(`ALERTS{alertstate="firing"}`); !errors.Is(err, errEmpty) {
		p.Errorf("alerts fire in a healthy world: %v", err)
	}
}
