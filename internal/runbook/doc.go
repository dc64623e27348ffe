// Package runbook judges what is broken, which of the nine runbooks applies, and whether it
// has recovered. It is pure: what package gather found, or could not find, is a Facts, and
// each rule is a function of that. It works when the database or the service is gone: that
// is when it is needed.
package runbook
