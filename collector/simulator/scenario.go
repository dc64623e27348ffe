package simulator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// Scenario is a sequence of faults over time.
type Scenario struct {
	Steps []Step // by After
}

// Step is one change at a time.
type Step struct {
	After time.Duration // since the scenario's start, of Clock
	Fault *Fault        // to set, or nil
	Clear bool          // of all faults that were set before
}

// LoadScenario reads {"steps":[{"after":"10m","fault":{…}},{"after":"20m",
// "clear":true}]}. An error names the step, counted from 1, and the field, and
// says what would be right.
func LoadScenario(r io.Reader) (Scenario, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w", err)
	}
	var in struct {
		Steps []json.RawMessage `json:"steps"`
	}
	if err := strict(text, &in, "steps"); err != nil {
		return Scenario{}, fmt.Errorf("scenario: %w", err)
	}
	if len(in.Steps) == 0 {
		return Scenario{}, errors.New("scenario: steps: missing or empty; a list of steps is needed")
	}
	var s Scenario
	for i, text := range in.Steps {
		step, err := readStep(text)
		if err != nil {
			return Scenario{}, fmt.Errorf("scenario: step %d: %w", i+1, err)
		}
		s.Steps = append(s.Steps, step)
	}
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.After, b.After) })
	return s, nil
}

func readStep(text []byte) (Step, error) {
	var in struct {
		After string          `json:"after"`
		Fault json.RawMessage `json:"fault"`
		Clear bool            `json:"clear"`
	}
	if err := strict(text, &in, "after, fault, clear"); err != nil {
		return Step{}, err
	}
	after, err := time.ParseDuration(in.After)
	if err != nil || after < 0 {
		return Step{}, fmt.Errorf("after: %q is no duration since the start, like 90s or 10m", clip(in.After))
	}
	step := Step{After: after, Clear: in.Clear}
	if (in.Fault == nil) != in.Clear {
		return Step{}, errors.New("needs either a fault or clear: true")
	}
	if in.Fault != nil {
		f, err := readFault(in.Fault)
		if err != nil {
			return Step{}, fmt.Errorf("fault: %w", err)
		}
		step.Fault = &f
	}
	return step, nil
}

// Run applies the steps of a scenario, each at its time from now on, and then
// waits. It returns nil when ctx ends, and the error of a fault that cannot be.
func (e *Exchange) Run(ctx context.Context, s Scenario) error {
	start := e.config.Clock.Now()
	for i, step := range s.Steps {
		if e.config.Clock.SleepUntil(ctx, start.Add(step.After)) != nil {
			return nil
		}
		if step.Clear {
			e.ClearFaults()
		}
		if step.Fault == nil {
			continue
		}
		if err := e.SetFault(*step.Fault); err != nil {
			return fmt.Errorf("step %d: fault: %w", i+1, err)
		}
	}
	<-ctx.Done()
	return nil
}
