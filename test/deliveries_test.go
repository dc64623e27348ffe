package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// TestTheCommandsOfDelivery tests receivers as an operator does, looks at what could
// not be sent, and sends it again; no token is seen anywhere.
func TestTheCommandsOfDelivery(t *testing.T) {
	t.Parallel()
	w := &world{TB: t, pg: startPostgres(t)}
	must(t, pgtest.Prepare(t.Context(), w.pg, dbName))
	w.connect()
	mail := newMailbox(t)
	mail.answer = func(n int) int { return map[bool]int{true: 500, false: 200}[n <= 2] }
	file := receiversFile(t, map[string]string{"mail": "webhook+" + mail.URL + "/hooks/GEHEIM4711", "deaf": "ntfy://user:GEHEIM4711@127.0.0.1:1/topicGEHEIM4711?scheme=http"})
	w.env = []string{"DATABASE_URL=" + w.pg.URL(writer, dbName), "WHALEGATE_RECEIVERS_FILE=" + file}
	var said strings.Builder
	cli := func(code int, want string, args ...string) string {
		t.Helper()
		r := w.cli(append([]string{"alerts"}, args...)...)
		said.WriteString(r.stdout + r.stderr)
		if r.code != code || !strings.Contains(r.stdout+r.stderr, want) {
			t.Errorf("%v: exit %d with %q is wanted: %s", args, code, want, r)
		}
		return r.stdout
	}
	cli(1, "it answered 500 Internal Server Error", "test", "--receiver=mail")
	cli(1, "pending    attempts 1", "test", "--receiver=deaf")
	cli(1, "no such receiver: nobody", "test", "--receiver=nobody")
	cli(0, `"state":"pending"`, "deliveries", "--receiver=mail", "--json")
	cli(1, "one of pending, unknown, delivered, failed is right", "deliveries", "--state=lost")
	cli(1, "--limit 0: at least 1", "deliveries", "--limit=0")
	cli(1, "delivery 99: there is none", "retry", "99")
	if n := strings.Count(cli(0, "", "deliveries"), "\n"); n != 2 {
		t.Errorf("%d deliveries are shown", n)
	}
	_, err := w.db.Exec(t.Context(), "UPDATE alert_deliveries SET last_attempt_at = last_attempt_at - interval '2 minutes'") // their leases are over
	must(t, err)
	cli(0, `{"retried":1}`, "retry", "--receiver=mail", "--json")
	cli(1, "it answered 500", "test", "--receiver=mail")
	cli(0, "delivered  attempts 1", "test", "--receiver=mail", "--web.external-url=https://example.org/gate/")
	if got := mail.got(); len(got) != 1 || got[0].Alerts[0].Annotations["runbook_url"] != "https://example.org/gate/docs/alerts" || got[0].name() != "SYSTEM whalegate_test firing" || !strings.HasPrefix(got[0].Alerts[0].Annotations["summary"], "[TEST] ") {
		t.Errorf("%+v", got)
	}
	if n := get[int](w, "SELECT count(*) FROM alert_deliveries d WHERE d::text LIKE '%GEHEIM%'"); n != 0 || strings.Contains(said.String(), "GEHEIM") {
		t.Errorf("a token is in %d rows, or in what was printed: %s", n, said.String())
	}
}

// TestAWrongReceiversFileIsNotStartedOn: neither service nor watchdog nor a test.
func TestAWrongReceiversFileIsNotStartedOn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "receivers.yml")
	must(t, os.WriteFile(path, []byte("receivers:\n  - name: phone\n    url: telegramm://GEHEIM4711@telegram\n"), 0o600))
	for _, command := range [][]string{{"run"}, {"watchdog"}, {"alerts", "test", "--receiver=phone"}} {
		r := call(t, []string{"DATABASE_URL=postgres://nobody@127.0.0.1:1/x", "WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0"}, append(command, "--receivers.file="+path)...)
		lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
		if last := lines[len(lines)-1]; r.code != 1 || !strings.Contains(last, path+": line 3: receiver phone: url: ") || !strings.Contains(last, "is right") || strings.Contains(r.stderr, "GEHEIM") {
			t.Errorf("%v: %s", command, r)
		}
	}
}
