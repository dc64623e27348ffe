package receiver

import (
	"context"
	"log/slog"

	"github.com/whalegate/whalegate/alerting"
)

// LogName is the receiver that there is when none is configured.
const LogName = "log"

// logger writes notifications to the log.
type logger struct{ *slog.Logger }

// Log is the receiver of those who have configured none.
func Log(l *slog.Logger) Receiver {
	return Receiver{Route{Name: LogName, MinSeverity: alerting.Medium, SendResolved: true}, logger{l}}
}

// Send cannot fail.
func (l logger) Send(ctx context.Context, n Notification) Result {
	l.WarnContext(ctx, "notification", "kind", n.Kind, "asset", n.Asset, "type", n.Type, "severity", n.Severity, "summary", n.Summary(), "action", n.Action(), "runbook_url", n.RunbookURL(), "fingerprint", n.Fingerprint(), "starts_at", n.StartsAt)
	return Result{Outcome: Delivered}
}
