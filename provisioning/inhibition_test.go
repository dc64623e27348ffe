package provisioning_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/subprocess"
)

// TestCausesSilenceTheirConsequences tells a real Alertmanager of alerts and asks
// which it holds back. Its receivers are never asked: their secrets are not here.
func TestCausesSilenceTheirConsequences(t *testing.T) {
	t.Parallel()
	path := program(t, "prometheus-alertmanager")
	severity := map[string]string{}
	for _, r := range shippedAlerts(t) {
		severity[r.Alert] = r.Labels["severity"]
	}
	for name := range products {
		severity[name] = products[name]
	}
	for _, tt := range []struct {
		name         string
		fires, quiet []string // quiet are held back
	}{
		{"the service is dead", []string{"WhalegateDown", "WhalegateNoCycle", "WhalegateStale", "WhalegateSignalsOverdue", "WhalegateDeliveryOld", "system_stale"},
			[]string{"WhalegateNoCycle", "WhalegateSignalsOverdue", "WhalegateStale"}},
		{"the database is down", []string{"WhalegateDatabaseUnreachable", "WhalegateRunsUnsaved", "WhalegateStale", "WhalegateWatchdogBlind", "WhalegateSignalErrors", "WhalegateDatabaseDiskFull", "system_stale"},
			[]string{"WhalegateRunsUnsaved", "WhalegateSignalErrors", "WhalegateStale", "WhalegateWatchdogBlind"}},
		{"a halt", []string{"WhalegateHalted", "WhalegateSignalsBlocked", "WhalegateIngestionFailing"}, []string{"WhalegateSignalsBlocked"}},
		{"consequences without their causes", []string{"WhalegateRunsUnsaved", "WhalegateStale", "WhalegateSignalErrors", "regime_change", "WhalegateDatabaseDiskFull", "WhalegateDatabaseDiskFilling"}, []string{"WhalegateDatabaseDiskFilling"}},
		{"the clock went back", []string{"WhalegateClockBack", "WhalegateStale", "WhalegateIngestionFailing", "WhalegateMinutesRefused", "WhalegateSignalsBlocked", "WhalegateDatabaseSlow", "system_stale"},
			[]string{"WhalegateIngestionFailing", "WhalegateMinutesRefused", "WhalegateSignalsBlocked", "WhalegateStale"}},
		{"everybody is gone at once", []string{"WhalegateAllAtOnce", "WhalegateStale", "WhalegateIngestionFailing", "WhalegateSignalsBlocked", "WhalegateStateLag", "system_stale"},
			[]string{"WhalegateIngestionFailing", "WhalegateSignalsBlocked", "WhalegateStale"}},
		{"nobody leads", []string{"WhalegateNoCollector", "WhalegateDegraded", "WhalegateSpareDown", "regime_change"}, []string{"WhalegateDegraded"}},
		{"the disk is full", []string{"WhalegateDatabaseDiskFull", "WhalegateDatabaseDiskFilling", "WhalegateDatabaseGrowing"}, []string{"WhalegateDatabaseDiskFilling", "WhalegateDatabaseGrowing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := startAlertmanager(t, path)
			type alert struct {
				Labels map[string]string `json:"labels"`
			}
			var told []alert
			for _, name := range tt.fires {
				if severity[name] == "" {
					t.Fatalf("there is no alert %s", name)
				}
				told = append(told, alert{map[string]string{"alertname": name, "severity": severity[name], "service": "whalegate"}})
			}
			body, err := json.Marshal(told)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.Post(address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("tell it: %v %v", response, err)
			}
			response.Body.Close()
			var got []string
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) { // it takes them in by and by
				if got = heldBack(t, address, len(tt.fires)); slices.Equal(got, tt.quiet) {
					return
				}
			}
			t.Errorf("held back are %v; %v are wanted", got, tt.quiet)
		})
	}
}

func startAlertmanager(t *testing.T, path string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	dir := layOut(t, "alertmanager")
	s, err := subprocess.Start(t.Context(), subprocess.Config{
		Name: "Alertmanager", Path: path, Dir: dir, LogFile: filepath.Join(dir, "log"), Ready: "http://" + address + "/-/ready",
		Args: []string{"--config.file=alertmanager.yml", "--storage.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + address, "--cluster.listen-address="},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + address
}

// heldBack are the alerts that another one silences, of so many that were told.
func heldBack(t *testing.T, address string, told int) (names []string) {
	t.Helper()
	response, err := http.Get(address + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var alerts []struct {
		Labels map[string]string `json:"labels"`
		Status struct {
			InhibitedBy []string `json:"inhibitedBy"`
		} `json:"status"`
	}
	if err := json.Unmarshal(body, &alerts); err != nil || len(alerts) != told {
		t.Fatal(fmt.Errorf("%d alerts, %d were told: %w: %s", len(alerts), told, err, body))
	}
	for _, a := range alerts {
		if len(a.Status.InhibitedBy) > 0 {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names
}
