// Package lead elects the one collector that may write.
//
// Who leads is the row collector_leader and a lock on the view leader_lock. The
// row is the fence: each transaction of the leader's jobs begins by checking it
// (Fence), so a process whose epoch is over writes nothing, wherever it wakes up.
// The lock is held by a session of its own that stays in its transaction; the
// server gives it back when that session ends, so it tells a leader that lives
// from one that died without any clock. A second session writes a beat every few
// seconds; those that wait watch it on their own monotonic clocks, and take over
// when it stands still or when the session that holds the lock is gone.
//
// Everything here runs on real time, also under the accelerated clock of a test:
// only the age of the newest good run is told in the data's time.
package lead
