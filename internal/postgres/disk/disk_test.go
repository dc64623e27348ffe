package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const mib = 1 << 20

// A guard of 100 MiB on a disk of 1,000 MiB.
func TestTheGuardStopsBeforeTheDiskIsFullAndGoesOnByItself(t *testing.T) {
	var log bytes.Buffer
	g := &Guard{cfg: Config{Path: "/data", Reserve: 100 * mib, Logger: slog.New(slog.NewJSONHandler(&log, nil))}}
	for _, step := range []struct {
		free uint64 // MiB; 0: it cannot be read
		full bool
		said string // a part of the one line that is logged, "" for none
	}{
		{900, false, ""}, // nothing to tell
		{200, false, ""},
		{199, false, "filling"},
		{100, false, ""},
		{99, true, "nothing is ingested"},
		{98, true, ""},
		{105, true, ""}, // a tenth more is needed to go on
		{109, true, ""},
		{110, false, "has room again"},
		{100, false, ""},
		{99, true, "nothing is ingested"},
		{500, false, "has room again"},
		{0, false, "cannot be read"}, // nobody knows: nothing is guessed
		{0, false, ""},
		{50, true, "nothing is ingested"},
		{0, false, "cannot be read"},
		{900, false, "has room again"},
	} {
		log.Reset()
		g.of = func(string) (Usage, error) {
			if step.free == 0 {
				return Usage{}, errors.New("gone")
			}
			return Usage{Free: step.free * mib, Size: 1000 * mib}, nil
		}
		err := g.Room()
		if (err != nil) != step.full || step.full && !errors.Is(err, postgres.ErrDiskFull) {
			t.Errorf("%d MiB free: Room = %v", step.free, err)
		}
		if step.full && !strings.Contains(err.Error(), "MiB of 1000 MiB are free") {
			t.Errorf("%d MiB free: %v", step.free, err)
		}
		var line map[string]any
		if err := json.Unmarshal(log.Bytes(), &line); (err == nil) != (step.said != "") || step.said != "" && !strings.Contains(line["msg"].(string), step.said) {
			t.Errorf("%d MiB free: %q is logged, %q is wanted", step.free, log.String(), step.said)
		}
	}
}

// A disk that is not known stops nothing and shows nothing; the database has a
// size all the same.
func TestWhatIsNotKnownHasNoSeries(t *testing.T) {
	pool := pgtest.As(t, pgtest.New(t), "whalegate_writer")
	down, err := postgres.Open(t.Context(), "postgres://x@127.0.0.1:1/x", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer down.Close()
	for _, tt := range []struct {
		name  string
		path  string
		lost  bool
		known bool
		up    bool
		want  int
	}{
		{"both are known", t.TempDir(), false, true, true, 3},
		{"no path", "", false, false, true, 1},
		{"a path that has gone", t.TempDir(), true, false, true, 1},
		{"no database", t.TempDir(), false, true, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := NewGuard(Config{Path: tt.path, Reserve: 1, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if tt.lost {
				if err := os.Remove(tt.path); err != nil {
					t.Fatal(err)
				}
			}
			if err := g.Room(); err != nil {
				t.Errorf("Room = %v", err)
			}
			from := pool
			if !tt.up {
				from = down
			}
			registry := prometheus.NewRegistry()
			registry.MustRegister(NewCollector(g, from))
			names := []string{"whalegate_database_disk_free_bytes", "whalegate_database_disk_size_bytes", "whalegate_database_size_bytes"}
			n, err := testutil.GatherAndCount(registry, names...)
			if err != nil || n != tt.want {
				t.Errorf("%d series, %v; want %d", n, err, tt.want)
			}
			disk, err := testutil.GatherAndCount(registry, names[:2]...)
			if err != nil || (disk == 2) != tt.known {
				t.Errorf("%d series of the disk, %v", disk, err)
			}
		})
	}
}

func TestAFolderThatIsNotThereIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing")
	if _, err := NewGuard(Config{Path: path}); err == nil || !strings.Contains(err.Error(), "database disk") || !strings.Contains(err.Error(), path) {
		t.Errorf("NewGuard = %v", err)
	}
	u, err := Of(t.TempDir())
	if err != nil || u.Size == 0 || u.Free > u.Size {
		t.Errorf("Of = %+v, %v", u, err)
	}
}
