package postgres_test

import (
	"testing"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// What the migrations made of the mask is what is put back after somebody changed it.
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
