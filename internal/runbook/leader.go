package runbook

import (
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Standby is how a server that only follows another one stands.
type Standby struct {
	Paused   bool           // its replay is paused
	Beat     *time.Duration // age of the replicated beat, in real time; nil: none was ever replicated
	Received *time.Duration // since the primary last sent anything; nil: nothing is received, or this role may not know
}

// leader is who leads, as the database or else the service knows it; nil when
// nobody could tell, as on a standby.
func (f *Facts) leader() *facts.Leader {
	switch {
	case f.Follows():
		return nil
	case f.Stored != nil:
		return f.Stored.Leader
	case f.Service.Told != nil && f.Service.Told.Error == "":
		return f.Service.Told.Leader
	default:
		return nil
	}
}

// workedElsewhere is the finding for a service that works on another database than the one
// that is asked.
func (f *Facts) workedElsewhere() *Finding {
	if !f.elsewhere() {
		return nil
	}
	found := database.found(P2, "the service works on another database than the one that you ask: its collector, and its state, are not of this one")
	found.figure("you ask", "%s", f.Database.Address)
	found.figure("the service says", "%s, %s", f.Service.Told.State, f.Service.Told.Leader.Text())
	found.whoLeads(f)
	found.do("see which address the service has, and compare it with yours", "systemctl cat whalegate")
	found.do("if yours is wrong: give diagnose the service's; if the service's is, restart it with the right one", "sudo systemctl restart whalegate")
	return found
}

// elsewhere tells that the service works on another database than the one that was asked:
// each knows another leader, and it was not taken while both were asked.
func (f *Facts) elsewhere() bool {
	told := f.Service.Told
	if f.Stored == nil || f.Stored.Leader == nil || told == nil || told.Leader == nil || told.Error != "" || f.Follows() {
		return false
	}
	if f.Stored.Leader.TakenAt != nil && f.Stored.Led < takesLead {
		return false // the service may have looked before
	}
	here, there := f.Stored.Leader, told.Leader
	same := func(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }
	return !same(here.TakenAt, there.TakenAt)
}

// held tells that a collector holds the lead, and is alive.
func held(w facts.Leader) bool {
	beat := duration.Optional(w.BeatSeconds)
	return w.Present && beat != nil && *beat <= threshold.BeatOld && *beat >= -threshold.BeatAhead
}

// led tells that a collector holds the lead, vacant that none does. Neither holds
// when nobody could tell.
func (f *Facts) led() bool    { w := f.leader(); return w != nil && held(*w) }
func (f *Facts) vacant() bool { w := f.leader(); return w != nil && !held(*w) }

// waits tells that the service is a collector that does not lead.
func (s Service) waits() bool {
	leads, ok := s.Metrics["whalegate_leader"]
	return ok && leads == 0
}

// working is for how long the collector that leads has been at work: since the
// service started, or since the lead was taken if that was later; 0 when nobody
// knows.
func (f *Facts) working() time.Duration {
	var led time.Duration
	if f.led() && f.Stored != nil {
		led = f.Stored.Led
	}
	switch {
	case f.Service.URL == "": // it was not asked
		return led
	case !f.Service.answers():
		return 0
	case f.Service.waits() || f.Service.Up <= 0:
		return led
	case led > 0:
		return min(f.Service.Up, led)
	default:
		return f.Service.Up
	}
}

// whoLeads adds who leads, or led last, since when nothing is heard of it, and who
// waits; on a standby who led as far as that was replicated.
func (f *Finding) whoLeads(facts *Facts) {
	w, standby := facts.leader(), false
	if facts.Follows() && facts.Stored != nil {
		w, standby = facts.Stored.Leader, true
	}
	if w == nil {
		return
	}
	f.figure("who leads", "%s", w.TextOf(standby))
	if beat := duration.Optional(w.BeatSeconds); beat != nil && w.Epoch != nil {
		f.figure("its last beat", "%s", duration.Since(*beat))
	}
}

// takesLead is within which time a collector that was started takes a lead that is free.
const takesLead = 15 * time.Second

// leaderless is the finding for a collector that runs while none leads.
func (f *Facts) leaderless() *Finding {
	if !f.vacant() || !f.Service.answers() {
		return nil
	}
	if up := f.Service.Up; up > 0 && up < takesLead {
		found := database.found(f.worst(P2), "no collector leads, and this one was started %s ago: it takes the lead within seconds", ago(up))
		found.whoLeads(f)
		found.do("look again in a moment", "whalegate runbook diagnose")
		return found
	}
	summary := "a collector runs, and cannot keep the lead: what the lead needs of the database is taken from it"
	if f.Service.waits() {
		summary = "a collector runs and waits, and cannot take the lead, though nobody holds it"
	}
	found := database.found(f.worst(P2), "%s", summary)
	found.whoLeads(f)
	found.do("see who holds what the lead needs; end a session in the way that is not the collector's, by its pid", ShowLead)
	found.do("see whether a role's limit leaves it no connection: it needs three beside its pool", ConnectionLimits)
	found.do("read what it is told", "journalctl -u whalegate -n 50")
	found.do("nothing is in the way: start it again", "sudo systemctl restart whalegate")
	return found
}

const ShowLead = `psql "$DATABASE_URL" -c "SELECT a.pid, a.usename, a.application_name, a.state, l.relation::regclass, l.mode, l.granted, pg_blocking_pids(a.pid) AS blocked_by FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation IN ('leader_lock'::regclass, 'collector_leader'::regclass)"`

// lagging is the finding for a standby that cannot show what the primary would.
func (f *Facts) lagging() *Finding {
	s := f.Stored.Standby
	if s == nil || !f.because(health.ReasonReplicaLag) {
		return nil
	}
	var found *Finding
	switch {
	case s.Paused:
		found = database.found(f.worst(P2), "this server is a standby, and its replay is paused")
		found.do("let it go on, as an administrator of the standby", ResumeReplay)
	case s.Beat == nil:
		found = database.found(f.worst(P2), "this server is a standby, and no collector ever led on its primary")
		found.do("ask the primary", "whalegate runbook diagnose")
	case *s.Beat < -threshold.BeatAhead:
		found = database.found(f.worst(P2), "this server is a standby, and its clock is %s behind the primary's", ago(-*s.Beat))
		found.do("put the wrong one right: compare both with one that is surely right", rightTime)
	case s.Received != nil && *s.Received <= threshold.BeatOld:
		found = database.found(f.worst(P2), "this server is a standby, and the last beat of a collector that it knows is %s old, though its primary sends: no collector leads there, what is sent is not replayed, or this clock is ahead", ago(*s.Beat))
		found.do("ask the primary who leads", "whalegate runbook diagnose")
		found.do("see how far behind the replay is, and what it waits for: a long statement on the standby, perhaps", showReplay)
	default:
		found = database.found(f.worst(P2), "this server is a standby, and hears nothing of its primary: the last beat of a collector that it knows is %s old", ago(*s.Beat))
		found.do("see whether it receives, and from where", showReplay)
		found.do("ask the primary", "whalegate runbook diagnose")
	}
	found.whoLeads(f)
	if s.Received != nil {
		found.figure("the primary last sent", "%s", duration.Since(*s.Received))
	}
	found.do("until then point the boards at the primary, or leave them dark: they open by themselves", "whalegate runbook verify database --watch")
	return found
}

const (
	ResumeReplay = `psql "$DATABASE_URL" -c "SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_replay_resume()::text END"`
	showReplay   = `psql "$DATABASE_URL" -c "SELECT status, sender_host, last_msg_receipt_time, pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), pg_last_xact_replay_timestamp() FROM pg_stat_wal_receiver RIGHT JOIN (VALUES (1)) one ON true"`
)

// leads is the criterion that a collector leads. A standby knows it by the
// replicated beat.
func (f *Facts) leads(name string) Criterion {
	if why := f.dark(PartLeader); why != "" {
		return unsure(name, why)
	}
	if s := f.Stored.Standby; s != nil {
		figure := "no beat was ever replicated"
		if s.Beat != nil {
			figure = "this is a standby; the last beat that was replicated: " + duration.Since(*s.Beat)
		}
		if w := f.Stored.Leader; w != nil {
			figure += "; " + w.TextOf(true)
		}
		return holds(name, s.Beat != nil && !f.because(health.ReasonReplicaLag), "%s", figure)
	}
	w := f.leader()
	if w == nil {
		return unsure(name, "it was not read")
	}
	return holds(name, held(*w) && !f.because(health.ReasonNoCollector), "%s", w.Text())
}

// begun tells that there are runs from before the collector at work began, so that
// it took over from another one.
func (f *Facts) begun(working time.Duration) bool {
	began := f.at().Add(-working)
	return slices.ContainsFunc(f.Stored.Runs, func(r Run) bool { return began.Sub(r.Timestamp) > threshold.RunMissing/2 })
}
