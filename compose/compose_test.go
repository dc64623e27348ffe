// Package compose_test reads the Compose files as an engine would, and holds
// what must stay true of them. Nothing here starts a container.
package compose_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// variant is one way to start the product.
type variant struct {
	name     string
	files    []string
	profiles []string
}

var (
	live      = variant{name: "live", files: []string{"compose.yaml"}}
	beside    = variant{name: "profile alone", files: []string{"compose.yaml"}, profiles: []string{"simulator"}}
	simulated = variant{name: "simulated", files: []string{"compose.yaml", "simulator.yaml"}, profiles: []string{"simulator"}}
)

// read is without the environment and any .env: what is not in the files has to
// have a default in them.
func (v variant) read(ctx context.Context) (*types.Project, error) {
	o, err := cli.NewProjectOptions(v.files, cli.WithProfiles(v.profiles))
	if err != nil {
		return nil, fmt.Errorf("prepare to read %v: %w", v.files, err)
	}
	p, err := o.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %v: %w", v.files, err)
	}
	return p, nil
}

func load(t testing.TB, v variant) *types.Project {
	t.Helper()
	p, err := v.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTheRulesHold(t *testing.T) {
	t.Parallel()
	for _, v := range []variant{live, beside, simulated} {
		t.Run(v.name, func(t *testing.T) {
			p := load(t, v)
			for _, rule := range rules {
				for _, objection := range rule.check(p) {
					t.Errorf("%s: %s", rule.name, objection)
				}
			}
		})
	}
}

func TestWhichServicesThereAre(t *testing.T) {
	t.Parallel()
	always := []string{"alertmanager", "collector", "grafana", "migrate", "postgres", "prometheus", "roles", "watchdog"}
	withSimulator := slices.Sorted(slices.Values(append(slices.Clone(always), "simulator")))
	for _, tt := range []struct {
		variant
		services []string
		project  string
		exchange string // what the collector is told of it
	}{
		{live, always, "whalegate", ""},
		{beside, withSimulator, "whalegate", ""},
		{simulated, withSimulator, "whalegate-simulated", "http://simulator:9465"},
	} {
		p := load(t, tt.variant)
		if got := p.ServiceNames(); !slices.Equal(got, tt.services) {
			t.Errorf("%s: the services are %v; %v are wanted", tt.name, got, tt.services)
		}
		// Volumes are named after the project: simulated positions get their own.
		if got := p.Volumes["postgres"].Name; p.Name != tt.project || got != tt.project+"_postgres" {
			t.Errorf("%s: the project is %s and its database is on the volume %s; the project %s is wanted", tt.name, p.Name, got, tt.project)
		}
		environment := p.Services["collector"].Environment
		for _, name := range []string{"WHALEGATE_API_URL", "WHALEGATE_STATS_URL"} {
			if got := value(environment[name]); got != tt.exchange {
				t.Errorf("%s: the collector's %s is %q; %q is wanted", tt.name, name, got, tt.exchange)
			}
		}
	}
	p := load(t, simulated)
	weight := "--weight=" + value(p.Services["collector"].Environment["WHALEGATE_API_WEIGHT"])
	if command := p.Services["simulator"].Command; !slices.Contains(command, weight) {
		t.Errorf("the collector counts on %s, and the simulator runs %v", weight, command)
	}
}

// TestTheOverrideNeedsTheProfile: forgetting the profile must be an error, not a
// collector that asks nobody.
func TestTheOverrideNeedsTheProfile(t *testing.T) {
	t.Parallel()
	_, err := variant{name: "no profile", files: simulated.files}.read(t.Context())
	if err == nil || !strings.Contains(err.Error(), "simulator") {
		t.Errorf("an error that names the simulator is wanted: %v", err)
	}
}

func TestEveryVariableHasADefault(t *testing.T) {
	t.Parallel()
	variables := map[string]template.Variable{}
	for _, name := range simulated.files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(variables, template.ExtractVariables(map[string]any{name: string(text)}, template.DefaultPattern))
	}
	if len(variables) == 0 {
		t.Error("no variable was found: this checks nothing")
	}
	for name, v := range variables {
		if v.DefaultValue == "" {
			t.Errorf("${%s} has no default", name)
		}
		// The binary's own settings are not to be mixed up with those of the files.
		if strings.HasPrefix(name, "WHALEGATE_") {
			t.Errorf("${%s} is named like a setting of the binary", name)
		}
	}
}

// value is a setting of the environment; unset and empty are the same here.
func value(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// root is the repository.
func root() string {
	dir, err := filepath.Abs("..")
	if err != nil {
		panic(err) // the working directory is gone
	}
	return dir
}
