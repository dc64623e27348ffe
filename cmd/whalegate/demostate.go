package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// demoState is what a demo remembers between starts.
type demoState struct {
	Seed              uint64    `json:"seed"`
	Positions         string    `json:"positions,omitempty"` // file of recorded positions in its place
	Origin            time.Time `json:"origin"`              // where the simulated market starts
	SuperuserPassword string    `json:"superuser_password"`
	WriterPassword    string    `json:"writer_password"`
	BoardPassword     string    `json:"board_password"`
	OpsPassword       string    `json:"ops_password"`
	GrafanaPassword   string    `json:"grafana_password"`
	HistoryLoaded     bool      `json:"history_loaded"`
}

// openDemoState reads the state in dir, or starts one from fresh.
func openDemoState(dir string, fresh demoState) (demoState, error) {
	// The database's user has to pass through, and nobody else to look inside.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fresh, fmt.Errorf("data directory: %w", err)
	}
	body, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if errors.Is(err, os.ErrNotExist) {
		fresh.SuperuserPassword, fresh.WriterPassword = rand.Text(), rand.Text()
		fresh.BoardPassword, fresh.OpsPassword, fresh.GrafanaPassword = rand.Text(), rand.Text(), rand.Text()
		return fresh, fresh.save(dir)
	}
	if err != nil {
		return fresh, fmt.Errorf("data directory: %w", err)
	}
	var state demoState
	if err := json.Unmarshal(body, &state); err != nil {
		return fresh, fmt.Errorf("data directory: %s is not what a demo left: %w", filepath.Join(dir, "demo.json"), err)
	}
	missing := false // left by a version with fewer boards
	for _, password := range []*string{&state.BoardPassword, &state.OpsPassword, &state.GrafanaPassword} {
		if *password == "" {
			*password, missing = rand.Text(), true
		}
	}
	if missing {
		return state, state.save(dir)
	}
	return state, nil
}

func (s demoState) save(dir string) error {
	body, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, "demo.json"), body)
}

// writeEnv leaves a file to source, so that whalegate and psql find the demo's
// database, the runbooks' commands the program itself, `whalegate universe refresh` its exchange and not the real one,
// `whalegate runbook` its service, and `whalegate dashboards` its Grafana, if there
// is one.
func (s demoState) writeEnv(dir, databaseURL, exchangeURL, serviceURL, grafanaURL string) error {
	env := "export DATABASE_URL='" + databaseURL + "'\nexport WHALEGATE_API_URL='" + exchangeURL + "'\nexport WHALEGATE_STATS_URL='" + exchangeURL + "'\nexport WHALEGATE_SERVICE_URL='" + serviceURL + "'\n"
	if path := program(); filepath.IsAbs(path) {
		env += "export PATH='" + filepath.Dir(path) + "':\"$PATH\"\n"
	}
	if grafanaURL != "" {
		env += "export WHALEGATE_GRAFANA_URL='" + grafanaURL + "'\nexport WHALEGATE_GRAFANA_USER=admin\nexport WHALEGATE_GRAFANA_PASSWORD='" + s.GrafanaPassword + "'\n"
	}
	return replaceFile(filepath.Join(dir, "env"), []byte(env))
}

// replaceFile writes a file that only its owner can read, whole or not at all.
func replaceFile(path string, body []byte) error {
	if err := os.WriteFile(path+".new", body, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
