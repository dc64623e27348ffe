// Package test runs the real binary end to end: PostgreSQL, the simulated
// exchange and the service as processes of their own, on a clock that shows a
// minute every second.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// binary is the built command, and buildFlags are how: as the tests are.
var (
	binary     string
	buildFlags []string
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "whalegate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "whalegate")
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", binary, "../cmd/whalegate")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the command:", err)
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := writeReport(); err != nil {
			fmt.Fprintln(os.Stderr, "write the report:", err)
			return 1
		}
	}
	return code
}

// patience is how long await waits, of real time: half an hour of the tests' clock.
const patience = 30 * time.Second

// await asks again and again until there is nothing more to object.
func await(t testing.TB, what string, objection func() error) {
	t.Helper()
	if slow, ok := t.(interface{ patience() time.Duration }); ok {
		awaitFor(t, slow.patience(), what, objection)
		return
	}
	awaitFor(t, patience, what, objection)
}

// awaitFor has another patience.
func awaitFor(t testing.TB, patience time.Duration, what string, objection func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := objection()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// openDir makes a temporary folder that another user can pass through:
// PostgreSQL does not run as root.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalegate-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
