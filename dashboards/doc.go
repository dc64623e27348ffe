// Package dashboards builds the Grafana boards as code. Each board is defined
// once (trading.go, incident.go) and emitted in two forms: the classic one, which every
// Grafana from 10 to 13 reads, and schema v2 for 13.1 and later, where a masked
// row is not even mounted. The files in generated are what a Grafana loads; a
// test holds them equal to the code.
//
// Nothing here protects anything. What a viewer may see is decided by the views
// that the boards read; the rest is manners.
package dashboards
