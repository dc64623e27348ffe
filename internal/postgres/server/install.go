package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// ErrNotInstalled means that the machine has no PostgreSQL server programs.
var ErrNotInstalled = errors.New("no PostgreSQL server programs found under /usr/lib/postgresql or in PATH: install the package postgresql")

// Find returns the folder with the newest PostgreSQL programs: a distribution's
// versioned folder, or wherever PATH has initdb.
func Find() (string, error) {
	versions, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	slices.SortFunc(versions, func(a, b string) int { return version(a) - version(b) })
	if len(versions) > 0 {
		return filepath.Dir(versions[len(versions)-1]), nil
	}
	initdb, err := exec.LookPath("initdb")
	if err != nil {
		return "", ErrNotInstalled
	}
	if initdb, err = filepath.EvalSymlinks(initdb); err != nil {
		return "", fmt.Errorf("follow %s: %w", initdb, err)
	}
	return filepath.Dir(initdb), nil
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

// account is the user that the server's processes run as. A nil account is the
// user who runs this program.
type account struct{ uid, gid uint32 }

// unprivileged picks the account: initdb and postgres refuse to run as root.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &account{uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.New("started as root, and there is no user postgres or nobody to run PostgreSQL as")
}

// own makes dir, readable by the account alone.
func (a *account) own(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if a == nil {
		return nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid == a.uid {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return errors.New("it is not empty and belongs to another user")
	}
	return os.Chown(dir, int(a.uid), int(a.gid))
}

// apply makes cmd run as the account, in dir, with nothing of our environment
// that could change how PostgreSQL behaves.
func (a *account) apply(cmd *exec.Cmd, dir string) {
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is ours to pass on
	if a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
}

func (s *Server) initialise(ctx context.Context) error {
	args := []string{"-D", s.cfg.Dir, "-U", Superuser, "--encoding=UTF8", "--locale=C", "--no-instructions"}
	if s.cfg.Password == "" {
		args = append(args, "--auth=trust", "--no-sync")
	} else {
		file, err := s.passwordFile()
		if err != nil {
			return err
		}
		defer os.Remove(file)
		args = append(args, "--auth=scram-sha-256", "--pwfile="+file)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	s.account.apply(cmd, s.cfg.Dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialise %s: %w: %s", s.cfg.Dir, err, out)
	}
	return nil
}

// passwordFile hands the password to initdb in a file that only it can read:
// an argument would be seen by every user of the machine.
func (s *Server) passwordFile() (string, error) {
	f, err := os.CreateTemp("", "whalegate-pw-")
	if err != nil {
		return "", fmt.Errorf("hand over the password: %w", err)
	}
	_, err = f.WriteString(s.cfg.Password + "\n")
	if s.account != nil {
		err = errors.Join(err, f.Chown(int(s.account.uid), int(s.account.gid)))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("hand over the password: %w", err), os.Remove(f.Name()))
	}
	return f.Name(), nil
}
