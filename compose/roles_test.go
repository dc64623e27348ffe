package compose_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// TestPasswordsComeFromFiles goes the way of migrate, roles, collector and watchdog on a
// server that asks for passwords: the same commands and addresses, other places.
func TestPasswordsComeFromFiles(t *testing.T) {
	t.Parallel()
	need(t, "psql")
	binary, folder := build(t), t.TempDir()
	makeSecrets(t, folder, true)
	secret := contents(t, folder)
	s := startServer(t, strings.TrimSpace(secret["owner_password"]))

	// The same files with the address of this server.
	for _, role := range []string{"owner", "writer", "watchdog"} {
		user := "whalegate_" + role
		if role == "owner" {
			user = server.Superuser
		}
		line := fmt.Sprintf("127.0.0.1:%d:hyperliquid:%s:%s", s.Port(), user, secret[role+"_password"])
		if err := os.WriteFile(filepath.Join(folder, role+"_pgpass"), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	whalegate := func(service string, args ...string) (int, string) {
		cmd := exec.Command(binary, args...)
		cmd.Env = []string{"DATABASE_URL=" + moved(t, service, s.Port(), folder)}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatalf("run %v: %v", args, err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	if code, said := whalegate("migrate", "migrate"); code != 0 {
		t.Fatalf("migrate: exit %d: %s", code, said)
	}
	const stale, unknown = 2, 3
	if code, said := whalegate("collector", "status"); code != unknown {
		t.Fatalf("the service's role can log in before it has a password: exit %d: %s", code, said)
	}
	for range 2 { // every start runs it again
		cmd := exec.Command("sh", "roles.sh")
		cmd.Env = append(os.Environ(), "SECRETS="+folder, "TMPDIR="+t.TempDir(), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(s.Port()), "PGUSER="+server.Superuser, "PGDATABASE=hyperliquid")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("roles.sh: silence is wanted: %v\n%s", err, out)
		}
	}
	if code, said := whalegate("collector", "status"); code != stale {
		t.Errorf("the service's role cannot ask: exit %d; %d, a database without data, is wanted: %s", code, stale, said)
	}
	watch(t, binary, moved(t, "watchdog", s.Port(), folder))
	for _, role := range postgres.Roles {
		password := strings.TrimSpace(secret[strings.TrimPrefix(role.Name, "whalegate_")+"_password"])
		if err := login(t, s.Port(), role.Name, password); err != nil {
			t.Errorf("%s cannot log in with its password: %v", role.Name, err)
		}
		if login(t, s.Port(), role.Name, "wrong") == nil {
			t.Errorf("%s can log in with any password", role.Name)
		}
	}
	log, err := os.ReadFile(s.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "statement: SET log_statement") {
		t.Error("the server's log has no statements: looking there for passwords proves nothing")
	}
	for name, text := range secret {
		if password := strings.TrimSpace(text); strings.HasSuffix(name, "_password") && strings.Contains(string(log), password) {
			t.Errorf("the server's log has %s", name)
		}
	}
}

// startServer starts a server that logs every statement, with an empty database.
func startServer(t *testing.T, password string) *server.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalegate-compose-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL does not run as root
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Config{Dir: dir + "/data", Password: password, Settings: map[string]string{"fsync": "off", "log_statement": "all"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), s.URL(server.Superuser, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE DATABASE hyperliquid"); err != nil {
		t.Fatal(err)
	}
	return s
}

// moved is the DATABASE_URL of a service with the place of a server and of the
// secrets replaced, and nothing else.
func moved(t *testing.T, service string, port int, folder string) string {
	t.Helper()
	u, err := url.Parse(value(load(t, live).Services[service].Environment["DATABASE_URL"]))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = "127.0.0.1:" + strconv.Itoa(port)
	if u.User.Username() == "whalegate_owner" {
		u.User = url.User(server.Superuser)
	}
	query := u.Query()
	query.Set("passfile", filepath.Join(folder, filepath.Base(query.Get("passfile"))))
	u.RawQuery = query.Encode()
	return u.String()
}

func login(t *testing.T, port int, role, password string) error {
	t.Helper()
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, password), Host: "127.0.0.1:" + strconv.Itoa(port), Path: "/hyperliquid", RawQuery: "sslmode=disable"}
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		return err
	}
	return conn.Close(t.Context())
}

// watch starts the watchdog, waits until its role has been of use for everything
// that a look needs, and ends it.
func watch(t *testing.T, binary, databaseURL string) {
	t.Helper()
	cmd := exec.Command(binary, "--log.format=json", "watchdog", "--listen-address=127.0.0.1:0")
	cmd.Env = []string{"DATABASE_URL=" + databaseURL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	address := ""
	for lines := bufio.NewScanner(stderr); address == "" && lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		var entry struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Msg == "watchdog started" {
			address = entry.Address
		}
	}
	var rest []byte
	ended := make(chan struct{})
	go func() { rest, _ = io.ReadAll(stderr); close(ended) }() // what comes late is shown with a failure
	if address == "" {
		t.Errorf("the watchdog does not start")
	} else if response, err := http.Get(address + "/-/ready"); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("the watchdog is not ready: %v %v", response, err)
	}
	if address != "" {
		if response, err := http.Get(address + "/api/v1/status"); err != nil {
			t.Error(err)
		} else if body, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(body), `"reasons":["no_runs"]`) {
			t.Errorf("the watchdog cannot ask for health: %s %v", body, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-ended
	said.Write(rest)
	if err := cmd.Wait(); err != nil || strings.Contains(said.String(), `"level":"ERROR"`) {
		t.Errorf("the watchdog: %v\n%s", err, said.String())
	}
}
