package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// gather is what a scrape of the collectors says, by name.
func gather(t *testing.T, collectors ...prometheus.Collector) map[string]*dto.Metric {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*dto.Metric{}
	for _, f := range families {
		found[strings.TrimPrefix(f.GetName(), "whalegate_database_")] = f.GetMetric()[0]
	}
	return found
}

func TestEveryStatementIsMeasured(t *testing.T) {
	db := pgtest.As(t, pgtest.New(t), "whalegate_writer")
	count := func() uint64 {
		return gather(t, postgres.NewCollector(db))["round_trip_seconds"].GetHistogram().GetSampleCount()
	}
	for _, tt := range []struct {
		name string
		ask  func() error
		want uint64
	}{
		{"nothing", func() error { return nil }, 0},
		{"a query", func() error { var n int; return db.QueryRow(t.Context(), "SELECT 1").Scan(&n) }, 1},
		{"a statement", func() error { _, err := db.Exec(t.Context(), "SELECT 1"); return err }, 1},
		{"a batch", func() error {
			b := &pgx.Batch{}
			b.Queue("SELECT 1")
			b.Queue("SELECT 2")
			return db.SendBatch(t.Context(), b).Close()
		}, 1},
		{"a failure", func() error {
			if _, err := db.Exec(t.Context(), "SELECT 1/0"); err == nil {
				t.Error("1/0 is no error")
			}
			return nil
		}, 1},
	} {
		before := count()
		if err := tt.ask(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := count() - before; got != tt.want {
			t.Errorf("%s: %d round trips, want %d", tt.name, got, tt.want)
		}
	}
}

// A pool that Open did not make has no stopwatch, and its collector says so.
func TestAForeignPoolMeasuresNothing(t *testing.T) {
	db, err := pgxpool.New(t.Context(), pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if n := gather(t, postgres.NewCollector(db))["round_trip_seconds"].GetHistogram().GetSampleCount(); n != 0 {
		t.Errorf("%d round trips", n)
	}
}
