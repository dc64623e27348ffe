package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/postgres/disk"
	"github.com/whalegate/whalegate/internal/retention"
)

// storageFlags say how much the database may keep.
type storageFlags struct {
	Disk      string   `name:"database-disk" env:"WHALEGATE_DATABASE_DISK" type:"path" help:"A folder on the database's disk, where this machine has it: nothing is ingested while too little of it is free. Without it only the server's own refusal stops ingestion."`
	Reserve   byteSize `name:"database-disk-reserve" env:"WHALEGATE_DATABASE_DISK_RESERVE" default:"1GiB" help:"What has to stay free on that disk, such as 512MiB or 2GiB; at least what PostgreSQL's write-ahead log may grow by (max_wal_size)."`
	OlderThan *keptFor `name:"prune-older-than" env:"WHALEGATE_PRUNE_OLDER_THAN" help:"Let the daily job keep everything at least this long, such as 30d or 720h; by default each table's own time."`
}

// guard watches the disk, as far as it is known.
func (f storageFlags) guard(logger *slog.Logger) (*disk.Guard, error) {
	return disk.NewGuard(disk.Config{Path: f.Disk, Reserve: uint64(f.Reserve), Logger: logger})
}

// byteSize is a number of bytes in binary units.
type byteSize uint64

// UnmarshalText reads text such as 512MiB.
func (b *byteSize) UnmarshalText(text []byte) error {
	for suffix, shift := range map[string]uint{"MiB": 20, "GiB": 30, "TiB": 40} {
		if digits, ok := strings.CutSuffix(string(text), suffix); ok {
			if n, err := strconv.ParseUint(digits, 10, 20); err == nil && n > 0 {
				*b = byteSize(n << shift)
				return nil
			}
		}
	}
	return fmt.Errorf("%q is no size such as 512MiB or 2GiB", text)
}

// keptFor is a time that things are kept, in days or as Go writes it.
type keptFor time.Duration

// UnmarshalText reads text such as 30d or 720h.
func (k *keptFor) UnmarshalText(text []byte) error {
	if digits, ok := strings.CutSuffix(string(text), "d"); ok {
		if n, err := strconv.ParseUint(digits, 10, 16); err == nil {
			*k = keptFor(time.Duration(n) * retention.Day)
			return nil
		}
	} else if d, err := time.ParseDuration(string(text)); err == nil {
		*k = keptFor(d)
		return nil
	}
	return fmt.Errorf("%q is no time such as 30d or 720h", text)
}

// duration is 0 when nothing was asked for.
func (k *keptFor) duration() (time.Duration, error) {
	if k == nil {
		return 0, nil
	}
	return time.Duration(*k), retention.Check(time.Duration(*k))
}
