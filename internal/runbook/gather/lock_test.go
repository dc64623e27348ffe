package gather

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/runbook"
)

// A transaction that was prepared and never ended is found, and what is said ends it.
func TestAnOrphanedPreparedTransactionIsFound(t *testing.T) {
	t.Parallel()
	settings := pgtest.Settings()
	settings["max_prepared_transactions"] = "2"
	s, err := server.Start(t.Context(), server.Config{Dir: serverDir(t) + "/data", Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() })
	if err := pgtest.Prepare(t.Context(), s, "hyperliquid"); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), s.URL(server.Superuser, "hyperliquid"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{"BEGIN", "LOCK TABLE ingest_runs IN ACCESS EXCLUSIVE MODE", "PREPARE TRANSACTION 'left'"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r := runbook.Diagnose(Ask(t.Context(), Source{DatabaseURL: s.URL(server.Superuser, "hyperliquid")}))
	found := r.Findings[0]
	if last := found.Actions[len(found.Actions)-1]; found.Slug != "database" || !strings.Contains(last.Command, "ROLLBACK PREPARED 'left'") {
		t.Errorf("%s: %s %+v", found.Slug, found.Summary, found.Actions)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK PREPARED 'left'"); err != nil {
		t.Fatal(err)
	}
	if f := Ask(t.Context(), Source{DatabaseURL: s.URL(server.Superuser, "hyperliquid")}); len(f.Database.Unreadable) > 0 {
		t.Errorf("%v", f.Database.Unreadable)
	}
}

// The connection has no parameters that a pooler would refuse: PgBouncer knows these alone.
func TestAPoolerLetsADiagnosisIn(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	said := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var head [4]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		body := make([]byte, int(head[2])<<8+int(head[3])-len(head))
		_, _ = io.ReadFull(conn, body)
		said <- string(body[4:]) // after the version
	}()
	_, err = connect(t.Context(), fmt.Sprintf("postgres://ann@%s/hyperliquid?sslmode=disable", listener.Addr()))
	if err == nil {
		t.Fatal("connected")
	}
	parts := strings.Split(strings.Trim(<-said, "\x00"), "\x00")
	for i := 0; i < len(parts); i += 2 {
		switch parts[i] {
		case "user", "database", "application_name", "timezone", "client_encoding", "datestyle", "standard_conforming_strings":
		default:
			t.Errorf("parameter %s", parts[i])
		}
	}
}
