package collector

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// What a minute that counts may hold, by the spec and not by the code (S9 to S12).
const (
	oldestState  = 2 * time.Minute
	newestState  = 30 * time.Second
	metaCounts   = 24 * time.Hour
	levelsCount  = 10 * time.Minute
	enoughHolder = 10
)

// row is what is stored of a wallet in an asset; nil is NULL.
type row [asset.Count]*asset.Size

type rowsOf map[string]row // by wallet

// believer is an observer who knows the truth, and what may be believed all the same.
type believer struct {
	v       *venue
	newest  rowsOf // the newest size of a minute that counts
	newestA map[string][asset.Count]time.Time
	counted []countedMinute
	open    [asset.Count]rowsOf    // what an S11 failure that lasts is held against
	scaled  [asset.Count]rescaling // of those that began as a rescaled asset
	times   map[string]time.Time
	before  map[string]map[string]bool // the accounts that were told when the minute began
	healthy time.Time                  // the newest minute that counts
	members map[string]bool            // the universe
	failing []string                   // assets of which S11 failed before
}

// rescaling is by what an asset was rescaled, and when that was noticed; zero: it was not.
type rescaling struct {
	by float64
	at time.Time
}

type countedMinute struct {
	at   time.Time
	rows rowsOf
}

func newBeliever(v *venue) *believer {
	return &believer{v: v, newest: rowsOf{}, newestA: map[string][asset.Count]time.Time{}, times: map[string]time.Time{}}
}

// start is called before a minute asks.
func (b *believer) start() {
	b.before = map[string]map[string]bool{}
	for id, told := range b.v.told {
		b.before[id] = map[string]bool{}
		for account := range told {
			b.before[id][account] = true
		}
	}
}

// judge holds a minute against the truth; "" means that nothing of it is against the spec.
func (b *believer) judge(at time.Time, status, check string, rows rowsOf) string {
	wrong, objection := b.wrong(rows, status == "failed")
	if status == "failed" {
		if check == "S11" {
			b.remember(at, rows, wrong)
		}
		return ""
	}
	switch {
	case objection != "":
		return objection
	case b.v.metaBad != "":
		return "it counts, and the exchange has said that " + b.v.metaBad + " is not what it was (S12)"
	case b.v.metaAt.IsZero() || b.v.now.Sub(b.v.metaAt) > metaCounts:
		return "it counts, and the exchange has not told its coins for a day (S12)"
	case len(b.v.metaAsks) == 0 || b.v.now.Sub(b.v.metaAsks[len(b.v.metaAsks)-1]) > 5*time.Minute:
		return "it counts, and the coins were not asked for in five minutes (S12)"
	}
	if objection := sameState(rows, wrong, b.v.hit); objection != "" {
		return objection
	}
	for _, a := range asset.All {
		for _, before := range b.levels(at, a) {
			if objection := b.mass(before, rows, a, wrong); objection != "" {
				return objection
			}
		}
		if objection := b.stillScaled(at, rows, a, wrong); objection != "" {
			return objection
		}
		b.open[a], b.scaled[a] = nil, rescaling{}
	}
	for id, t := range b.v.times {
		a := b.v.accounts[id]
		if _, stored := rows[a.owner]; !stored || len(b.before[a.owner]) > 0 {
			continue
		}
		if t.Before(b.times[id]) {
			return fmt.Sprintf("%s was read as of %s, and earlier as of %s", id, t.Format(time.TimeOnly), b.times[id].Format(time.TimeOnly))
		}
		b.times[id] = t
	}
	b.take(at, rows)
	return ""
}

// take makes a minute the level that the next ones are held against.
func (b *believer) take(at time.Time, rows rowsOf) {
	b.healthy = at
	for id, r := range rows {
		level, ages := b.newest[id], b.newestA[id]
		for a, size := range r {
			if size != nil {
				level[a], ages[a] = size, at
			}
		}
		b.newest[id], b.newestA[id] = level, ages
	}
	b.counted = append(b.counted, countedMinute{at, rows})
	b.counted = slices.DeleteFunc(b.counted, func(c countedMinute) bool { return at.Sub(c.at) > levelsCount })
}

// remember keeps what a failure of S11 that begins was held against, where it can be seen
// here too.
func (b *believer) remember(at time.Time, rows rowsOf, wrong map[string][asset.Count]bool) {
	for _, a := range asset.All {
		for _, before := range b.levels(at, a) {
			if b.open[a] == nil && !slices.Contains(b.failing, a.String()) && b.mass(before, rows, a, wrong) != "" {
				b.open[a] = before
				for f := range b.v.factors[a] {
					if n, read := b.byFactor(before, rows, a, f); 2*n > read {
						b.scaled[a] = rescaling{f, at}
					}
				}
			}
		}
	}
}

