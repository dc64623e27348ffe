package test

import (
	"syscall"

	"github.com/whalegate/whalegate/internal/health"
)

// ingestionDays are the game days of runbook 1.
var ingestionDays = []day{
	{1, "429 storm", func(g *gameday) {
		g.inject(func() { g.fault(`{"kind":"status","code":429,"endpoint":"state"}`) })
		g.detectedAs(health.Stale, "")
		g.diagnosed(2)
		g.repair(g.clear)
		g.recovered()
	}},
	{1, "collector paused past ten minutes", func(g *gameday) {
		g.watch()
		g.inject(func() { must(g, g.service.cmd.Process.Signal(syscall.SIGSTOP)) })
		g.detectedAs(health.Degraded, "snapshot_age")
		g.diagnosed(2)
		g.awaitHealth(health.Stale, "system_stale") // the dead man's switch has said so
		g.repair(func() { must(g, g.service.cmd.Process.Signal(syscall.SIGCONT)) })
		g.recovered()
	}},
}
