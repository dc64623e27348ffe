package gather

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/status"
)

const (
	// toldWithin is longer than the service itself waits for its database when somebody
	// looks; all is asked at once.
	toldWithin = 3 * time.Second
	maxBody    = 4 << 20
)

// askService asks whether the process lives, can work, and what it knows.
func askService(ctx context.Context, from Source) runbook.Service {
	base := strings.TrimSuffix(from.ServiceURL, "/")
	if base == "" {
		return runbook.Service{}
	}
	s := runbook.Service{URL: "(not shown)"}
	u, err := url.Parse(base)
	if err == nil {
		s.URL = u.Redacted() // it may hold the password of basic auth
	}
	if err != nil || u.Host == "" {
		s.Trouble, s.Error = runbook.Answered, "service URL: not of the form http://127.0.0.1:9464, nor empty for none"
		return s
	}
	before := from.Clock.Now()
	healthy, ready, reported, measured := &answer{}, &answer{}, &answer{}, &answer{}
	var asking sync.WaitGroup
	for path, a := range map[string]*answer{"/-/healthy": healthy, "/-/ready": ready, "/api/v1/status": reported, "/metrics": measured} {
		asking.Go(func() { *a = get(ctx, base+path) })
	}
	asking.Wait()
	switch a := healthy; {
	case schemeIsWrong(a) != "":
		s.Trouble, s.Error = runbook.Answered, schemeIsWrong(a)
		return s
	case a.err != nil && timedOut(a.err):
		s.Trouble, s.Error = runbook.Hanging, "connected, and no answer within "+toldWithin.String()
		return s
	case a.err != nil:
		s.Trouble, s.Error = runbook.Refused, said(a.err)
		return s
	case a.code != http.StatusOK:
		s.Trouble, s.Error = runbook.Answered, fmt.Sprintf("/-/healthy answers %d", a.code)
		return s
	}
	a := ready
	if s.Ready = a.err == nil && a.code == http.StatusOK; !s.Ready {
		s.NotReady = strings.TrimSpace(string(a.body))
		if a.err != nil {
			s.NotReady = said(a.err)
		}
	}
	a = reported
	if a.err == nil {
		var report status.Report
		if a.err = json.Unmarshal(a.body, &report); a.err == nil {
			s.Told = ofReport(report)
			if !report.At.IsZero() {
				s.ClockAhead = new(outside(report.At, before, from.Clock.Now()))
			}
		}
	}
	if a.err != nil {
		s.Error = "/api/v1/status: " + said(a.err)
	}
	a = measured
	if a.err == nil {
		a.err = readMetrics(&s, string(a.body), from.Clock)
	}
	if a.err != nil {
		s.Error = "/metrics: " + said(a.err)
		if s.Told == nil { // it is not ours, whatever it says of its health
			s.Trouble = runbook.Answered
		}
	}
	return s
}

// askWatchdog asks whether the dead man's switch lives, and can work.
func askWatchdog(ctx context.Context, address string) runbook.Watchdog {
	base := strings.TrimSuffix(address, "/")
	if base == "" {
		return runbook.Watchdog{}
	}
	w := runbook.Watchdog{URL: "(not shown)"}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		w.Error = "watchdog URL: not of the form http://127.0.0.1:9466, nor empty for none"
		return w
	}
	w.URL = u.Redacted()
	a := get(ctx, base+"/-/ready")
	switch wrong := schemeIsWrong(&a); {
	case wrong != "":
		w.Error = strings.ReplaceAll(wrong, "--service-url", "--watchdog-url")
	case a.err != nil:
		w.Error = said(a.err)
	case a.code != http.StatusOK:
		w.Error = fmt.Sprintf("it cannot work: %s", strings.TrimSpace(string(a.body)))
	}
	return w
}

// answer is what came of one question.
type answer struct {
	code int
	body []byte
	err  error
}

func get(ctx context.Context, address string) answer {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Accept", "text/plain")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	return answer{response.StatusCode, body, err}
}

// schemeIsWrong tells that the process is there, and is asked in another way than it
// speaks: with TLS or without, or by a name that its certificate does not have. "": it is
// not that.
func schemeIsWrong(a *answer) string {
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(a.err, http.ErrSchemeMismatch):
		return "it speaks no TLS: give --service-url with http://"
	case a.err == nil && a.code == http.StatusBadRequest && strings.Contains(string(a.body), "HTTP request to an HTTPS server"):
		return "it speaks TLS: give --service-url with https://, and the name in its certificate"
	case errors.As(a.err, &certificate):
		return "its certificate is not trusted here, or has another name: give --service-url by that name, and trust who signed it (SSL_CERT_FILE): " + certificate.Err.Error()
	}
	return ""
}

// timedOut tells a process that took the connection and does not answer from one
// that could not be reached at all.
func timedOut(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// said is the error without the address, which may hold a password.
func said(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return err.Error()
}

// readMetrics keeps the gauges and counters by their series, and every name.
func readMetrics(s *runbook.Service, text string, c clock.Clock) error {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return err
	}
	s.Metrics = map[string]float64{}
	names := map[string]bool{}
	for name, family := range families {
		names[name] = true
		for _, m := range family.Metric {
			for _, l := range m.Label {
				names[l.GetName()] = true
			}
			switch family.GetType() {
			case dto.MetricType_GAUGE:
				s.Metrics[series(name, m)] = m.Gauge.GetValue()
			case dto.MetricType_COUNTER:
				s.Metrics[series(name, m)] = m.Counter.GetValue()
			}
		}
	}
	if !names[runbook.UnsavedRuns] {
		s.Trouble = runbook.Answered
		return errors.New("what answers there is not the service, which counts the runs that wait: is it the watchdog?")
	}
	for name := range names {
		s.Named = append(s.Named, name)
	}
	slices.Sort(s.Named)
	if started, ok := s.Metrics["process_start_time_seconds"]; ok {
		// As long as the clock of a test makes it.
		speed := float64(time.Second) / float64(c.Real(time.Second))
		s.Up = time.Duration(float64(time.Since(time.UnixMilli(int64(started*1000)))) * speed)
	}
	return nil
}

func series(name string, m *dto.Metric) string {
	if len(m.Label) == 0 {
		return name
	}
	labels := make([]string, len(m.Label))
	for i, l := range m.Label {
		labels[i] = fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
	}
	return name + "{" + strings.Join(labels, ",") + "}"
}

// ofReport is what a diagnosis needs of the service's report.
func ofReport(r status.Report) *runbook.Told {
	t := &runbook.Told{Health: r.Health, Halt: r.Halt, Leader: r.Leader, Signals: len(r.Signals), Error: r.Error, Exchange: r.Exchange}
	if run := r.LastRun; run != nil {
		t.LastRun = &runbook.Run{Timestamp: run.Timestamp, Status: run.Status, CoveragePct: run.CoveragePct, Failures: run.Failures}
	}
	return t
}
