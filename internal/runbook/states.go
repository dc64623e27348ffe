package runbook

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Reasons of wallets that failed for the age of a state (S9).
const (
	oldState    = "old_state"
	futureState = "future_state"
	skewedClock = "clock_skew" // the state agrees with the answer's own date, and not with our clock
)

var ageReasons = []string{oldState, futureState, skewedClock}

// aged counts the wallets of a run that failed for the age of their states.
func (r Run) aged() (n int) {
	for _, reason := range ageReasons {
		n += r.Failures[reason]
	}
	return n
}

// lag adds how far behind the answers are, where the service that leads says so.
func (f *Finding) lag(facts *Facts) {
	if ahead := facts.Service.ClockAhead; ahead != nil && ahead.Abs() > agreeWithin {
		f.figure("the service's clock, beside this machine's", "%s", agrees(*ahead))
		f.do("the service's clock and this machine's are apart: put the wrong one right, by one that is surely right", rightTime)
	}
	seconds, ok := facts.Service.Metrics["whalegate_state_lag_seconds"]
	if !ok || math.IsNaN(seconds) || math.IsInf(seconds, 0) || facts.Service.waits() {
		return
	}
	f.figure("oldest state of the newest answers", "%s", duration.Since(time.Duration(seconds*float64(time.Second))))
}

// agedSummary says what is wrong with the times of states; "" for another reason.
func agedSummary(reason string) string {
	switch reason {
	case oldState:
		return "the exchange answers with states that are too old to be true now (S9)"
	case futureState:
		return "the exchange answers with states that are later than our clock (S9)"
	case skewedClock:
		return "the collector's clock is wrong: the states agree with the date of the exchange's answers, and not with it (S9)"
	default:
		return ""
	}
}

// agedActions adds what to do about the age of states.
func (f *Finding) agedActions(reason string) {
	if reason == skewedClock {
		f.do("the fault is ours: compare the clock of the collector's machine with the exchange's, and put it right", rightTime)
		f.do("compare the clocks of every machine", showClocks)
		f.do("what else a wrong clock does, and how it ends", "whalegate runbook show database")
		f.do("then wait for two clean minutes", twoCleanMinutes)
		return
	}
	if reason == futureState {
		f.do("hold the time of a state against now, both in milliseconds: is it the exchange that is ahead, or are all of our clocks behind?", askTime)
		f.do("compare the clocks of every machine with one that is surely right", rightTime)
		f.do("wait: nothing that is dated ahead is stored, and every minute is tried anew", twoCleanMinutes)
		return
	}
	f.do("hold the time of a state against now, both in milliseconds: is it the exchange that is behind?", askTime)
	f.do("wait: nothing old is stored, and every minute is tried anew", twoCleanMinutes)
}

// notOurCoins is the finding for runs that fail because our coins are not what they were
// (S12), or because nobody knows.
func (f *Facts) notOurCoins(bad Run) *Finding {
	if bad.Subject == "meta:unanswered" {
		found := ingestion.found(f.worst(P2), "the exchange has not said for a day, or never, which coins it has: nobody knows whether they are still ours, and runs fail (S12)")
		found.coins(f)
		found.newestRuns(f)
		found.do("ask it: if it answers, the collector gets the answer within five minutes; if not, an outage, the network, or a new version of the exchange", askMeta)
		found.do("wait: it is asked every five minutes", twoCleanMinutes)
		return found
	}
	asset := strings.TrimPrefix(bad.Subject, "meta:")
	why := "it is not what it was"
	if coin := f.coin(asset); coin != nil && coin.Wrong != nil {
		why = *coin.Wrong
	}
	found := ingestion.found(f.worst(P2), "what the exchange says of %s is wrong: %s; it may be renamed, delisted, listed twice, or kept with other decimals, and runs fail (S12)", asset, why)
	found.coins(f)
	found.newestRuns(f)
	found.do("ask the exchange what it has under our names, and look for an announcement", askMeta)
	found.do("a coin that is renamed, delisted or kept otherwise for good needs a new version: halt until there is one", haltForCoin)
	found.do("it was a wrong answer: wait; it is asked every five minutes", twoCleanMinutes)
	return found
}

