package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a command of ours that runs until it is told to end.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the process has ended

	mu     sync.Mutex
	stderr bytes.Buffer
}

// Write takes the process's log.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// launch starts the command; whatever is left of it is killed with the test.
func launch(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"--log.format=json"}, args...)...)
	p.cmd.Env, p.cmd.Stderr = environment(env), p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // none outlives the tests
	must(t, p.cmd.Start())
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // its code is asked for by end
	}()
	t.Cleanup(func() {
		p.kill()
		if strings.Contains(p.log(), "DATA RACE") || strings.Contains(p.log(), "panic:") {
			t.Errorf("%v: %s", args, p.log())
		}
		if t.Failed() {
			lines := strings.Split(strings.TrimSpace(p.log()), "\n")
			t.Logf("end of the log of %v:\n%s", args, strings.Join(lines[max(0, len(lines)-25):], "\n"))
		}
	})
	return p
}

// environment has nothing in it that could change what the command does.
func environment(env []string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
}

// logged waits for a message and returns its line.
func (p *process) logged(t testing.TB, message string) map[string]any {
	t.Helper()
	var found map[string]any
	await(t, "the message "+message, func() error {
		for line := range strings.Lines(p.log()) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
				found = fields
				return nil
			}
		}
		select {
		case <-p.exited:
			t.Fatalf("it ended with %d: %s", p.cmd.ProcessState.ExitCode(), p.log())
		default:
		}
		return errors.New("not logged yet")
	})
	return found
}

// kill ends the process at once, as the kernel would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// end sends SIGTERM and returns the exit code; the process has ten seconds.
func (p *process) end(t testing.TB) int {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		t.Errorf("still running 10 s after SIGTERM")
		p.kill()
	}
	return p.cmd.ProcessState.ExitCode()
}

// result is what a command that ends by itself left.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout: %s\nstderr: %s", r.code, r.stdout, r.stderr)
}

// call runs a command to its end.
func call(t testing.TB, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(env), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Errorf("%v did not end within %s", args, patience)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}