// byFactor counts the holders whose size is by just a factor another one, and those that
// were read.
func (b *believer) byFactor(before, rows rowsOf, a asset.Asset, f float64) (n, read int) {
	for id, r := range rows {
		was, known := before[id]
		if !known || was[a] == nil || *was[a] == 0 || r[a] == nil {
			continue
		}
		read++
		if byJust(f, *was[a], *r[a]) {
			n++
		}
	}
	return n, read
}

// byJust tells whether a size changed by a factor, within 1e-6 or a unit; within that it
// has not changed at all.
func byJust(f float64, then, now asset.Size) bool {
	tolerance := max(1, 1e-6*math.Abs(float64(now)))
	return now != 0 && math.Abs(float64(now-then)) > tolerance && math.Abs(float64(now)-f*float64(then)) <= tolerance
}

// stillScaled objects to a minute in which most of the holders of a rescaled asset are
// rescaled as before, whoever of them has traded meanwhile. It looks at factors and times
// at which trading cannot make one look like the other.
func (b *believer) stillScaled(at time.Time, rows rowsOf, a asset.Asset, wrong map[string][asset.Count]bool) string {
	s := b.scaled[a]
	if b.open[a] == nil || math.Abs(math.Log(math.Abs(s.by))) < 2 || at.Sub(s.at) > 20*time.Minute {
		return ""
	}
	n, read := 0, 0
	for id, was := range b.open[a] {
		r, stored := rows[id]
		if !stored || was[a] == nil || *was[a] == 0 || r[a] == nil {
			continue
		}
		read++
		if *r[a] != 0 && wrong[id][a] && b.v.hit[id]["rescale"] {
			n++
		}
	}
	if len(b.v.factors[a]) == 1 && b.v.factors[a][s.by] && 2*n > read {
		return fmt.Sprintf("the sizes of %d of %d holders of %s are still %g times what they are, and it counts (S11)", n, read, a, s.by)
	}
	return ""
}

// levels are what an asset's sizes are held against: each wallet's newest size, the
// oldest minute of the last ten, and that of before a failure that lasts.
func (b *believer) levels(at time.Time, a asset.Asset) (levels []rowsOf) {
	newest := rowsOf{}
	for id, r := range b.newest {
		if b.members[id] && r[a] != nil && b.healthy.Sub(b.newestA[id][a]) <= 24*time.Hour {
			newest[id] = r
		}
	}
	levels = append(levels, newest)
	for _, c := range b.counted {
		if at.Sub(c.at) <= levelsCount {
			levels = append(levels, c.rows)
			break
		}
	}
	if b.open[a] != nil {
		levels = append(levels, b.open[a])
	}
	return levels
}

