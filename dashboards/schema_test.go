package dashboards

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What Grafana itself publishes of schema v2, and the compiler that holds a
// board against it.
const (
	schemaPackage = "@grafana/schema@13.2.3"
	compiler      = "typescript@5.9.3"
)

// TestV2BoardsFitGrafanasOwnTypes compiles every v2 board as a value of the type
// that Grafana's own pages use, and shows that a wrong one is refused.
func TestV2BoardsFitGrafanasOwnTypes(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		if os.Getenv("WHALEGATE_REQUIRE_ALL") != "" {
			t.Fatal(err)
		}
		t.Skip("NOT TESTED:", err)
	}
	dir := t.TempDir()
	install := exec.Command(npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir, schemaPackage, compiler)
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("WHALEGATE_REQUIRE_ALL") != "" {
			t.Fatalf("install the schema: %v: %s", err, out)
		}
		t.Skipf("NOT TESTED: the schema cannot be installed: %v: %s", err, out)
	}
	files, err := Files("")
	if err != nil {
		t.Fatal(err)
	}
	tested, broken := 0, 0
	for _, f := range files {
		if !f.V2 {
			continue
		}
		tested++
		var manifest struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
			Spec             json.RawMessage
		}
		if err := json.Unmarshal(f.Body, &manifest); err != nil {
			t.Fatal(err)
		}
		if manifest.APIVersion != "dashboard.grafana.app/v2" || manifest.Kind != "Dashboard" || manifest.Metadata.Name != f.UID {
			t.Errorf("%s is %s %s %s", f.Name, manifest.APIVersion, manifest.Kind, manifest.Metadata.Name)
		}
		good := string(manifest.Spec)
		if complaint := compile(t, dir, good); complaint != "" {
			t.Errorf("%s: %s", f.Name, complaint)
		}
		for _, wrong := range [][2]string{
			{`"operator": "equals"`, `"operator": "is"`},
			{`"kind": "RowsLayoutRow"`, `"kind": "Row"`},
			{`"refresh": "onTimeRangeChanged"`, `"refresh": 2`},
			{`"elements": {`, `"panels": {`},
			{`"hide": "hideVariable"`, `"hide": ""`},
		} {
			bad := strings.Replace(good, wrong[0], wrong[1], 1)
			if bad == good {
				continue // the incident board has no rules and no variables
			}
			broken++
			if compile(t, dir, bad) == "" {
				t.Errorf("%s with %s is accepted", f.Name, wrong[1])
			}
		}
	}
	if tested < 2 || broken < 7 {
		t.Errorf("%d boards, broken in %d ways: there should be more", tested, broken)
	}
}

// compile returns what the compiler has against a board.
func compile(t *testing.T, dir, spec string) string {
	t.Helper()
	const source = "import type { Spec } from '@grafana/schema/apis/dashboard.grafana.app/v2';\nexport const board: Spec = "
	if err := os.WriteFile(filepath.Join(dir, "board.ts"), []byte(source+spec+";\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tsc := exec.Command(filepath.Join(dir, "node_modules", ".bin", "tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--moduleResolution", "nodenext", "board.ts")
	tsc.Dir = dir
	out, err := tsc.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Fatalf("compile: %v", err)
	}
	return string(out)
}
