package test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// startStandby makes a hot standby of a server, which follows it through a wire.
func startStandby(t testing.TB, of *server.Server, through *wire) *server.Server {
	t.Helper()
	bin, err := server.Find()
	must(t, err)
	dir := filepath.Join(openDir(t), "standby")
	host, port, err := net.SplitHostPort(through.address())
	must(t, err)
	handOver(t, of.LogFile(), filepath.Dir(of.LogFile())) // it lies among the data, and is ours
	if out, err := exec.Command(filepath.Join(bin, "pg_basebackup"), "-D", dir, "-h", "127.0.0.1", "-p", strconv.Itoa(of.Port()), "-U", server.Superuser, "-X", "stream", "--no-sync", "-c", "fast").CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v %s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "standby.signal"), nil, 0o600))
	settings := pgtest.Settings()
	settings["primary_conninfo"] = fmt.Sprintf("host=%s port=%s user=%s", host, port, server.Superuser)
	settings["wal_receiver_status_interval"] = "1s"
	handOver(t, dir, filepath.Dir(of.LogFile()))
	standby, err := server.Start(t.Context(), server.Config{Dir: dir, Settings: settings})
	must(t, err)
	t.Cleanup(func() { must(t, standby.Kill()) }) // its data is thrown away
	return standby
}

// handOver gives a folder to the user to whom another one belongs.
func handOver(t testing.TB, dir, like string) {
	t.Helper()
	info, err := os.Stat(like)
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(owner.Uid), int(owner.Gid)))
	}))
}

// A board on a hot standby goes dark when it cannot know what the primary says: a halt
// there is seen here at once, or the board closes within 30 s.
func TestABoardOnAStandbyDoesNotShowThePast(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(*pgxpool.Pool, *wire){
		"replay is paused": func(db *pgxpool.Pool, _ *wire) {
			_, err := db.Exec(t.Context(), "SELECT pg_wal_replay_pause()")
			must(t, err)
		},
		"nothing arrives": func(_ *pgxpool.Pool, w *wire) { w.swallow() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTroupe(t, 1)
			r.join()
			r.awaitLeader()
			through := newWire(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(r.pg.Port())))
			standby := startStandby(t, r.pg, through)
			db, err := postgres.Open(t.Context(), standby.URL(server.Superuser, dbName), "test")
			must(t, err)
			t.Cleanup(db.Close)
			board, err := pgx.Connect(t.Context(), standby.URL("whalegate_board", dbName))
			must(t, err)
			defer board.Close(t.Context())
			shown := func() (state string, reasons []string, rows int) {
				must(t, board.QueryRow(t.Context(), "SELECT health_state, reasons, (SELECT count(*) FROM board.gate) FROM board.health").Scan(&state, &reasons, &rows))
				return state, reasons, rows
			}
			await(t, "the standby to be HEALTHY", func() error {
				state, reasons, rows := shown()
				if state != "HEALTHY" || rows != 3 {
					return fmt.Errorf("%s %v, %d rows", state, reasons, rows)
				}
				return nil
			})
			hold(db, through)
			_, err = halt.Stop(t.Context(), r.db, "two boards disagree", "op")
			must(t, err)
			halted := time.Now()
			for {
				state, reasons, rows := shown()
				if state == "STALE" {
					if rows != 0 || !slices.Contains(reasons, "replica_lag") {
						t.Errorf("%s %v, %d rows", state, reasons, rows)
					}
					t.Logf("dark %.1f s after the halt", time.Since(halted).Seconds())
					for _, command := range [][]string{{"halt", "--reason", "r"}, {"resume", "--cause", "c", "--actions", "a"}, {"clock", "accept", "--reason", "r"}} {
						got := call(t, []string{"DATABASE_URL=" + standby.URL(server.Superuser, dbName), "WHALEGATE_TEST_CLOCK=" + r.text}, command...)
						if got.code == 0 || !strings.Contains(got.stderr, "this server is a standby and takes no write: ask the primary") {
							t.Errorf("%v on a standby: %s", command, got)
						}
					}
					return
				}
				if time.Since(halted) > 33*time.Second { // the beat's own age, and a beat
					t.Fatalf("%s %v, %d rows, %s after the halt", state, reasons, rows, time.Since(halted))
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
}

// A collector whose address leads to a standby is not ready and says why, once; when that
// server is promoted, it leads without a restart.
func TestACollectorAtAStandbyIsNotReady(t *testing.T) {
	t.Parallel()
	r := newTroupe(t, 1)
	r.join()
	r.awaitLeader()
	standby := startStandby(t, r.pg, newWire(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(r.pg.Port()))))
	spare := launch(t, []string{
		"DATABASE_URL=" + standby.URL(writer, dbName), "WHALEGATE_TEST_CLOCK=" + r.text, "WHALEGATE_API_URL=" + r.exchange, "WHALEGATE_STATS_URL=" + r.exchange,
		"WHALEGATE_API_WEIGHT=1000000", fmt.Sprintf("WHALEGATE_UNIVERSE_SIZE=%d", wallets), "WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0",
	}, "run")
	address := spare.logged(t, "service started")["address"].(string)
	ready := func() (int, string) {
		answer, err := http.Get(address + "/-/ready")
		must(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		return answer.StatusCode, string(body)
	}
	const why = "this server is a standby and takes no write"
	await(t, "the spare to say that it cannot lead", func() error {
		if code, body := ready(); code != http.StatusServiceUnavailable || !strings.Contains(body, why) {
			return fmt.Errorf("%d %s", code, body)
		}
		if !strings.Contains(spare.log(), why) {
			return errors.New("its log does not tell")
		}
		return nil
	})
	db, err := postgres.Open(t.Context(), standby.URL(server.Superuser, dbName), "test")
	must(t, err)
	t.Cleanup(db.Close)
	_, err = db.Exec(t.Context(), "SELECT pg_promote()")
	must(t, err)
	await(t, "the spare to lead", func() error {
		who, err := lead.Read(t.Context(), db)
		if err == nil && (who.Process == nil || *who.Process != spare.cmd.Process.Pid) {
			err = errors.New(who.Text())
		}
		return err
	})
	if code, body := ready(); code != http.StatusOK {
		t.Errorf("it leads, and /-/ready answers %d %s", code, body)
	}
	if n := strings.Count(spare.log(), why); n != 1 {
		t.Errorf("it said %d times that it is at a standby", n)
	}
}
