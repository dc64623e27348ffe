package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/status"
)

// ask sends a request and returns the answer's code and body.
func (w *world) ask(method, url, body string) (int, string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
	must(w, err)
	response, err := http.DefaultClient.Do(request)
	must(w, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(w, err)
	return response.StatusCode, string(text)
}

// fault makes something go wrong at the exchange, from now on.
func (w *world) fault(text string, args ...any) {
	w.Helper()
	if code, body := w.ask("POST", w.exchange+"/control/faults", fmt.Sprintf(text, args...)); code != http.StatusOK {
		w.Fatalf("set fault: %d %s", code, body)
	}
}

// clear ends every fault.
func (w *world) clear() {
	w.Helper()
	if code, body := w.ask("DELETE", w.exchange+"/control/faults", ""); code != http.StatusOK {
		w.Fatalf("clear faults: %d %s", code, body)
	}
}

// status is what the service answers.
func (w *world) status() status.Report {
	w.Helper()
	var report status.Report
	code, body := w.ask("GET", w.address+"/api/v1/status", "")
	if err := json.Unmarshal([]byte(body), &report); err != nil || code != http.StatusOK {
		w.Fatalf("status: %d %s: %v", code, body, err)
	}
	return report
}

// awaitStatus waits until the service answers a state with a reason, "" for any.
func (w *world) awaitStatus(state health.State, reason string) status.Report {
	w.Helper()
	var report status.Report
	await(w, "the service to answer "+string(state)+" "+reason, func() error {
		report = w.status()
		if report.State != state || reason != "" && !slices.Contains(report.Reasons, reason) {
			return fmt.Errorf("it answers %s %v", report.State, report.Reasons)
		}
		return nil
	})
	return report
}

// metric is the value of a series as it stands in the exposition, or without labels
// the sum of all of that name.
func (w *world) metric(series string) float64 {
	w.Helper()
	_, body := w.ask("GET", w.address+"/metrics", "")
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		labels, text, _ := strings.Cut(strings.TrimPrefix(line, series), " ")
		if strings.HasPrefix(line, series) && (labels == "" || labels[0] == '{') {
			number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			must(w, err)
			sum, found = sum+number, true
		}
	}
	if !found {
		w.Fatalf("there is no series %s", series)
	}
	return sum
}

// awaitMetric waits until a series is at least so much.
func (w *world) awaitMetric(series string, least float64) {
	w.Helper()
	await(w, series, func() error {
		if got := w.metric(series); got < least {
			return fmt.Errorf("it is %v, and %v is wanted", got, least)
		}
		return nil
	})
}

// awaitCode waits until a path of the service answers with a code.
func (w *world) awaitCode(path string, want int) {
	w.Helper()
	await(w, path, func() error {
		if code, body := w.ask("GET", w.address+path, ""); code != want {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
}

// awaitExit waits until `whalegate status` exits with a code, and returns what
// it printed.
func (w *world) awaitExit(want int) result {
	w.Helper()
	var r result
	await(w, fmt.Sprintf("status to exit %d", want), func() error {
		if r = w.cli("status"); r.code != want {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	return r
}

// differs objects to a value that is not the one wanted.
func differs[T comparable](got, want T) error {
	if got != want {
		return fmt.Errorf("it is %v, and %v is wanted", got, want)
	}
	return nil
}
