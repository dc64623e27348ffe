package receiver

import (
	"slices"

	"github.com/whalegate/whalegate/alerting"
)

// Route is what a receiver wants to hear.
type Route struct {
	Name         string
	MinSeverity  alerting.Severity // mildest that it is told
	SendResolved bool              // whether it is told that an alert has cleared
	// Reminded receivers forget: they are told again while an alert is active, and
	// for a while that it has ended.
	Reminded bool
}

// severities, mildest first.
var severities = []alerting.Severity{alerting.Medium, alerting.High, alerting.Critical}

// Wants tells whether an alert of this severity is for the receiver.
func (r Route) Wants(s alerting.Severity) bool {
	return slices.Index(severities, s) >= slices.Index(severities, r.MinSeverity)
}
