package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/status"
)

const (
	// aliveWithin is how long a process may take to say that it lives.
	aliveWithin = 3 * time.Second
	// toldWithin is longer than the service itself waits for its database.
	toldWithin = 8 * time.Second
	maxBody    = 4 << 20
)

// askService asks whether the process lives, can work, and what it knows.
func askService(ctx context.Context, from Source) Service {
	base := strings.TrimSuffix(from.ServiceURL, "/")
	if base == "" {
		return Service{}
	}
	s := Service{URL: "(not shown)"}
	u, err := url.Parse(base)
	if err == nil {
		s.URL = u.Redacted() // it may hold the password of basic auth
	}
	if err != nil || u.Host == "" {
		s.Trouble, s.Error = Answered, "service URL: not of the form http://127.0.0.1:9464, nor empty for none"
		return s
	}
	code, _, err := get(ctx, base+"/-/healthy", aliveWithin)
	switch {
	case err != nil && timedOut(err):
		s.Trouble, s.Error = Hanging, "connected, and no answer within "+aliveWithin.String()
		return s
	case err != nil:
		s.Trouble, s.Error = Refused, said(err)
		return s
	case code != http.StatusOK:
		s.Trouble, s.Error = Answered, fmt.Sprintf("/-/healthy answers %d", code)
		return s
	}
	code, body, err := get(ctx, base+"/-/ready", toldWithin)
	if s.Ready = err == nil && code == http.StatusOK; !s.Ready {
		s.NotReady = strings.TrimSpace(string(body))
		if err != nil {
			s.NotReady = said(err)
		}
	}
	before := from.Clock.Now()
	if _, body, err = get(ctx, base+"/api/v1/status", toldWithin); err == nil {
		var report status.Report
		if err = json.Unmarshal(body, &report); err == nil {
			s.Status = &report
			if !report.At.IsZero() {
				s.ClockAhead = new(outside(report.At, before, from.Clock.Now()))
			}
		}
	}
	if err != nil {
		s.Error = "/api/v1/status: " + said(err)
	}
	if _, body, err = get(ctx, base+"/metrics", toldWithin); err == nil {
		err = s.metrics(string(body), from.Clock)
	}
	if err != nil {
		s.Error = "/metrics: " + said(err)
	}
	return s
}

func get(ctx context.Context, address string, within time.Duration) (code int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", "text/plain")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxBody))
	return response.StatusCode, body, err
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

// metrics keeps the gauges and counters by their series, and every name.
func (s *Service) metrics(text string, c clock.Clock) error {
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
	if !names[unsavedRuns] {
		s.Trouble = Answered
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
