package lead

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootClock is a clock that nobody can set: the seconds since the machine's boot,
// sleep included, and which boot that was. A process that starts on the machine on
// which another one died knows by it how long that was ago.
type bootClock func() (id string, seconds float64)

// machineBoot reads the machine's. id is empty where it cannot be told.
func machineBoot() (id string, seconds float64) {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return "", 0
	}
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(text)), float64(now.Sec) + float64(now.Nsec)/1e9
}
