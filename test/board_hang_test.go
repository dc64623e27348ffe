package test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestTheBoardGoesDarkWhenNobodyAnswers stops the database, and Grafana, in
// their tracks. Grafana shows the last result of a query for as long as it has
// no answer; so the board goes dark behind a proxy that gives up, as the
// documentation asks for.
func TestTheBoardGoesDarkWhenNobodyAnswers(t *testing.T) {
	w := newBoardWorld(t)
	w.runs(30)
	w.signals(30)
	w.alerts()
	address, err := url.Parse(w.grafana.URL)
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(address)
	proxy.Transport = &http.Transport{ResponseHeaderTimeout: 2 * time.Second, MaxIdleConnsPerHost: 16}
	front := httptest.NewServer(proxy)
	defer front.Close()
	b := openBrowser(t)
	for what, parent := range map[string]int{"the database": w.pg.PID(), "Grafana": w.grafana.PID()} {
		b.open(front.URL + boardPath)
		b.shows(10, "Long-only")
		b.forget()
		stopped := family(t, parent)
		for _, pid := range stopped {
			must(t, syscall.Kill(pid, syscall.SIGSTOP))
		}
		b.refresh()
		b.shows(stateID, "SYSTEM HALT")
		b.checkHalted(0)
		for _, pid := range stopped {
			must(t, syscall.Kill(pid, syscall.SIGCONT))
		}
		if t.Failed() {
			t.Fatalf("while %s was stopped", what)
		}
	}
}

// family is a process and its children.
func family(t testing.TB, parent int) []int {
	t.Helper()
	body, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	must(t, err)
	pids := []int{parent}
	for _, field := range strings.Fields(string(body)) {
		pid, err := strconv.Atoi(field)
		must(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// TestTheBoardGoesDarkWhenItsSessionsAreTaken lets a viewer hold every session
// that the role may have: the next query fails at once, and does not wait.
func TestTheBoardGoesDarkWhenItsSessionsAreTaken(t *testing.T) {
	w := newBoardWorld(t)
	w.runs(30)
	w.signals(30)
	b := openBrowser(t)
	b.open(w.grafana.URL + boardPath)
	b.shows(10, "Long-only")
	var held sync.WaitGroup
	hold := func() { _, _ = w.values("SET statement_timeout = 0; SELECT pg_sleep(600)") } // until it is ended below
	for range 70 {
		held.Go(hold)
	}
	await(t, "every session to be taken", func() error {
		if _, err := w.values("SELECT 1"); err == nil {
			held.Go(hold) // some are refused while others still close
			return errors.New("there is still one")
		}
		return nil
	})
	w.newestRun(failedRun)
	b.forget()
	b.refresh() // it ends, whoever gets a session: nothing waits for one
	b.checkHalted(0)
	await(t, "every session to be free", func() error { // Grafana tries again what was cut off
		w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'whalegate_board' AND query LIKE '%pg_sleep%'")
		rows, err := w.values("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' AND pid <> pg_backend_pid()")
		if err == nil && fmt.Sprint(rows) != "[[0]]" {
			err = fmt.Errorf("%v are taken", rows)
		}
		return err
	})
	held.Wait()
	w.newestRun(cleanRun)
	b.refresh()
	b.shows(10, "Long-only")
}
