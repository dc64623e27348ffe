// Package runbooks holds the pages of the runbooks, for the command that shows
// them and for the tests that run what they say.
package runbooks

import "embed"

// Pages are the files beside this one.
//
//go:embed *.md
var Pages embed.FS
