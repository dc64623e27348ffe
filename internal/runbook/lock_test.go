package runbook

import (
	"strings"
	"testing"
	"time"
)

// How to end what is in the way depends on what it is, and on who asks.
func TestWhatIsInTheWayIsEndedByItsName(t *testing.T) {
	session := func(pid int, may bool, blockedBy ...int) Session {
		return Session{PID: pid, User: "ann", State: "active", For: time.Minute, BlockedBy: blockedBy, MayEnd: may}
	}
	for _, tt := range []struct {
		name     string
		sessions []Session
		prepared []Prepared
		says     string
		command  string
	}{
		{"one that this login may end", []Session{session(7, true, 8), session(8, true)}, nil, "end the session in the way, if", "pg_terminate_backend(8)"},
		{"one that it may not", []Session{session(7, true, 8), session(8, false)}, nil, "yours may not end: as a superuser", "pg_terminate_backend(8)"},
		{"one that is not shown", []Session{session(7, true, 8)}, nil, "yours may not end: as a superuser", "pg_terminate_backend(8)"},
		{"a prepared transaction", []Session{session(7, true, 0)}, []Prepared{{"'or''der'", "ann", noon}}, "end the prepared transaction", "ROLLBACK PREPARED 'or''der'"},
		{"nobody who is seen", []Session{session(7, true, 0)}, nil, "look again in a moment", "whalegate runbook diagnose"},
	} {
		f := calm()
		f.Stored.Sessions, f.Stored.Prepared = tt.sessions, tt.prepared
		r := Diagnose(f)
		checkReport(t, r)
		actions := r.Findings[0].Actions
		if last := actions[len(actions)-1]; r.Matching[0] != "database" || !strings.Contains(last.Do, tt.says) || !strings.Contains(last.Command, tt.command) {
			t.Errorf("%s: %v %+v", tt.name, r.Matching, last)
		}
	}
}
