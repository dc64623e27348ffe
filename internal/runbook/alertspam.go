package runbook

import (
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
