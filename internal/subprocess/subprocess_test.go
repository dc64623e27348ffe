package subprocess_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/subprocess"
)

// role makes this binary play the server that the tests start.
const role = "SUBPROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "dies":
		fmt.Println("no such setting")
		os.Exit(3)
	case "dies once":
		if _, err := os.Stat("was here"); err != nil {
			fmt.Println("not yet")
			_ = os.WriteFile("was here", nil, 0o600) // if it fails, it dies again
			os.Exit(3)
		}
		fallthrough
	case "serves":
		address := os.Args[1]
		tries := 0
		_ = http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // until it is ended
			if tries++; tries < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, os.Getenv("SECRET_OF_THE_PARENT"), os.Getenv("GIVEN"))
		}))
	}
}

func config(t *testing.T, as string) subprocess.Config {
	t.Helper()
	port, err := subprocess.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := subprocess.Address(port)
	return subprocess.Config{
		Name: "the server", Path: os.Args[0], Args: []string{address}, Env: []string{role + "=" + as, "GIVEN=given"},
		Dir: t.TempDir(), LogFile: filepath.Join(t.TempDir(), "log"), Ready: "http://" + address + "/",
	}
}

func TestAServerIsWaitedForAndEnded(t *testing.T) {
	t.Setenv("SECRET_OF_THE_PARENT", "handed on")
	cfg := config(t, "serves")
	s, err := subprocess.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(cfg.Ready)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body := make([]byte, 100)
	n, _ := response.Body.Read(body)
	if response.StatusCode != http.StatusOK || string(body[:n]) != "given" {
		t.Errorf("it answers %s %q", response.Status, body[:n])
	}
	for range 2 { // ending what has ended is no error
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := http.Get(cfg.Ready); err == nil {
		t.Error("it still answers")
	}
}

func TestAServerThatDoesNotStartIsNamedWithItsLog(t *testing.T) {
	cfg := config(t, "dies")
	_, err := subprocess.Start(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "the server ended while starting: see "+cfg.LogFile) {
		t.Errorf("Start = %v", err)
	}
	if log, err := os.ReadFile(cfg.LogFile); err != nil || !strings.Contains(string(log), "no such setting") {
		t.Errorf("its log is %q, %v", log, err)
	}
	cfg.Path = filepath.Join(t.TempDir(), "none")
	if _, err := subprocess.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "start the server: ") {
		t.Errorf("a program that is not there: %v", err)
	}
}

// A server with a fault of its own at a first start is started again, as often as is
// allowed and no more.
func TestAServerIsStartedAgain(t *testing.T) {
	cfg := config(t, "dies once")
	if _, err := subprocess.Start(t.Context(), cfg); err == nil {
		t.Fatal("it was not to be started again")
	}
	cfg = config(t, "dies once")
	cfg.Again = 1
	s, err := subprocess.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	cfg = config(t, "dies")
	cfg.Again = 2
	if _, err := subprocess.Start(t.Context(), cfg); err == nil {
		t.Error("what dies every time counts as started")
	}
	if log, _ := os.ReadFile(cfg.LogFile); strings.Count(string(log), "no such setting") != 3 {
		t.Errorf("3 starts are wanted: %s", log)
	}
}

// A start that nobody waits for any longer leaves nothing behind.
func TestAnAbandonedStartEndsTheServer(t *testing.T) {
	cfg := config(t, "serves")
	cfg.Ready = "http://127.0.0.1:1/" // where nobody is
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := subprocess.Start(ctx, cfg); err == nil {
		t.Fatal("a server that never answers counts as started")
	}
	if _, err := http.Get("http://" + cfg.Args[0]); err == nil || !strings.Contains(err.Error(), syscall.ECONNREFUSED.Error()) {
		t.Errorf("it was left running: %v", err)
	}
}
