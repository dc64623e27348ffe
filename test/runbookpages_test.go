package test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	runbooks "github.com/whalegate/whalegate/docs/runbooks"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// block is a fenced block of a page.
type block struct {
	page, language, text string
	line                 int
}

// blocks are those of every page, in order.
func blocks(t *testing.T) (list []block) {
	t.Helper()
	names, err := fs.Glob(runbooks.Pages, "*.md")
	must(t, err)
	if len(names) != 10 || names[9] != "README.md" {
		t.Fatalf("the pages are %v", names)
	}
	for _, name := range names {
		text, err := fs.ReadFile(runbooks.Pages, name)
		must(t, err)
		var open *block
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			fence, ok := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case ok && open == nil:
				open = &block{page: name, language: fence, line: n}
			case ok:
				list = append(list, *open)
				open = nil
			case open != nil:
				open.text += line
			}
		}
		if open != nil {
			t.Fatalf("%s:%d is not closed", name, open.line)
		}
	}
	return list
}

// Commands that cannot run in a test: they need an init system, another user, the
// machine's own PostgreSQL, or a trouble that is not there. Each has to begin so.
var notRun = []string{"journalctl ", "sudo ", "systemctl cat ", "for pid in ", `whalegate halt --reason "stored signals`, `psql "$DATABASE_URL" -c "REVOKE <`, `psql "$DATABASE_URL" -c "DROP TRIGGER <`, `psql "$DATABASE_URL" -c "DROP RULE <`, `psql "$DATABASE_URL" -c "DROP POLICY <`, `psql "$DATABASE_URL" -c "ALTER TABLE <`, `psql "$DATABASE_URL" -c "ALTER DATABASE `, `psql "$DATABASE_URL" -c "SELECT pg_terminate_backend(<pid>)`, "whalegate signals audit --from <", "make run", "ss ", "timedatectl", "getent hosts ", `whalegate halt --reason "the exchange refuses`, `psql "$DATABASE_URL" -c "DROP FUNCTION public.<`, `psql "$DATABASE_URL" -c "ROLLBACK PREPARED`, "ps -o pid,stat,etime,args -C whalegate", `pg_isready -d "$DATABASE_URL"; sudo `, "export DATABASE_URL=", "createdb ", "whalegate migrate", "whalegate runbook verify halt", `whalegate halt --reason "restored from a backup"`,
	"whalegate alerts test --receiver <name>", "whalegate baseline accept ", `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_board `, `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_ops `, `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_writer `, `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_watchdog `}

// Commands whose exit code tells a state, and those that may have to be tried
// until two clean minutes are in.
var (
	tells   = regexp.MustCompile(`^whalegate (status|runbook diagnose)$`)
	awaited = regexp.MustCompile(`^whalegate (resume|runbook verify) `)
)

// TestEveryCommandOfThePagesRuns runs what the pages say, in their order, against
// a service at work. A page whose command fails, fails the build.
func TestEveryCommandOfThePagesRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	w.awaitCycle(w.origin, "computed")
	o := newOperator(w)
	idle, err := pgx.Connect(t.Context(), w.pg.URL(writer, dbName))
	must(t, err)
	t.Cleanup(func() { _ = idle.Close(context.Background()) }) // a page ends it
	o.busy = strconv.Itoa(int(idle.PgConn().PID()))
	ran := map[string]int{}
	list := blocks(t)
	// First what an administrator does: it makes the operator's login.
	const administrator = "-- as an administrator\n"
	slices.SortStableFunc(list, func(a, b block) int {
		return cmp.Compare(strings.Index(b.text, administrator), strings.Index(a.text, administrator))
	})
	for _, b := range list {
		where := fmt.Sprintf("%s:%d", b.page, b.line)
		ran[b.language]++
		switch b.language {
		case "sql":
			address := o.address
			if strings.HasPrefix(b.text, administrator) {
				address = w.pg.URL(server.Superuser, dbName)
			}
			if out, err := o.run(t.Context(), b.text, `psql -X -v ON_ERROR_STOP=1 -d "$1"`, address); err != nil {
				t.Errorf("%s: %v\n%s", where, err, out)
			}
		case "sh":
			for line := range strings.Lines(b.text) {
				o.line(t, where, strings.TrimSuffix(line, "\n"))
			}
		case "console":
			for line := range strings.Lines(b.text) {
				if !slices.ContainsFunc(notRun, func(begin string) bool { return strings.HasPrefix(line, begin) }) {
					t.Errorf("%s: %s is not run, and not listed as what cannot be", where, line)
				}
			}
		case "promql":
		default:
			t.Errorf("%s: nobody runs blocks of %q", where, b.language)
		}
	}
	if ran["sh"] < 20 || ran["sql"] < 2 || ran["promql"] < 20 {
		t.Errorf("too little was run: %v", ran)
	}
	w.checkWhole()
}

