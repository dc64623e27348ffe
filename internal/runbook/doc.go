// Package runbook judges what is broken, which of the nine runbooks applies, and
// whether it has recovered. Judging is pure: Gather asks the database and the
// service, and what it found, or could not find, is a Facts. It works when either
// of them is gone: that is when it is needed.
package runbook
