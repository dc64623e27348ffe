package facts

import (
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/threshold"
)

// Leader is who leads and who waits, as the database knows it.
type Leader struct {
	Leads         bool       `json:"leads"` // a collector leads as health needs it
	Epoch         *int64     `json:"epoch"` // nil: none ever led
	Host          *string    `json:"host"`
	Process       *int       `json:"process"`         // its process id on its host
	Session       *int       `json:"session"`         // pid of the server's process that holds its lock; nil: the lead was released
	Present       bool       `json:"session_present"` // that session holds the lock
	TakenAt       *time.Time `json:"taken_at"`
	BeatSeconds   *float64   `json:"beat_seconds"`    // age of the last beat, in real seconds
	RunAgeSeconds *float64   `json:"run_age_seconds"` // of its newest good run by its own count; nil: it has none yet
	Waiting       []string   `json:"waiting"`         // host/process of each that waits
}

// Text says it in one line.
func (w Leader) Text() string {
	text := "nobody"
	switch {
	case w.Epoch == nil:
	case w.Present:
		text = fmt.Sprintf("%s/%d since %s (epoch %d)", *w.Host, *w.Process, w.TakenAt.UTC().Format(time.RFC3339), *w.Epoch)
		switch {
		case w.Leads:
		case w.BeatSeconds == nil || *w.BeatSeconds > threshold.BeatOld.Seconds() || *w.BeatSeconds < -threshold.BeatAhead.Seconds():
			text += ", no recent beat"
		case w.RunAgeSeconds == nil:
			text += ", no good run of its own yet"
		default:
			text += fmt.Sprintf(", no good run for %.0f s", *w.RunAgeSeconds)
		}
	default:
		text = fmt.Sprintf("nobody; the last was %s/%d (epoch %d)", *w.Host, *w.Process, *w.Epoch)
	}
	if len(w.Waiting) > 0 {
		text += "; waiting: " + strings.Join(w.Waiting, ", ")
	}
	return text
}

// TextOf says in one line who leads and who waits, as the primary or a standby knows it. A standby knows the leader only by
// its replicated row: it sees no session of the primary.
func (w Leader) TextOf(standby bool) string {
	if !standby {
		return w.Text()
	}
	text := "nobody so far (as replicated)"
	if w.Epoch != nil {
		text = fmt.Sprintf("%s/%d (as replicated) since %s (epoch %d)", *w.Host, *w.Process, w.TakenAt.UTC().Format(time.RFC3339), *w.Epoch)
	}
	return text + "; who waits cannot be seen from a standby"
}