// wrong tells which sizes are none that the wallet had within what S9 allows. A wallet
// that is wrong although nothing bent its answers is an objection, as is one whose
// accounts cannot be known.
func (b *believer) wrong(rows rowsOf, failed bool) (wrong map[string][asset.Count]bool, objection string) {
	wrong = map[string][asset.Count]bool{}
	claims := map[string]int{}
	for id := range b.before {
		for account := range b.before[id] {
			if b.v.said(id, account) {
				claims[account]++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		w := b.v.holderOf(id)
		told := b.before[id]
		if nulls := b.v.nulls[id]; len(told) == 0 && len(w.subs) > 0 && len(b.v.told[id]) == 0 && (len(nulls) < 2 || nulls[len(nulls)-1].Sub(nulls[0]) < time.Minute) {
			objection = fmt.Sprintf("%s is stored, and that it has no accounts was not said twice", id)
		}
		for account := range told {
			if claims[account] > 1 && b.v.said(id, account) && !b.isOwn(id, rows[id]) {
				objection = fmt.Sprintf("%s is stored, and another wallet claims %s too", id, account)
			}
		}
		var is [asset.Count]bool
		for _, a := range asset.All {
			size := rows[id][a]
			is[a] = size != nil && !slices.ContainsFunc(b.known(id), func(accounts map[string]bool) bool { return b.could(id, accounts, a, *size) })
			if bent := b.v.hit[id]; is[a] && !bends(bent) {
				objection = fmt.Sprintf("%s holds %s of %s, which it did not within what S9 allows, and nothing but %v bent its answers", id, size.Text(a), a, slices.Sorted(maps.Keys(bent)))
			}
		}
		wrong[id] = is
	}
	if failed {
		objection = ""
	}
	return wrong, objection
}

// isOwn tells that a row is just what the wallet's own accounts held, whatever lists said.
func (b *believer) isOwn(id string, r row) bool {
	for a, size := range r {
		if size != nil && !b.could(id, b.own(id, keysOf(b.v.told[id])), asset.Asset(a), *size) {
			return false
		}
	}
	return true
}

// known are the accounts that a wallet's position may be the sum of: all that was told of
// when the minute began, or since; those that really are its own; and as many of its own
// as lists that lack some of the last ones have left, but for what was agreed on.
func (b *believer) known(id string) (known []map[string]bool) {
	told, agreed := b.before[id], map[string]bool{}
	for account := range told {
		if b.v.agreed[id+account] {
			agreed[account] = true
		}
	}
	known = []map[string]bool{told, keysOf(b.v.told[id]), b.own(id, told)}
	first := map[string]bool{}
	for _, account := range append([]string{""}, b.v.holderOf(id).subs...) { // "": none of them
		if told[account] {
			first[account] = true
		}
		both := maps.Clone(first)
		maps.Copy(both, agreed)
		known = append(known, both, b.own(id, both))
	}
	return known
}

// own are those of the accounts that really are the wallet's.
func (b *believer) own(id string, told map[string]bool) map[string]bool {
	own := map[string]bool{}
	for account := range told {
		if slices.Contains(b.v.holderOf(id).subs, account) {
			own[account] = true
		}
	}
	return own
}

func keysOf(m map[string]time.Time) map[string]bool {
	keys := map[string]bool{}
	for k := range m {
		keys[k] = true
	}
	return keys
}

// bends tells whether one of the kinds makes sizes of a present state wrong.
func bends(kinds map[string]bool) bool {
	for _, kind := range []string{"same", "close", "open", "rescale", "rename"} {
		if kinds[kind] {
			return true
		}
	}
	return false
}

// could tells whether a wallet held a size, each account at some instant that S9 allows.
func (b *believer) could(id string, told map[string]bool, a asset.Asset, size asset.Size) bool {
	sums := map[asset.Size]bool{0: true}
	for _, account := range append(slices.Sorted(maps.Keys(told)), id) {
		trades := b.v.accounts[account]
		had := map[asset.Size]bool{trades.size(a, b.v.now.Add(-oldestState)): true}
		for _, t := range trades.trades[a] {
			if t.at.After(b.v.now.Add(-oldestState)) && !t.at.After(b.v.now.Add(newestState)) {
				had[t.size] = true
			}
		}
		next := map[asset.Size]bool{}
		for sum := range sums {
			for h := range had {
				next[sum+h] = true
			}
		}
		sums = next
	}
	return sums[size]
}

// sameState is S10: of those that hold anything, fewer than five, or at most a tenth, have
// all three sizes of another one, as far as a mishap made them so.
func sameState(rows rowsOf, wrong map[string][asset.Count]bool, hit map[string]map[string]bool) string {
	groups := map[[asset.Count]string][]string{}
	holders := 0
	for id, r := range rows {
		var key [asset.Count]string
		holds := false
		for a, size := range r {
			key[a] = "NULL"
			if size != nil {
				key[a] = size.Text(asset.Asset(a))
				holds = holds || *size != 0
			}
		}
		if holds {
			holders++
			groups[key] = append(groups[key], id)
		}
	}
	same := 0
	for _, group := range groups {
		if len(group) > 1 && slices.ContainsFunc(group, func(id string) bool { return hit[id]["same"] && wrong[id] != [asset.Count]bool{} }) {
			same += len(group)
		}
	}
	if same >= 5 && 10*same > holders {
		return fmt.Sprintf("%d of %d wallets have the state of another one, and it counts (S10)", same, holders)
	}
	return ""
}

// mass is S11 for what is wrong: at most half of the holders are gone, new, or changed
// by one factor, against a level of before.
func (b *believer) mass(before, rows rowsOf, a asset.Asset, wrong map[string][asset.Count]bool) string {
	held, read, gone := 0, 0, 0
	holding, opened := 0, 0
	scaled := map[float64]int{}
	for _, r := range before {
		if r[a] != nil && *r[a] != 0 {
			held++
		}
	}
	for id, r := range rows {
		was, known := before[id]
		if !known || was[a] == nil || r[a] == nil {
			continue
		}
		then, now := *was[a], *r[a]
		if then != 0 {
			read++
		}
		if now != 0 {
			holding++
		}
		switch {
		case !wrong[id][a]:
		case then == 0 && now != 0:
			opened++
		case then == 0:
		case 100*math.Abs(float64(now)) < math.Abs(float64(then)):
			gone++
		}
		for f := range b.v.factors[a] {
			if wrong[id][a] && then != 0 && byJust(f, then, now) {
				scaled[f]++
			}
		}
	}
	if held >= enoughHolder {
		if 2*gone > read {
			return fmt.Sprintf("%d of %d holders of %s are gone, and it counts (S11)", gone, read, a)
		}
		for f, n := range scaled {
			if 2*n > read {
				return fmt.Sprintf("the sizes of %d of %d holders of %s are %g times what they are, and it counts (S11)", n, read, a, f)
			}
		}
	}
	if holding >= enoughHolder && 2*opened > holding {
		return fmt.Sprintf("%d of %d holders of %s held nothing before, and it counts (S11)", opened, holding, a)
	}
	return ""
}
