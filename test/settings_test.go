package test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongSettingsGetOneLine checks that a wrong setting ends a command at
// once, with one line that names it and no secret.
func TestWrongSettingsGetOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	const (
		usage  = 80 // kong's own
		listen = "--listen-address=127.0.0.1:0"
		down   = "--database-url=postgres://whalegate:hunter2@127.0.0.1:1/hyperliquid"
	)
	for _, tt := range []struct {
		code int
		want string // a part of the line
		args []string
	}{
		{1, "database URL", []string{"run", listen, "--database-url=postgres://whalegate:hunter2@localhost:nonsense/db"}},
		{1, "database URL", []string{"run", listen, "--database-url=host=localhost password=hunter2 port=nonsense"}},
		{1, "API", []string{"run", listen, down, "--api-url=nonsense"}},
		{1, "API", []string{"run", listen, down, "--api-url=ftp://user:hunter2@api.example"}},
		{1, "API", []string{"run", listen, down, "--api-url=http://user:hunter2@"}},
		{1, "API", []string{"run", listen, down, "--api-url=http://user:hunter2@host:port"}},
		{1, "API", []string{"run", listen, down, "--api-url="}},
		{1, "stats", []string{"run", listen, down, "--stats-url=https://stats.example/?token=hunter2"}},
		{1, "api header", []string{"run", listen, down, "--api-header=hunter2"}},
		{1, "header", []string{"run", listen, down, "--api-header=Accept-Encoding: gzip"}},
		{1, "header", []string{"run", listen, down, "--api-header=Bad Name: hunter2"}},
		{1, "weight", []string{"run", listen, down, "--api-weight=1"}},
		{1, "weight", []string{"run", listen, down, "--api-weight=-5"}},
		{1, "universe size", []string{"run", listen, down, "--universe-size=0"}},
		{1, "universe size", []string{"run", listen, down, "--universe-size=1000000"}},
		{1, "concurrency", []string{"run", listen, down, "--concurrency=0"}},
		{1, "listen address", []string{"run", down, "--listen-address=nonsense"}},
		{1, "listen address", []string{"run", down, "--listen-address=" + taken.Addr().String()}},
		{1, "web config file", []string{"run", listen, down, "--web.config.file=" + filepath.Join(dir, "missing.yml")}},
		{1, "web config file", []string{"run", listen, down, "--web.config.file=" + file("web.yml", "nonsense: true\n")}},
		{1, "external URL", []string{"run", listen, down, "--web.external-url=whalegate.example.org"}},
		{1, "external URL", []string{"run", listen, down, "--web.external-url=https://op:hunter2@whalegate.example.org/"}},
		{1, "external URL", []string{"watchdog", listen, down, "--web.external-url=https://whalegate.example.org/?token=hunter2"}},
		{1, "external URL", []string{"dashboards", "generate", "--web.external-url=ftp://whalegate.example.org"}},
		{1, "external URL", []string{"dashboards", "push", "--dry-run", "--web.external-url=nonsense"}},
		{1, "external URL", []string{"alerts", "test", down, "--receiver=log", "--web.external-url=nonsense"}},
		{1, "clock", []string{"run", listen, down, "--test-clock=noon"}},
		{1, "older than 6d: 7d or more is right", []string{"run", listen, down, "--prune-older-than=6d"}},
		{1, "database disk", []string{"run", listen, down, "--database-disk=" + filepath.Join(dir, "missing")}},
		{usage, "512MiB", []string{"run", listen, down, "--database-disk-reserve=lots"}},
		{usage, "512MiB", []string{"run", listen, down, "--database-disk-reserve=0GiB"}},
		{usage, "--universe-size", []string{"run", listen, down, "--universe-size=many"}},
		{usage, "--nonsense", []string{"run", "--nonsense"}},
		{usage, "--log.format", []string{"--log.format=xml", "run"}},
		{1, "universe size", []string{"demo", "--universe-size=0"}},
		{1, "history", []string{"demo", "--history=-1h"}},
		{usage, "--history", []string{"demo", "--history=day"}},
		{1, "rows", []string{"simulate", listen, "--rows=-1"}},
		{1, "listen address", []string{"simulate", "--listen-address=nonsense"}},
		{usage, "--scenario", []string{"simulate", listen, "--scenario=" + filepath.Join(dir, "missing.json")}},
		{1, "scenario", []string{"simulate", listen, "--scenario=" + file("scenario.json", `{"steps":[{"after":"1m","fault":{"kind":"fire"}}]}`)}},
		{1, "positions", []string{"simulate", listen, "--positions=" + file("positions.csv", "nonsense\n1,2\n")}},
		{1, "bodies", []string{"simulate", listen, "--bodies=" + filepath.Dir(file("bodies.json", "{"))}},
		{usage, "--origin", []string{"simulate", listen, "--origin=yesterday"}},
		{3, "database URL", []string{"status", "--database-url=postgres://whalegate:hunter2@localhost:nonsense/db"}},
		{usage, "--reason", []string{"halt", down}},
		{usage, "--cause", []string{"resume", down, "--actions=none"}},
		{1, "reason", []string{"halt", down, "--reason= "}},
		{1, "unreachable", []string{"halt", down, "--reason=because"}},
		{1, "unreachable", []string{"universe", "show", down}},
		{1, "unreachable", []string{"migrate", down}},
		{1, "unreachable", []string{"prune", down}},
		{1, "older than 167h0m0s: 7d or more is right", []string{"prune", down, "--older-than=167h"}},
		{1, "older than 0d: 7d or more is right", []string{"prune", down, "--older-than=0d", "--dry-run"}},
		{usage, "30d or 720h", []string{"prune", down, "--older-than=a week"}},
		{usage, "30d or 720h", []string{"prune", down, "--older-than=-8d"}},
	} {
		t.Run(strings.Join(tt.args[:1], " ")+" "+tt.want, func(t *testing.T) {
			r := call(t, nil, tt.args...)
			if r.code != tt.code {
				t.Errorf("%v: exit %d is wanted: %s", tt.args, tt.code, r)
			}
			if strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, tt.want) {
				t.Errorf("%v: one line with %q is wanted: %s", tt.args, tt.want, r)
			}
			if strings.Contains(r.stdout+r.stderr, "hunter2") || strings.Contains(r.stderr, "goroutine") {
				t.Errorf("%v shows what it should not: %s", tt.args, r)
			}
		})
	}
}

// TestUnreachableDatabaseIsUnknown checks the one command whose exit code is for
// monitoring.
func TestUnreachableDatabaseIsUnknown(t *testing.T) {
	t.Parallel()
	env := []string{"DATABASE_URL=postgres://whalegate:hunter2@127.0.0.1:1/hyperliquid"}
	for _, args := range [][]string{{"status"}, {"status", "--json"}} {
		r := call(t, env, args...)
		if r.code != 3 || !strings.Contains(r.stdout, "STALE") || !strings.Contains(r.stdout, "unreachable") || strings.Contains(r.stdout+r.stderr, "hunter2") {
			t.Errorf("%v: %s", args, r)
		}
	}
}
