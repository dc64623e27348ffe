package runbook

// The parts of what is asked of the database, one by one, so that one that cannot be read
// hides no other.
const (
	PartSettings = "settings"
	PartHealth   = "health"
	PartHalt     = "halts"
	PartRuns     = "runs"
	PartUniverse = "universe"
	PartCycles   = "signal cycles"
	PartDirty    = "dirty rows"
	PartAlerts   = "alerts"
	PartChecks   = "failed checks"
	PartSessions = "sessions"
	PartStorage  = "storage"
	PartBoard    = "board"
	PartLeader   = "leader"
	PartClocks   = "clocks"
	PartLost     = "lost minutes"
	PartAccounts = "accounts"
	PartCoins    = "coins"
	PartOpen     = "open failures"
	PartDefined  = "functions, views and rights"
	PartAudit    = "audit"
)

// Parts are all of them, in the order of reading: the sessions first, before the reading
// itself waits for somebody.
var Parts = []string{
	PartSettings,
	PartHealth,
	PartSessions,
	PartLeader,
	PartClocks,
	PartHalt,
	PartRuns,
	PartUniverse,
	PartAccounts,
	PartCoins,
	PartOpen,
	PartCycles,
	PartDirty,
	PartAlerts,
	PartChecks,
	PartLost,
	PartStorage,
	PartDefined,
	PartAudit,
	PartBoard,
}
