package compose_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// need skips a test whose program is missing, or fails it where every program is
// required.
func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil && os.Getenv("WHALEGATE_REQUIRE_ALL") != "" {
		t.Fatalf("%v (WHALEGATE_REQUIRE_ALL is set)", err)
	}
	if err != nil {
		t.Skip("NOT TESTED:", err)
	}
}

// makeSecrets runs make-secrets.sh; ok is whether it is to succeed.
func makeSecrets(t *testing.T, folder string, ok bool) string {
	t.Helper()
	out, err := exec.Command("sh", "make-secrets.sh", folder).CombinedOutput()
	if (err == nil) != ok {
		t.Fatalf("make-secrets.sh: success is %t: %v\n%s", ok, err, out)
	}
	return string(out)
}

// contents are the files of a folder.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(text)
	}
	return all
}

func TestSecretsAreMadeOnce(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "secrets")
	said := makeSecrets(t, folder, true)
	first := contents(t, folder)

	want := slices.Sorted(maps.Keys(load(t, simulated).Secrets))
	if got := slices.Sorted(maps.Keys(first)); !slices.Equal(got, want) {
		t.Errorf("it makes %v, and the services use %v", got, want)
	}
	seen := map[string]string{}
	for name, text := range first {
		switch {
		case strings.HasSuffix(name, "_pgpass"):
			role := strings.TrimSuffix(name, "_pgpass")
			if want := "postgres:5432:hyperliquid:whalegate_" + role + ":" + first[role+"_password"]; text != want {
				t.Errorf("%s has not the password of %s_password, or not as PostgreSQL's clients read it", name, role)
			}
		case !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(text):
			t.Errorf("%s is not 32 random bytes: %d characters", name, len(text))
		case seen[text] != "":
			t.Errorf("%s and %s are the same", name, seen[text])
		}
		seen[text] = name
		if strings.Contains(said, strings.TrimSpace(text)) {
			t.Errorf("%s is printed", name)
		}
		// Read by users of containers whom the owner is not; the folder keeps others out.
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: mode 0644 is wanted: %v %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: mode 0700 is wanted: %v %v", info.Mode(), err)
	}

	if err := os.Remove(filepath.Join(folder, "board_password")); err != nil {
		t.Fatal(err)
	}
	makeSecrets(t, folder, true)
	second := contents(t, folder)
	for name, text := range first {
		if same := second[name] == text; same != (name != "board_password") {
			t.Errorf("%s: unchanged by the second run: %t", name, same)
		}
	}
}

// TestHalfASecretIsSaid: what does not fit together is an error, not a service
// that cannot log in.
func TestHalfASecretIsSaid(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	makeSecrets(t, folder, true)
	if err := os.Truncate(filepath.Join(folder, "ops_password"), 0); err != nil {
		t.Fatal(err)
	}
	if said := makeSecrets(t, folder, false); !strings.Contains(said, "ops_password is empty") {
		t.Errorf("an empty file is not named: %s", said)
	}
	for _, name := range []string{"ops_password", "writer_password"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if said := makeSecrets(t, folder, false); !strings.Contains(said, "writer_pgpass does not have") {
		t.Errorf("an old pgpass is not named: %s", said)
	}
}

func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	for file, line := range map[string]string{".gitignore": "/secrets/", "Dockerfile.dockerignore": "compose"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("%s has no line %s", file, line)
		}
	}
}

// TestConfigurations asks the tools of the programs that read them.
func TestConfigurations(t *testing.T) {
	t.Parallel()
	for service, check := range map[string][]string{
		"prometheus":   {"promtool", "check", "config", "prometheus.yml"},
		"alertmanager": {"amtool", "check-config", "alertmanager.yml"},
	} {
		t.Run(service, func(t *testing.T) {
			need(t, check[0])
			cmd := exec.Command(check[0], check[1:]...)
			cmd.Dir = mounted(t, service)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", check, err, out)
			}
		})
	}
	// The same job everywhere, at the default address of the service.
	for file, target := range map[string]string{"prometheus.yml": `"collector:9464"`, "../provisioning/prometheus/prometheus.yml": `"127.0.0.1:9464"`} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"job_name: whalegate\n", "targets: [" + target + "]", "scrape_interval: 15s"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %s", file, want)
			}
		}
	}
	// The watchdog beside it, where there is one.
	if text, err := os.ReadFile("prometheus.yml"); err != nil || !strings.Contains(string(text), "job_name: whalegate-watchdog\n    static_configs:\n      - targets: [\"watchdog:9464\"]") {
		t.Errorf("prometheus.yml has no job for the watchdog: %v", err)
	}
}
