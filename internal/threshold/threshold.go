// Package threshold has the figures from which something counts as broken, each once. Go
// uses the constants; the database has each as a function of the schema facts (SQL); the
// Prometheus rules and the pages have them as text that is written again from here (make
// generate), and a test fails where it says another figure.
package threshold

import "time"

// The state (docs/health.md).
const (
	SnapshotLate = 2 * time.Minute  // a snapshot older than this is late: DEGRADED
	SnapshotOld  = 10 * time.Minute // and this old nothing may be traded: STALE
	CoverageThin = 90               // percent of the wallets, below it: DEGRADED
	CoverageLow  = 80               // percent of the wallets, below it: STALE
	BeatOld      = 30 * time.Second // of whoever leads
	BeatAhead    = 5 * time.Second  // of the clock of beats
	OwnRunOld    = 3 * time.Minute  // the leader's newest good run, by its own count
	ClockSkew    = 30 * time.Second // beyond it the collector refuses to write
)

// From the exchange to a run.
const (
	RunMissing     = 150 * time.Second // a run is stored within two minutes of its own
	StateOld       = 2 * time.Minute   // of a state that the exchange gave (S9)
	StatesOld      = 5                 // percent of the wallets whose states are not of the present
	MetaLate       = time.Hour         // since the exchange said which coins it has
	MetaOld        = 24 * time.Hour    // after this runs fail (S12)
	AccountsOld    = 24 * time.Hour    // since the accounts of a wallet were confirmed
	AccountsDue    = 12 * time.Hour    // each is asked for about every six
	SearchLate     = 1.3               // times what was announced
	SearchLateMost = 30 * time.Minute
	DirtyNoticed   = 2                // percent of an asset's rows in five minutes
	DirtyHigh      = 10               // percent of an asset's rows in a quarter of an hour: its signal says No-trade
	DirtyHalt      = 20               // percent, from which a halt is advised
	SpikeShare     = 5                // percent of the wallets that are dirty in one minute
	SpikeQuiet     = 10 * time.Minute // without a spike it is over
	RequestsFailed = 20               // percent that gave nothing
	RateLimited    = 5                // percent that were answered with 429
)

// The universe.
const (
	RefreshOld   = 7 * time.Hour  // one is due every six
	BoardSame    = 48 * time.Hour // the leaderboard changes about hourly (U7)
	ReceivedFew  = 90             // percent of the wallets that were asked for
	ChurnHigh    = 30             // percent that entered or left at a refresh (U4)
	ChurnRefused = 3              // refreshes in a row with too much churn; this one is refused
)

// Signals and alerts.
const (
	BoundaryOverdue = 7 * time.Minute  // a boundary is every five, and something has become of it two minutes later
	SignalOld       = 11 * time.Minute // of an asset: two periods without one
	AlertsOfADay    = 4                // behavioural alerts of an asset that may be sent in 24 hours
	ScoreCrossings  = 4                // of the exit cluster score within two hours, to and fro
	PlaybookChanges = 6                // within two hours
	DeliveryLate    = 5 * time.Minute  // since the intent of the oldest that is still to be made
)

// The database and the process.
const (
	AnswerSlow      = 2 * time.Second
	WaitsForLock    = 3 * time.Second
	DatabaseSilent  = 2 * time.Minute  // since it answered the watchdog
	StatementSlow   = 15 * time.Second // the service gives up on any statement of its own before
	StatementStuck  = 5 * time.Minute
	ConnectionsMany = 80 // percent of those that the server allows
	DiskFilling     = 20 // percent that is free
	DiskFull        = 5  // percent that is free
	StatementsSlow  = 5  // percent of the service's that take over half a second
	Restarts        = 2  // within half an hour; more are too many
	TakeOvers       = 3  // of the lead within a quarter of an hour; more are too many
	PruneOld        = 48 * time.Hour
	ProcessNew      = 10 * time.Minute // one that has lived so long has not crashed at once
)

// Threshold is one figure, as everybody but Go has it.
type Threshold struct {
	Name  string  // in SQL, and where the rules and pages name it
	Value float64 // in seconds where it is a time
	Unit  Unit
	Means string
}

// Unit is what a figure counts.
type Unit string

// The units.
const (
	Seconds Unit = "seconds"
	Percent Unit = "percent"
	Count   Unit = "count"
)

func span(name string, d time.Duration, means string) Threshold {
	return Threshold{name, d.Seconds(), Seconds, means}
}

