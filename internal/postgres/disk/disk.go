// Package disk watches the room on the database's disk, and says when there is
// too little of it to write: PostgreSQL survives a full disk as long as it can
// still write its log, and not beyond.
package disk

import (
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"github.com/whalegate/whalegate/internal/postgres"
)

// Usage is the room on a disk, in bytes.
type Usage struct {
	Free uint64 // to an ordinary user: what the system keeps for root is not free
	Size uint64
}

// Of reads the room on the disk that holds a path.
func Of(path string) (Usage, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return Usage{}, fmt.Errorf("read the room at %s: %w", path, err)
	}
	return Usage{Free: fs.Bavail * uint64(fs.Frsize), Size: fs.Blocks * uint64(fs.Frsize)}, nil
}

// DefaultReserve is what has to stay free: what PostgreSQL's write-ahead log may
// grow by with its default settings.
const DefaultReserve = 1 << 30

// Config says what is watched.
type Config struct {
	Path    string // a folder on the database's disk; empty: not known
	Reserve uint64 // bytes that have to stay free
	Logger  *slog.Logger
}

// Guard says whether there is room. It is safe for concurrent use.
type Guard struct {
	cfg Config
	of  func(path string) (Usage, error)

	mu   sync.Mutex
	said state
}

// state is what was told last, so that only a change is told.
type state int

const (
	unsaid  state = iota
	fine          // there is room
	filling       // less than a fifth is free
	full          // less than the reserve
	unknown       // it could not be read
)

// NewGuard watches a path. The error says that it cannot be watched.
func NewGuard(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, of: Of}
	if cfg.Path == "" {
		return g, nil
	}
	if _, err := g.of(cfg.Path); err != nil {
		return nil, fmt.Errorf("database disk: %w", err)
	}
	return g, nil
}

// Room is nil when there is room to write, or when nobody knows; the server says
// so itself then, when it is too late. Otherwise the error wraps
// postgres.ErrDiskFull.
//
// Once there is too little, a tenth more than the reserve has to be free again:
// writing may not begin and end with every minute.
func (g *Guard) Room() error {
	if g.cfg.Path == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	u, err := g.of(g.cfg.Path)
	if err != nil {
		if g.change(unknown) {
			g.cfg.Logger.Error("the database's disk cannot be read: its room is not watched", "error", err)
		}
		return nil
	}
	needed := g.cfg.Reserve
	if g.said == full {
		needed += needed / 10
	}
	attrs := []any{"disk", g.cfg.Path, "free_bytes", u.Free, "size_bytes", u.Size, "reserve_bytes", g.cfg.Reserve}
	switch {
	case u.Free < needed:
		if g.change(full) {
			g.cfg.Logger.Error("the database's disk is full: nothing is ingested until there is room", attrs...)
		}
		return fmt.Errorf("%w: %s of %s are free, %s are needed", postgres.ErrDiskFull, text(u.Free), text(u.Size), text(needed))
	case u.Free < u.Size/5:
		was := g.said
		if g.change(filling) {
			message := "the database's disk is filling"
			if was == full {
				message = "the database's disk has room again"
			}
			g.cfg.Logger.Warn(message, attrs...)
		}
	default:
		was := g.said
		if g.change(fine) && was != unsaid {
			g.cfg.Logger.Info("the database's disk has room again", attrs...)
		}
	}
	return nil
}

// change tells whether something else was said last.
func (g *Guard) change(now state) bool {
	changed := g.said != now
	g.said = now
	return changed
}

// text is a number of bytes for people.
func text(bytes uint64) string {
	if bytes < 10<<30 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d GiB", bytes>>30)
}
