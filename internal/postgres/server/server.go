// Package server runs a private PostgreSQL server from the programs installed
// on the machine: for the demo, and for tests. It listens on 127.0.0.1 only and
// never runs as root.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is the role that owns the cluster and its databases.
const Superuser = "postgres"

// startTimeout bounds how long a server may take to answer, recovery after a
// crash included.
const startTimeout = 60 * time.Second

// Config says where a server keeps its data and how it listens.
type Config struct {
	// Dir is the data directory, made and initialised when missing. Started as
	// root, it is handed to the unprivileged user that the server runs as.
	Dir string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Password of the superuser, set when the directory is initialised. Empty
	// lets every local user in: for tests only.
	Password string
	// Settings are passed as -c name=value.
	Settings map[string]string
}

// Server is a running server.
type Server struct {
	cfg     Config
	bin     string
	account *account
	port    int
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
}

// Start initialises the data directory if need be, starts the server and waits
// until it accepts connections.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if err := who.own(cfg.Dir); err != nil {
		return nil, fmt.Errorf("prepare data directory %s: %w", cfg.Dir, err)
	}
	s := &Server{cfg: cfg, bin: bin, account: who, port: cfg.Port}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		if err := s.initialise(ctx); err != nil {
			return nil, err
		}
	}
	if s.port == 0 {
		if s.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	return s, s.Restart(ctx)
}

// Restart starts the server again on the same port after Stop or Kill.
func (s *Server) Restart(ctx context.Context) error {
	args := []string{
		"-D", s.cfg.Dir, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
	}
	for name, value := range s.cfg.Settings {
		args = append(args, "-c", name+"="+value)
	}
	log, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer log.Close() // the child has its own descriptor
	// Not bound to ctx: the server outlives the call and is ended by Stop.
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Stdout, cmd.Stderr = log, log
	s.account.apply(cmd, s.cfg.Dir)
	// A server must not outlive whoever started it, even when that was killed;
	// SIGINT is PostgreSQL's fast shutdown.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	s.cmd, s.exited = cmd, exited
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.Kill())
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("postgres did not answer within %s: see %s", startTimeout, s.LogFile()))
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL(Superuser, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("postgres ended while starting: see %s", s.LogFile())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server as an operator would: sessions are cut, data is safe.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server at once, as a crash would: it recovers at its next start.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	select {
	case <-s.exited:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal postgres: %w", err)
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(startTimeout):
		return fmt.Errorf("postgres is still running %s after %s", startTimeout, signal)
	}
}

// Exited is closed when the server's process has ended, for whatever reason.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Port is the port on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// PID is the id of the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// LogFile is where the server writes its log.
func (s *Server) LogFile() string { return filepath.Join(s.cfg.Dir, "server.log") }

// URL is the connection URL for a role of the server. It holds the superuser's
// password when role is the superuser and there is one.
func (s *Server) URL(role, database string) string {
	user := url.User(role)
	if s.cfg.Password != "" && role == Superuser {
		user = url.UserPassword(role, s.cfg.Password)
	}
	return (&url.URL{Scheme: "postgres", User: user, Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database}).String()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
