// Package provisioning holds the files that Grafana, Prometheus and Alertmanager
// read, for an installation to copy and for the demo to write.
package provisioning

import "embed"

// Files are the folders alertmanager, grafana and prometheus as they stand
// beside this file.
//
//go:embed alertmanager grafana prometheus
var Files embed.FS
