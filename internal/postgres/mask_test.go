package postgres_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// The mask that is put back is that of the newest migration which made one.
func TestTheMaskIsThatOfTheMigrations(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const begins = "FUNCTION decision_surface()\n"
	_, mask, _ := strings.Cut(read("mask.sql"), begins)
	names, err := filepath.Glob("migrations/*.sql") // in order
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	var newest string
	for _, name := range names {
		if _, text, ok := strings.Cut(read(name), begins); ok {
			newest = text
		}
	}
	if mask == "" || !strings.HasPrefix(newest, mask) {
		t.Errorf("mask.sql has another one than the migrations:\n%s", mask)
	}
}

// It is put back after somebody changed it.
func TestTheMaskIsPutBack(t *testing.T) {
	db := pgtest.New(t)
	mask := func() (text string) {
		t.Helper()
		if err := db.QueryRow(t.Context(), "SELECT pg_get_functiondef('decision_surface()'::regprocedure)").Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := mask()
	if _, err := db.Exec(t.Context(), `CREATE OR REPLACE FUNCTION decision_surface() RETURNS TABLE (health_state text, judged_at timestamptz)
		LANGUAGE sql AS $$SELECT 'HEALTHY', now()$$`); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if missing, err := postgres.Provision(t.Context(), conn.Conn()); err != nil || len(missing) > 0 {
		t.Fatalf("%v %v", missing, err)
	}
	if after := mask(); after != before {
		t.Errorf("it is %s, and was %s", after, before)
	}
}
