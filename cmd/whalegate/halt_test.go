package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// What a person asks of a server that takes no write, or as a login that may not, is
// answered with who would take it.
func TestWhoTakesAWriteIsSaid(t *testing.T) {
	const readOnly = "ALTER DATABASE %s SET default_transaction_read_only = on;"
	for _, tt := range []struct{ name, sql, role, says string }{
		{"read-only", readOnly, "", "this server is no standby, and read-only by a setting (default_transaction_read_only): whalegate runbook show 7 "},
		{"a login that may not", "", "whalegate_watchdog", "whalegate_watchdog may not: log in as a member of the database's owner, "},
		{"a login of a board", "", "whalegate_board", "whalegate_board may "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			u, err := url.Parse(db.Config().ConnString())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(t.Context(), strings.ReplaceAll(tt.sql, "%s", db.Config().ConnConfig.Database)); err != nil {
				t.Fatal(err)
			}
			if tt.role != "" {
				u.User = url.User(tt.role)
			}
			flag := databaseFlag{DatabaseURL: u.String()}
			for command, run := range map[string]func() error{
				"halt": func() error { return (&haltCmd{databaseFlag: flag, Reason: "odd"}).Run(t.Context()) },
				"resume": func() error {
					return (&resumeCmd{databaseFlag: flag, Cause: "found", Actions: "mended"}).Run(t.Context())
				},
				"clock accept": func() error { return (&clockAccept{databaseFlag: flag, Reason: "compared"}).Run(t.Context()) },
			} {
				err := run()
				if err == nil || !strings.HasPrefix(err.Error(), command+": ") || !strings.Contains(err.Error(), tt.says) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "SQLSTATE") {
					t.Errorf("%s: %v", command, err)
				}
			}
		})
	}
}

func TestAClockIsSaidToBeBehindOrAhead(t *testing.T) {
	db := pgtest.New(t)
	for off, want := range map[string]string{"-20m": "20m0s ahead of this machine's", "20m": "20m0s behind this machine's"} {
		file := filepath.Join(t.TempDir(), "off")
		if err := os.WriteFile(file, []byte(off), 0o600); err != nil {
			t.Fatal(err)
		}
		c := clockAccept{databaseFlag: databaseFlag{DatabaseURL: db.Config().ConnString()}, clockFlag: clockFlag{ClockFile: file}, Reason: "compared"}
		if err := c.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", off, err)
		}
	}
	if got := beside(-20*time.Minute) + " " + beside(time.Second); got != "20m0s behind 1s ahead of" {
		t.Error(got)
	}
}
