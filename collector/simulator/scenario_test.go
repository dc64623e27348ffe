package simulator

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestScenarioRunsByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := LoadScenario(strings.NewReader(`{"steps":[
			{"after":"20m","clear":true},
			{"after":"10m","fault":{"kind":"status","code":503}},
			{"after":"12m","fault":{"kind":"wallets","share":0.2,"for":"3m"}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		e := open(t, Config{Origin: time.Now()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- e.Run(ctx, s) }()
		start := time.Now()
		for _, tt := range []struct {
			at     time.Duration
			faults int
		}{{9 * time.Minute, 0}, {10 * time.Minute, 1}, {12 * time.Minute, 2}, {16 * time.Minute, 1}, {20 * time.Minute, 0}, {time.Hour, 0}} {
			time.Sleep(tt.at - time.Since(start))
			synctest.Wait()
			if got := len(e.Faults()); got != tt.faults {
				t.Errorf("at %s: %d faults, want %d", tt.at, got, tt.faults)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRunEndsEarlyAndRefuses(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := open(t, Config{})
	if err := e.Run(ctx, Scenario{Steps: []Step{{After: time.Hour, Clear: true}}}); err != nil {
		t.Error(err)
	}
	err := e.Run(t.Context(), Scenario{Steps: []Step{{Fault: &Fault{Kind: "fire"}}}})
	if err == nil || !strings.HasPrefix(err.Error(), `step 1: fault: kind: "fire"`) {
		t.Errorf("%v", err)
	}
}

var badScenarios = []struct{ text, want string }{
	{``, "scenario: not a JSON object with the fields steps"},
	{`{}`, "scenario: steps: missing or empty; a list of steps is needed"},
	{`{"steps":{}}`, "scenario: steps: object where a list is needed"},
	{`{"steps":[],"stop":1}`, `scenario: unknown field "stop"; the fields are steps`},
	{`{"steps":[{"after":"1m","clear":true},{"after":"soon","clear":true}]}`, `scenario: step 2: after: "soon" is no duration since the start, like 90s or 10m`},
	{`{"steps":[{"clear":true}]}`, `scenario: step 1: after: "" is no duration`},
	{`{"steps":[{"after":"1m"}]}`, "scenario: step 1: needs either a fault or clear: true"},
	{`{"steps":[{"after":"1m","clear":true,"fault":{"kind":"null"}}]}`, "scenario: step 1: needs either"},
	{`{"steps":[{"after":"1m","clear":"yes"}]}`, "scenario: step 1: clear: string where true or false is needed"},
	{`{"steps":[{"after":"1m","faults":[]}]}`, `scenario: step 1: unknown field "faults"; the fields are after, fault, clear`},
	{`{"steps":[{"after":"1m","fault":{"kind":"status","code":7}}]}`, "scenario: step 1: fault: code: 7 is not between 400 and 599"},
	{`{"steps":[{"after":"1m","clear":true}]} {}`, "scenario: there is more"},
}

func TestLoadScenarioNamesStepAndField(t *testing.T) {
	for _, tt := range badScenarios {
		_, err := LoadScenario(strings.NewReader(tt.text))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func FuzzLoadScenario(f *testing.F) {
	for _, tt := range badScenarios {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := LoadScenario(strings.NewReader(text))
		for _, step := range s.Steps {
			if err != nil || step.After < 0 || step.Clear == (step.Fault != nil) {
				t.Fatalf("%+v, %v", step, err)
			}
		}
	})
}
