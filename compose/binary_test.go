package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// build makes the binary for a test.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "whalegate")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/whalegate").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	return binary
}

// TestTheBinaryKnowsItsSettings checks every command, flag and variable against
// what the binary's own help lists: a variable that it does not know is ignored.
func TestTheBinaryKnowsItsSettings(t *testing.T) {
	t.Parallel()
	binary := build(t)
	checked := 0
	for name, s := range load(t, simulated).Services {
		if s.Build == nil {
			continue
		}
		help, err := exec.Command(binary, s.Command[0], "--help").CombinedOutput()
		if err != nil {
			t.Errorf("%s: whalegate %s --help: %v\n%s", name, s.Command[0], err, help)
			continue
		}
		for variable := range s.Environment {
			checked++
			if !regexp.MustCompile(`\$` + variable + `\b`).Match(help) {
				t.Errorf("%s: whalegate %s knows no %s", name, s.Command[0], variable)
			}
		}
		for _, word := range s.Command[1:] {
			checked++
			flag, _, _ := strings.Cut(word, "=")
			if !regexp.MustCompile(flag + `[= ]`).Match(help) {
				t.Errorf("%s: whalegate %s knows no %s", name, s.Command[0], flag)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d settings were found: this checks too little", checked)
	}
}

// TestTheBuildHasEveryPackage: what is left out of the build context is imported by
// nothing.
func TestTheBuildHasEveryPackage(t *testing.T) {
	t.Parallel()
	ignored, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-deps", "../cmd/whalegate").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, imported := range strings.Fields(string(out)) {
		rest, ours := strings.CutPrefix(imported, "github.com/whalegate/whalegate/")
		if !ours {
			continue
		}
		checked++
		if folder, _, _ := strings.Cut(rest, "/"); slices.Contains(strings.Fields(string(ignored)), folder) {
			t.Errorf("%s is not in the build context", rest)
		}
	}
	if checked < 10 {
		t.Errorf("only %d packages were found: this checks too little", checked)
	}
}

func TestTheImageIsPinnedAndNotRoots(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	bases := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(string(text), -1)
	if len(bases) != 2 {
		t.Fatalf("a builder and an image are wanted: %v", bases)
	}
	for _, base := range bases {
		if !pinned.MatchString(base[1]) {
			t.Errorf("base %s has no pinned tag", base[1])
		}
	}
	if !regexp.MustCompile(`(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`).Match(text) {
		t.Error("the image does not say, in numbers, that it is not root's")
	}
	// The builder has to know the language of go.mod.
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go ([0-9]+\.[0-9]+)`).FindStringSubmatch(string(module))
	if language == nil || !strings.HasPrefix(bases[0][1], "golang:"+language[1]+".") {
		t.Errorf("go.mod is for Go %v, and the builder is %s", language, bases[0][1])
	}
}