// operator is somebody with a login of their own at a terminal.
type operator struct {
	*world
	address string
	env     []string
	busy    string // pid of a session that may be ended
}

func newOperator(w *world) *operator {
	w.Helper()
	bin, err := server.Find()
	must(w, err)
	tools := openDir(w)
	must(w, os.Symlink(binary, filepath.Join(tools, "whalegate")))
	o := &operator{world: w, address: w.pg.URL("ann", dbName)}
	o.env = append(w.environ(), "PATH="+tools+":"+bin+":"+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"), "DATABASE_URL="+o.address, "PGHOST=127.0.0.1",
		"PGPORT="+strconv.Itoa(w.pg.Port()), "WHALEGATE_SERVICE_URL="+w.address, "USER=ann")
	return o
}

// run runs a shell script; args are its $1 and so on.
func (o *operator) run(ctx context.Context, stdin, script string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-o", "pipefail", "-c", script, "bash"}, args...)...)
	var out bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.env, strings.NewReader(stdin), &out, &out
	err := cmd.Run()
	return out.String(), err
}

// line runs one line of a page, with the addresses of this world in place of the
// real ones, and returns what it printed.
func (o *operator) line(t testing.TB, where, line string) (out string) {
	t.Helper()
	text := strings.NewReplacer("http://127.0.0.1:9464", o.world.address, "https://api.hyperliquid.xyz", o.exchange, "https://stats-data.hyperliquid.xyz", o.exchange, "<pid>", o.busy,
		"sudo pkill -CONT -x whalegate", "kill -CONT "+o.busy).Replace(line) // other tests stop theirs on this machine
	try := func() (err error) {
		out, err = o.run(t.Context(), "", text)
		var exit *exec.ExitError
		const cutShort = 128 + int(syscall.SIGPIPE) // head had enough
		if errors.As(err, &exit) && (tells.MatchString(line) && exit.ExitCode() <= 2 || strings.Contains(line, "| head") && exit.ExitCode() == cutShort) {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	if awaited.MatchString(line) {
		await(t, where+": "+line, try)
		return out
	}
	if err := try(); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
	}
	return out
}

// PromQL of the pages: it parses, and every metric in it exists. Prometheus's own tool
// finds nothing to say of the metrics.
func TestThePromQLOfThePagesIsKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, exposition := w.ask("GET", w.address+"/metrics", "")
	known := map[string]bool{"up": true}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\w+) (\w+)$`).FindAllStringSubmatch(exposition, -1) {
		known[m[1]] = true
		if m[2] == "histogram" {
			known[m[1]+"_bucket"] = true
		}
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	metric := regexp.MustCompile(`\b(whalegate_\w+|process_\w+|up)\b`)
	for _, b := range blocks(t) {
		if b.language != "promql" {
			continue
		}
		rules = append(rules, rule{fmt.Sprintf("page:%s:%d", strings.NewReplacer("-", "_", ".md", "").Replace(b.page), b.line), b.text})
		if strings.Contains(b.text, "__name__") {
			continue // looks for what must not be there
		}
		names := metric.FindAllString(b.text, -1)
		if len(names) == 0 {
			t.Errorf("%s:%d names no metric: %s", b.page, b.line, b.text)
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s:%d: there is no metric %s", b.page, b.line, name)
			}
		}
	}
	if _, err := exec.LookPath("promtool"); err != nil {
		missing(t, err)
	}
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = strings.NewReader(exposition)
	if out, err := lint.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	file := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "pages", "rules": rules}}})
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
	if out, err := exec.Command("promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
