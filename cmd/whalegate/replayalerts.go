package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/replay"
)

// writeAlerts tells people which alerts a range would have made.
func writeAlerts(w io.Writer, t replay.Tally) {
	fmt.Fprint(w, "\nalert\tsent\tcleared\tsuppressed\n")
	for _, kind := range append(slices.Clone(alerting.Behavioural), alerting.SystemStale) {
		cleared := "-"
		if !kind.IsEvent() {
			cleared = fmt.Sprint(t.Resolved[kind])
		}
		suppressed := "-"
		if reasons := t.Suppressed[kind]; reasons != nil {
			suppressed = counts(alerting.Suppressions, reasons)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", kind, t.Sent[kind], cleared, suppressed)
	}
	fmt.Fprintf(w, "\nperiods of an asset that were not evaluated: %s\n", counts(alerting.Blocks, t.NotEvaluated))
	if len(t.Alerts) > 0 {
		fmt.Fprintln(w)
	}
	for _, a := range t.Alerts {
		what := "sent"
		if a.Suppressed {
			what = "suppressed: " + string(*a.SuppressReason)
		}
		if a.Resolved {
			what = "cleared"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", a.Timestamp.UTC().Format(time.RFC3339), what, a.Message)
	}
}

// counts writes how often each reason was one.
func counts(order []alerting.Reason, by map[alerting.Reason]int) string {
	var list []string
	for _, r := range order {
		list = append(list, fmt.Sprintf("%s %d", r, by[r]))
	}
	return strings.Join(list, ", ")
}
