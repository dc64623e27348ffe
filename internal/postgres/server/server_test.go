package server_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

func start(t *testing.T, password string) *server.Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalegate-server-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s, err := server.Start(t.Context(), server.Config{Dir: dir + "/data", Password: password, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func exec(t *testing.T, url string, sql ...string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for _, statement := range sql {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			return err
		}
	}
	return nil
}

func TestDataSurvivesStopAndCrash(t *testing.T) {
	s := start(t, "")
	url := s.URL(server.Superuser, "postgres")
	if err := exec(t, url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{"stop": s.Stop, "crash": s.Kill} {
		if err := end(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		<-s.Exited()
		if err := exec(t, url, "SELECT 1"); err == nil {
			t.Errorf("after a %s the server still answers", name)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatalf("restart after a %s: %v", name, err)
		}
		if err := exec(t, url, "INSERT INTO t SELECT n FROM t"); err != nil {
			t.Errorf("after a %s: %v", name, err)
		}
	}
}

func TestThePasswordIsAskedFor(t *testing.T) {
	s := start(t, "s3cret")
	if err := exec(t, s.URL(server.Superuser, "postgres"), "SELECT 1"); err != nil {
		t.Errorf("with the password: %v", err)
	}
	if err := exec(t, strings.Replace(s.URL(server.Superuser, "postgres"), "s3cret", "wrong", 1), "SELECT 1"); err == nil {
		t.Error("a wrong password is accepted")
	}
	log, err := os.ReadFile(s.LogFile())
	if err != nil || strings.Contains(string(log), "s3cret") {
		t.Errorf("the log holds the password, or cannot be read: %v", err)
	}
}

func TestAFolderOfSomebodyElseIsLeftAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root hands folders over")
	}
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Start(t.Context(), server.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("Start = %v", err)
	}
}
