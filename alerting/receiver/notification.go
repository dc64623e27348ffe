package receiver

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/common/model"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/docs"
)

// Kind is what a notification says of its alert.
type Kind string

// The kinds. A test speaks of no alert.
const (
	Firing   Kind = "firing"
	Resolved Kind = "resolved"
	Test     Kind = "test"
)

// Notification is what a receiver is told. What identifies it never changes
// between two attempts: Key for the message, Fingerprint and StartsAt for the
// alert.
type Notification struct {
	Key      uuid.UUID // of the message; the same whenever it is sent again
	Kind     Kind
	Type     alerting.Type // "" of a test
	Asset    string        // HYPE, BTC, ETH or SYSTEM
	Severity alerting.Severity
	Message  string    // as it was stored when the alert fired
	StartsAt time.Time // when it fired
	EndsAt   time.Time // when it cleared; zero while it has not
	Now      time.Time // of the attempt
	First    time.Time // when it was delivered before, of a reminder; else zero
	// ExternalURL is where people reach the pages of who sends it, without a slash at its
	// end. Empty: links lead to the repository.
	ExternalURL string
}

// Service is the label that tells our alerts from others.
const Service = "whalegate"

// testName is the alertname of a test, which is no type of alert.
const testName = "whalegate_test"

// Labels identify the alert: the same alert that fires again has the same ones.
func (n Notification) Labels() model.LabelSet {
	name := string(n.Type)
	if n.Kind == Test {
		name = testName
	}
	return model.LabelSet{
		model.AlertNameLabel: model.LabelValue(name), "asset": model.LabelValue(n.Asset), "severity": model.LabelValue(n.Severity), "service": Service,
	}
}

// Fingerprint is the hash of the labels, as Alertmanager computes it.
func (n Notification) Fingerprint() string { return n.Labels().Fingerprint().String() }

// meaning is what stands behind an alert, what to do, and where to read on.
type meaning struct{ what, action, page string }

var meanings = map[alerting.Type]meaning{
	alerting.RegimeChange: {"The kind of trade that is allowed has changed, in two periods in a row.", "Re-evaluate your bias and review open positions.", "alerts.md"},
	alerting.ExitCluster:  {"More than a quarter of the tracked wallets reduced their position within five minutes.", "Stop adding exposure. Tighten stops.", "alerts.md"},
	alerting.SystemStale:  {"The data cannot be trusted. Every board is dark and no other alert is sent until it recovers.", "Do not trade until resolved.", "runbooks/1-ingestion.md"},
}

func (n Notification) meaning() meaning {
	if n.Kind == Test {
		return meaning{"Somebody tried whether this receiver is reached. It says nothing of any market.", "Nothing to do.", "alerts.md"}
	}
	return meanings[n.Type]
}

// Late is from when on a message says that it comes late: by then the board shows
// something newer.
const Late = 10 * time.Minute

// lateness warns of a message that did not come when it was true.
func (n Notification) lateness() string {
	at := n.StartsAt
	if n.Kind == Resolved {
		at = n.EndsAt
	}
	if n.Kind == Test || n.Now.Sub(at) < Late {
		return ""
	}
	return fmt.Sprintf(" Delivered %d minutes late: look at the board before you act.", int(n.Now.Sub(at)/time.Minute))
}

const clockFormat = "2006-01-02 15:04 UTC"

// Summary is the message in one line, with its end when it has one.
func (n Notification) Summary() string {
	switch n.Kind {
	case Test:
		return "[TEST] " + n.Message
	case Resolved:
		return fmt.Sprintf("[RESOLVED] %s (fired %s, cleared %s)", n.Message, n.StartsAt.UTC().Format(clockFormat), n.EndsAt.UTC().Format(clockFormat))
	default:
		return n.Message
	}
}

// Description is what stands behind the message, and how old it is.
func (n Notification) Description() string {
	m := n.meaning()
	switch n.Kind {
	case Test:
		return m.what
	case Resolved:
		return fmt.Sprintf("It no longer holds. Cleared at %s.%s", n.EndsAt.UTC().Format(clockFormat), n.lateness())
	default:
		return fmt.Sprintf("%s Fired at %s.%s", m.what, n.StartsAt.UTC().Format(clockFormat), n.lateness())
	}
}

// Action is what to do.
func (n Notification) Action() string {
	if n.Kind == Resolved {
		return "Look at the board before you act."
	}
	return n.meaning().action
}

// RunbookURL is where to read on.
func (n Notification) RunbookURL() string { return docs.URL(n.ExternalURL, n.meaning().page) }

// Annotations are what people read.
func (n Notification) Annotations() model.LabelSet {
	return model.LabelSet{
		"summary": model.LabelValue(n.Summary()), "description": model.LabelValue(n.Description()),
		"action": model.LabelValue(n.Action()), "runbook_url": model.LabelValue(n.RunbookURL()),
	}
}

// Title is the shortest that can be said.
func (n Notification) Title() string {
	if n.Kind == Test {
		return "Whalegate test"
	}
	text := fmt.Sprintf("%s %s %s", n.Asset, strings.ReplaceAll(string(n.Type), "_", " "), n.Severity)
	if n.Kind == Resolved {
		text += " resolved"
	}
	return text
}

// Text is the whole for a person's screen.
func (n Notification) Text() string {
	return n.Summary() + "\n" + n.Description() + "\n" + n.Action() + "\n" + n.RunbookURL()
}
