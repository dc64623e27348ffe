// Package subprocess runs other people's servers as children of ours: they write
// to a log file, are waited for, and end with us whatever happens to us.
package subprocess

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// Config says what to run.
type Config struct {
	Name    string // for errors
	Path    string // of the program
	Args    []string
	Env     []string // nothing of ours is handed on but this and PATH
	Dir     string   // working directory
	LogFile string
	// Ready is an address that answers 200 once the server is up.
	Ready string
	// Again is how often it is started again when it ends by itself before it
	// answers. The log has every try.
	Again int
}

// Server is a running child.
type Server struct {
	cfg    Config
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// Patience of starting and stopping.
const (
	startTimeout = 2 * time.Minute // a first start on a busy machine makes databases
	stopTimeout  = 10 * time.Second
)

var errEnded = errors.New("ended while starting")

// Start runs the server and waits until it answers.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := start(ctx, cfg)
	for again := cfg.Again; again > 0 && errors.Is(err, errEnded) && ctx.Err() == nil; again-- {
		s, err = start(ctx, cfg)
	}
	return s, err
}

func start(ctx context.Context, cfg Config) (*Server, error) {
	log, err := os.OpenFile(cfg.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", cfg.Name, err)
	}
	defer log.Close() // the child has its own descriptor
	// Not bound to ctx: the server outlives the call and is ended by Stop.
	cmd := exec.Command(cfg.Path, cfg.Args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = cfg.Dir, log, log
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TZ=UTC"}, cfg.Env...)
	// A Ctrl-C at the terminal is ours to pass on; the end of our process is
	// passed on by the kernel.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	s := &Server{cfg: cfg, cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // how it ended stands in its log
	}()
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("%s did not answer within %s: see %s", s.cfg.Name, startTimeout, s.cfg.LogFile))
	defer cancel()
	for {
		if answers(ctx, s.cfg.Ready) {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s %w: see %s", s.cfg.Name, errEnded, s.cfg.LogFile)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func answers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close() // its status is all
	return response.StatusCode == http.StatusOK
}

// Stop ends the server: politely, then by force.
func (s *Server) Stop() error {
	select {
	case <-s.exited:
		return nil
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", s.cfg.Name, err)
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill() // it may have ended just now
		<-s.exited
		return fmt.Errorf("%s was killed: it was still running %s after SIGTERM", s.cfg.Name, stopTimeout)
	}
}

// PID is the id of the process, and of its group.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// FreePort is a port of 127.0.0.1 that nobody listened on a moment ago.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Address is a port of this machine as host:port.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
