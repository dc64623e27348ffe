package gather

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/runbook"
)

// However much hangs, the last answer is in before five seconds are over.
func TestTheDeadlinesAddUpToLessThanFiveSeconds(t *testing.T) {
	statement, err := time.ParseDuration(statementTimeout)
	if err != nil {
		t.Fatal(err)
	}
	for what, until := range map[string]time.Duration{
		"a database that lets nobody in":                               connectTimeout,
		"a service that hangs, beside a database that does":            patience + toldWithin,
		"a question to the database that was begun at the last moment": startsWithin + answersWithin,
		"a statement that the server ends itself":                      startsWithin + statement,
	} {
		if until >= 5*time.Second {
			t.Errorf("%s: %s", what, until)
		}
	}
	if statement >= answersWithin {
		t.Error("a session is ended before the server has ended its statement")
	}
}

// silent takes connections, and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// Where both hang, both are named.
func TestTheServiceIsAskedBesideADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	f := Ask(context.Background(), Source{WatchdogURL: "http://" + silent(t), DatabaseURL: "postgres://a@" + silent(t) + "/b?sslmode=disable", ServiceURL: "http://" + silent(t)})
	if f.Database.Trouble != runbook.Unreachable || f.Service.Trouble != runbook.Hanging || f.Stored != nil || f.Watchdog.Error == "" {
		t.Errorf("%+v, %+v", f.Database, f.Service)
	}
	if r := runbook.Diagnose(f); r.Matching[0] != "database" || r.Matching[1] != "ingestion" {
		t.Error(r.Matching)
	}
}

// A service that is asked with TLS and speaks none, or the other way round, is there: that
// is said, and what to give instead.
func TestAServiceThatIsAskedInAnotherWayIsNotGone(t *testing.T) {
	t.Parallel()
	alive := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, secured := httptest.NewServer(alive), httptest.NewUnstartedServer(alive)
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	t.Cleanup(plain.Close)
	t.Cleanup(secured.Close)
	for address, says := range map[string]string{
		strings.Replace(plain.URL, "http:", "https:", 1):   "it speaks no TLS: give --service-url with http://",
		strings.Replace(secured.URL, "https:", "http:", 1): "it speaks TLS: give --service-url with https://",
		secured.URL: "its certificate is not trusted here",
	} {
		s := askService(t.Context(), Source{ServiceURL: address})
		if s.Trouble != runbook.Answered || !strings.Contains(s.Error, says) {
			t.Errorf("%s: %s %q", address, s.Trouble, s.Error)
		}
		f := runbook.Facts{Stored: &runbook.Stored{Health: &health.Health{State: health.Healthy}, At: time.Now(), Runs: []runbook.Run{{Timestamp: time.Now(), Status: "success", Clean: true}}}}
		f.Service = s
		if r := runbook.Diagnose(f); len(r.Matching) > 0 || len(r.Unknown) != 1 || !strings.Contains(r.Unknown[0], says) || r.Exit != 3 {
			t.Errorf("%v, unknown %v, exit %d", r.Matching, r.Unknown, r.Exit)
		}
	}
}

// Who asks hears of each thing when it is known, and not when all is.
func TestEachThingIsToldAsItComes(t *testing.T) {
	t.Parallel()
	var lines []string
	Ask(t.Context(), Source{DatabaseURL: "postgres://x@" + silent(t) + "/x", ServiceURL: "http://127.0.0.1:1", WatchdogURL: "http://127.0.0.1:1", Learned: func(line string) { lines = append(lines, line) }})
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "watchdog ") || !strings.HasPrefix(lines[1], "service ") || !strings.HasPrefix(lines[2], "database ") {
		t.Errorf("%q", lines)
	}
}
