// Package docs holds the documentation, for the service that serves it.
package docs

import "embed"

// Files are the pages, the runbooks among them, and the pictures in them.
//
//go:embed *.md runbooks/*.md boards/*.png
var Files embed.FS
