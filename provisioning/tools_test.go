package provisioning_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// tool runs a program that comes with Prometheus or Alertmanager.
func tool(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	path := program(t, name)
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// program is where a program is; without it the test skips, or fails where
// nothing may be skipped.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("WHALEGATE_REQUIRE_ALL") != "" {
		t.Fatalf("%v (WHALEGATE_REQUIRE_ALL is set)", err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

func TestTheToolsAcceptTheConfigurations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		folder string
		args   []string
	}{
		{"prometheus", []string{"promtool", "check", "config", "prometheus.yml"}},
		{"prometheus", []string{"promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules/service.yml", "rules/watchdog.yml"}},
		{"alertmanager", []string{"amtool", "check-config", "alertmanager.yml"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			if out, err := tool(t, layOut(t, tt.folder), tt.args[0], tt.args[1:]...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
