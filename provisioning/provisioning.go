// Package provisioning holds the files that Grafana and Prometheus read, for an
// installation to copy and for the demo to write.
package provisioning

import "embed"

// Files are the folders grafana and prometheus as they stand beside this file.
//
//go:embed grafana prometheus
var Files embed.FS
