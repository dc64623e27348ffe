// Package retention removes what is older than it has to be kept: days of
// snapshots as whole partitions, other rows in batches that hold nobody up. What
// is still needed stays whatever its age: an active alert, a delivery still to be
// sent, the universe in force, the runs that health is judged by.
package retention