func percent(name string, value float64, means string) Threshold {
	return Threshold{name, value, Percent, means}
}

func count(name string, value float64, means string) Threshold {
	return Threshold{name, value, Count, means}
}

// All lists every one.
var All = []Threshold{
	span("snapshot_late", SnapshotLate, "a snapshot older than this is late: DEGRADED"),
	span("snapshot_old", SnapshotOld, "a snapshot older than this: STALE"),
	percent("coverage_thin", CoverageThin, "share of the wallets, below it: DEGRADED"),
	percent("coverage_low", CoverageLow, "share of the wallets, below it: STALE"),
	span("beat_old", BeatOld, "age of the last beat of whoever leads"),
	span("beat_ahead", BeatAhead, "by how much a beat may be ahead of the clock of beats"),
	span("own_run_old", OwnRunOld, "age of the leader's newest good run, by its own count"),
	span("clock_skew", ClockSkew, "two clocks further apart than this: the collector refuses to write"),
	span("run_missing", RunMissing, "age of the newest run after which the next one is missing"),
	span("state_old", StateOld, "age of a state that the exchange gave (S9)"),
	percent("states_old", StatesOld, "share of the wallets whose states are not of the present"),
	span("meta_late", MetaLate, "since the exchange said which coins it has"),
	span("meta_old", MetaOld, "since the exchange said which coins it has: runs fail (S12)"),
	span("accounts_old", AccountsOld, "since the accounts of a wallet were confirmed: it counts as failed"),
	span("accounts_due", AccountsDue, "since the accounts of a wallet were confirmed: its list cannot be read"),
	count("search_late", SearchLate, "times the announced length of a first start"),
	span("search_late_most", SearchLateMost, "a first start that lasts longer is late, whatever was announced"),
	percent("dirty_noticed", DirtyNoticed, "share of an asset's rows that are dirty in five minutes"),
	percent("dirty_high", DirtyHigh, "share of an asset's rows that are dirty in a quarter of an hour: No-trade"),
	percent("dirty_halt", DirtyHalt, "share of an asset's rows that are dirty, from which a halt is advised"),
	percent("spike_share", SpikeShare, "share of the wallets that are dirty in one minute"),
	span("spike_quiet", SpikeQuiet, "without a spike it is over"),
	percent("requests_failed", RequestsFailed, "share of the requests to the exchange that gave nothing"),
	percent("rate_limited", RateLimited, "share of the requests to the exchange that were answered with 429"),
	span("refresh_old", RefreshOld, "age of the newest refresh of the universe"),
	span("board_same", BoardSame, "since the leaderboard changed (U7)"),
	percent("received_few", ReceivedFew, "share of the wallets asked for, below it"),
	percent("churn_high", ChurnHigh, "share of the universe that entered or left at a refresh (U4)"),
	count("churn_refused", ChurnRefused, "refreshes in a row with too much churn; this one is refused"),
	span("boundary_overdue", BoundaryOverdue, "age of the newest boundary that something became of"),
	span("signal_old", SignalOld, "age of the newest signal of an asset: two periods without one"),
	count("alerts_of_a_day", AlertsOfADay, "behavioural alerts of an asset in 24 hours"),
	count("score_crossings", ScoreCrossings, "crossings of the exit cluster score within two hours"),
	count("playbook_changes", PlaybookChanges, "changes of the playbook within two hours"),
	span("delivery_late", DeliveryLate, "how long the oldest delivery may wait"),
	span("answer_slow", AnswerSlow, "a question about health"),
	span("waits_for_lock", WaitsForLock, "how long a session may wait for a lock"),
	span("database_silent", DatabaseSilent, "since the database answered the watchdog"),
	span("statement_slow", StatementSlow, "age of a statement or an open transaction"),
	span("statement_stuck", StatementStuck, "age of a statement or an open transaction"),
	percent("connections_many", ConnectionsMany, "share of the connections that the server allows"),
	percent("disk_filling", DiskFilling, "share of the disk that is free, below it"),
	percent("disk_full", DiskFull, "share of the disk that is free, below it"),
	percent("statements_slow", StatementsSlow, "share of the service's statements that take over half a second"),
	count("restarts", Restarts, "starts of the service within half an hour, above it"),
	count("take_overs", TakeOvers, "take-overs of the lead within a quarter of an hour, above it"),
	span("process_new", ProcessNew, "a process that has lived so long has not crashed at once"),
	span("prune_old", PruneOld, "since what is old was removed"),
}