// silentMeta is the finding for an exchange that has not said for an hour which coins it
// has; nothing fails for it yet.
func (f *Facts) silentMeta() *Finding {
	if f.Stored == nil {
		return nil
	}
	var oldest time.Duration
	for _, c := range f.Stored.Coins {
		if age := duration.Optional(c.AgeSeconds); age != nil {
			oldest = max(oldest, *age)
		}
	}
	if oldest <= threshold.MetaLate || f.vacant() {
		return nil
	}
	found := ingestion.found(f.worst(P3), "the exchange has not said for %s which coins it has: after a day runs fail (S12)", ago(oldest))
	found.coins(f)
	found.do("ask it: does it answer?", askMeta)
	found.do("read what the collector is told", "journalctl -u whalegate -n 100")
	return found
}

// coins adds what the exchange last said of each coin.
func (f *Finding) coins(facts *Facts) {
	var rows []string
	for _, c := range facts.Stored.Coins {
		rows = append(rows, c.Text())
	}
	f.rows("what the exchange last said of our coins", rows)
}

const (
	askTime     = `curl -sS -m 10 -H 'Content-Type: application/json' -d '{"type":"clearinghouseState","user":"0x0000000000000000000000000000000000000000"}' "${WHALEGATE_API_URL:-https://api.hyperliquid.xyz}/info" | grep -o '"time": *[0-9]*'; date +%s000`
	askMeta     = `curl -sS -m 10 -H 'Content-Type: application/json' -d '{"type":"meta"}' "${WHALEGATE_API_URL:-https://api.hyperliquid.xyz}/info" | tr '{' '\n' | grep -E '"name": *"(HYPE|BTC|ETH)"'`
	haltForCoin = `whalegate halt --reason "the exchange no longer has one of our coins as it was"`
)

// statesInTime is the criterion that the exchange's states are of the present.
func (f *Facts) statesInTime(name string) Criterion {
	if why := f.dark(PartRuns); why != "" {
		return unsure(name, why)
	}
	if len(f.Stored.Runs) == 0 {
		return holds(name, false, "there is no run")
	}
	r := f.Stored.Runs[0]
	return holds(name, percent(r.aged(), r.Expected) <= threshold.StatesOld, "of %d of %d wallets they are not", r.aged(), r.Expected)
}

// coinsRight is the criterion that the exchange has said within a day that our coins are
// what they were.
func (f *Facts) coinsRight(name string) Criterion {
	if why := f.dark(PartCoins); why != "" {
		return unsure(name, why)
	}
	var wrong []string
	for _, c := range f.Stored.Coins {
		if c.Wrong != nil {
			wrong = append(wrong, c.Text())
		}
	}
	if len(wrong) > 0 {
		return holds(name, false, "%s", strings.Join(wrong, "; "))
	}
	i := slices.IndexFunc(f.Stored.Coins, func(c facts.Coin) bool { return c.AgeSeconds != nil })
	if i < 0 {
		return holds(name, false, "it has never answered")
	}
	return holds(name, true, "answered %s", duration.Since(*duration.Optional(f.Stored.Coins[i].AgeSeconds)))
}

// accountsKnown is the criterion that the accounts of every wallet are known.
func (f *Facts) accountsKnown(name string) Criterion {
	if why := f.dark(PartAccounts); why != "" {
		return unsure(name, why)
	}
	a := f.Stored.Accounts
	if a == nil {
		return unsure(name, "it was not read")
	}
	figure := a.Text()
	if s := f.Stored.Search; s != nil && s.EndedAt == nil {
		figure = fmt.Sprintf("%s; %s", figure, s.Text())
	}
	return holds(name, a.Known == a.Wallets && a.Wallets > 0, "%s", figure)
}
