package runbook

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/threshold"
)

func judgeAlertSpam(f Facts) *Finding {
	if f.Stored == nil {
		return nil
	}
	a := f.Stored.Alerts
	var broken, loud, swinging []string
	for _, c := range a.Assets {
		switch {
		case c.Sent > threshold.AlertsOfADay:
			broken = append(broken, c.Asset)
		case c.Sent == threshold.AlertsOfADay || c.Capped > 0:
			loud = append(loud, c.Asset)
		}
	}
	for _, s := range a.Swings {
		if s.Crossings >= threshold.ScoreCrossings || s.Changes >= threshold.PlaybookChanges {
			swinging = append(swinging, s.Asset)
		}
	}
	var found *Finding
	switch {
	case len(broken) > 0 || len(a.Broken) > 0:
		found = alertSpam.found(P2, "more was sent than the rules allow: a bug")
		found.do("pause while it is looked into; the system alert goes on", `whalegate alerts pause --reason "sent more than the rules allow" --for 2h`)
	case a.Failed > 0 || a.Oldest > threshold.DeliveryLate:
		found = alertSpam.found(P2, "alerts do not get out: %d given up within a day, %d waiting, the oldest for %s", a.Failed, a.Waiting, ago(a.Oldest))
		found.undelivered(a.Queues)
		found.do("see which receiver refuses, and why", `psql "$DATABASE_URL" -c "SELECT receiver, state, attempts, last_error FROM alert_deliveries WHERE state <> 'delivered' ORDER BY created_at DESC LIMIT 20"`)
		if a.Failed > 0 {
			found.do("once it takes alerts again: give those that were given up another day", "whalegate alerts retry")
		}
	case len(loud) > 0:
		found = alertSpam.found(P2, "the daily cap is reached in %s: what more there is, is suppressed", strings.Join(loud, ", "))
	case a.PausedTill != nil:
		found = alertSpam.found(P3, "behavioural alerts are paused until %s by %s", stamp(*a.PausedTill), a.PausedBy)
		found.do("end the pause once its reason is gone", "whalegate alerts unpause")
	case len(swinging) > 0:
		found = alertSpam.found(P3, "the signals of %s go to and fro near a threshold; hysteresis holds the alerts back", strings.Join(swinging, ", "))
	default:
		return nil
	}
	var rows []string
	for _, c := range a.Assets {
		rows = append(rows, fmt.Sprintf("%s: %d sent in 24 h; suppressed %d by the cap, %d by a cooldown, %d by a pause", c.Asset, c.Sent, c.Capped, c.Cooling, c.Paused))
	}
	found.rows("behavioural alerts", rows)
	found.rows("sent within a cooldown", a.Broken)
	rows = nil
	for _, s := range a.Swings {
		rows = append(rows, fmt.Sprintf("%s: exit cluster crossed its thresholds %d times, the playbook changed %d times", s.Asset, s.Crossings, s.Changes))
	}
	found.rows("signals in 2 h", rows)
	if a.PausedTill != nil {
		found.figure("paused until", "%s by %s", stamp(*a.PausedTill), a.PausedBy)
	}
	found.do("see what was sent and what was suppressed, with the reason", "whalegate alerts list")
	found.do("see what is active, pending and cooling down", "whalegate alerts state")
	if len(loud)+len(swinging) > 0 {
		found.do("compare with the signals: if they really go to and fro, the alerts are right and the market is choppy", "whalegate signals list")
	}
	return found
}

// undelivered tells of each receiver what keeps it from its alerts, and what to change.
func (f *Finding) undelivered(queues []Queue) {
	var rows []string
	told := map[string]bool{}
	for _, q := range queues {
		rows = append(rows, fmt.Sprintf("%s: %d waiting, %d given up: %s", q.Receiver, q.Waiting, q.Failed, cmp.Or(q.Error, "not tried yet")))
		remedy := ""
		switch {
		case q.Error == "answered 401" || q.Error == "answered 403":
			remedy = "its key or password is not taken: renew it in the receivers file"
		case q.Error == "answered 404" || q.Error == "answered 405" || q.Error == "answered 410":
			remedy = "its address is wrong, or was taken away: put the right URL into the receivers file"
		case q.Error == "answered 429":
			remedy = "it takes no more for now: wait; what waits is tried again"
		case strings.HasPrefix(q.Error, "answered 4"):
			remedy = "it does not take what is sent: see its answer, and its settings in the receivers file"
		case strings.HasPrefix(q.Error, "answered 5"), q.Error == "no answer in time":
			remedy = "it is in trouble itself: wait; what waits is tried again for a day"
		case q.Error == "no such host":
			remedy = "its name does not resolve: mend the URL in the receivers file, or the name service"
		case q.Error == "connection refused":
			remedy = "nobody listens there: mend the URL in the receivers file, or start it"
		case q.Error == "TLS":
			remedy = "its certificate is not trusted, or it speaks no TLS: mend the URL in the receivers file, or the certificate"
		}
		if remedy != "" && !told[q.Error] {
			told[q.Error] = true
			f.do(q.Receiver+": "+remedy+"; then try it, with the service's file in WHALEGATE_RECEIVERS_FILE", "whalegate alerts test --receiver "+word(q.Receiver))
		}
	}
	f.rows("receivers", rows)
}

func alertSpamRecovery(f Facts) []Criterion {
	const cooldowns = "no two sent within a cooldown"
	most := fmt.Sprintf("at most %d alerts sent per asset in 24 h", threshold.AlertsOfADay)
	out := "every alert delivered, or on its way for less than " + threshold.Span(threshold.DeliveryLate)
	if why := f.dark(PartAlerts); why != "" {
		return []Criterion{unsure(most, why), unsure(cooldowns, why), unsure(out, why)}
	}
	a := f.Stored.Alerts
	worst := AlertCount{Asset: "any asset"}
	for _, c := range a.Assets {
		if c.Sent > worst.Sent {
			worst = c
		}
	}
	return []Criterion{
		holds(most, worst.Sent <= threshold.AlertsOfADay, "%d of %s", worst.Sent, worst.Asset),
		holds(cooldowns, len(a.Broken) == 0, "%d", len(a.Broken)),
		holds(out, a.Failed == 0 && a.Oldest <= threshold.DeliveryLate, "%d given up in 24 h, %d waiting, the oldest for %s", a.Failed, a.Waiting, ago(a.Oldest)),
	}
}
