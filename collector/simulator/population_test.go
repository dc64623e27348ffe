package simulator

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

func openPublic(t *testing.T, seed uint64) *Exchange {
	t.Helper()
	return open(t, Config{Seed: seed, Population: PublicPopulation, Origin: time.Now()})
}

func TestAPublicPopulationHasItsFigures(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4, 5} {
		e := openPublic(t, seed)
		m := e.Makeup()
		for name, tt := range map[string]struct {
			got  []string
			want int
		}{
			"masters": {m.Masters, 30}, "spot holders": {m.SpotHolders, 66}, "parent vaults": {m.ParentVaults, 4},
			"vaults": {m.Vaults, 2}, "unified": {m.Unified, 5}, "rows of sub-accounts": {m.SubAccountRows, 2},
		} {
			if len(tt.got) != tt.want {
				t.Errorf("seed %d: %d %s, want %d", seed, len(tt.got), name, tt.want)
			}
		}
		most, sum := 0, 0
		for _, master := range m.Masters {
			n := len(e.SubAccounts(master))
			if n < 1 || n > 50 {
				t.Errorf("seed %d: a master of %d", seed, n)
			}
			most, sum = max(most, n), sum+n
		}
		if most != 50 || sum < 200 || sum > 400 {
			t.Errorf("seed %d: %d sub-accounts, at most %d", seed, sum, most)
		}
		for _, parent := range m.ParentVaults {
			if n := len(e.Children(parent)); n < 2 || n > 5 || e.SubAccounts(parent) != nil {
				t.Errorf("seed %d: a parent of %d children", seed, n)
			}
		}
	}
}

func TestThePopulationStaysAtTheTop(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		e := open(t, Config{Seed: seed, Rows: 2000, Active: 300, Population: PublicPopulation})
		m := e.Makeup()
		all := slices.Concat(m.Masters, m.SpotHolders, m.ParentVaults, m.Vaults, m.Unified, m.SubAccountRows)
		first := e.Wallets()[:200]
		for hour := range 100 {
			e.AdvanceTo(origin.Add(time.Duration(hour) * time.Hour))
			top := e.Wallets()[:200]
			for _, wallet := range all {
				if !slices.Contains(top, wallet) {
					t.Fatalf("seed %d: %s has left the first 200 after %d h", seed, wallet, hour)
				}
			}
			if hour == 99 && churned(first, top) == 0 {
				t.Errorf("seed %d: nobody has left the first 200", seed)
			}
		}
	}
}

// What a client can find out of a wallet by asking.
type findings struct {
	state     clearinghouse
	role      string
	relation  string
	accounts  []string // sub-accounts or children
	stateless int      // entries of the list without a state
}

func find(t *testing.T, e *Exchange, wallet string) (f findings) {
	t.Helper()
	f.state, _ = askState(t, e, wallet)
	var role struct{ Role string }
	var list []struct {
		SubAccountUser     string
		ClearinghouseState *clearinghouse
	}
	var details *struct {
		Relationship struct {
			Type string
			Data struct{ ChildAddresses []string }
		}
	}
	for question, into := range map[string]any{
		`{"type":"userRole","user":"` + wallet + `"}`:             &role,
		`{"type":"subAccounts","user":"` + wallet + `"}`:          &list,
		`{"type":"vaultDetails","vaultAddress":"` + wallet + `"}`: &details,
	} {
		if err := json.Unmarshal(ask(e, question).Body.Bytes(), into); err != nil {
			t.Fatalf("%s: %v", question, err)
		}
	}
	f.role = role.Role
	for _, entry := range list {
		f.accounts = append(f.accounts, entry.SubAccountUser)
		if entry.ClearinghouseState == nil {
			f.stateless++
		}
	}
	if details != nil {
		f.relation = details.Relationship.Type
		f.accounts = append(f.accounts, details.Relationship.Data.ChildAddresses...)
	}
	return f
}

// A client that asks everything finds what the truth is.
func TestWhatAnAddressIsCanBeFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := openPublic(t, 1)
		time.Sleep(150 * time.Minute)
		m := e.Makeup()
		rows := values(t, e)
		unexplained, stateless := 0, 0
		for _, wallet := range e.Wallets()[:200] {
			f := find(t, e, wallet)
			truth, _ := e.Total(wallet)
			sum := f.state.sizes(t)
			for _, account := range f.accounts {
				c, _ := askState(t, e, account)
				for a, size := range c.sizes(t) {
					sum[a] += size
				}
			}
			worth := number(t, f.state.MarginSummary.AccountValue) / rows[wallet]
			if sum != truth {
				t.Errorf("%s holds %v over its accounts, want %v", wallet, sum, truth)
			}
			nothing := [asset.Count]asset.Size{}
			ok := false
			switch role := f.role; {
			case slices.Contains(m.Masters, wallet):
				ok = role == "user" && f.relation == "" && len(f.accounts) > 0 && worth < 0.1
			case slices.Contains(m.SpotHolders, wallet):
				ok = role == "user" && f.relation == "" && f.accounts == nil && worth < 0.01 && truth == nothing && len(f.state.AssetPositions) == 0
			case slices.Contains(m.ParentVaults, wallet):
				ok = role == "vault" && f.relation == "parent" && len(f.accounts) > 1 && worth < 0.01 && truth != nothing &&
					len(f.state.AssetPositions) == 0
			case slices.Contains(m.Vaults, wallet):
				ok = role == "vault" && f.relation == "normal" && f.accounts == nil && worth > 0.9
			case slices.Contains(m.Unified, wallet):
				ok = role == "user" && f.relation == "" && f.accounts == nil && worth == 0 && len(f.state.AssetPositions) > 0
			case slices.Contains(m.SubAccountRows, wallet):
				ok = role == "subAccount" && f.relation == "" && f.accounts == nil && worth > 0.9
			default:
				ok = role == "user" && f.relation == "" && f.accounts == nil && worth > 0.9
			}
			if !ok {
				t.Errorf("%s is %s %s with %d accounts, its state explains %.2f of its row", wallet, f.role, f.relation, len(f.accounts), worth)
			}
			if f.state.sizes(t) == nothing && worth < 0.5 && f.role != "subAccount" && (f.accounts == nil || f.relation == "parent") {
				unexplained++
			}
			stateless += f.stateless
		}
		if unexplained != 70 {
			t.Errorf("%d wallets are flat without explanation, want 70", unexplained)
		}
		if stateless < 2 || stateless > 51 {
			t.Errorf("%d entries have no state", stateless)
		}
	})
}

func TestRowsOfSubAccountsAreOnce(t *testing.T) {
	e := openPublic(t, 2)
	m := e.Makeup()
	for _, row := range m.SubAccountRows {
		owner := ""
		for _, master := range m.Masters {
			if slices.Contains(e.SubAccounts(master), row) {
				owner += master
			}
		}
		if !slices.Contains(m.Masters, owner) {
			t.Errorf("%s belongs to %q", row, owner)
		}
		if held, _ := e.Total(row); held == [asset.Count]asset.Size{} {
			t.Errorf("%s holds nothing at first", row)
		}
		if err := e.Close(owner, ""); err != nil {
			t.Fatal(err)
		}
		if held, ok := e.Total(row); !ok || held != [asset.Count]asset.Size{} {
			t.Errorf("%s holds %v when its master has closed", row, held)
		}
		if c, _ := askState(t, e, row); c.sizes(t) != [asset.Count]asset.Size{} {
			t.Errorf("its state says %v", c.sizes(t))
		}
	}
}

func TestAgentsAndChildrenHaveTheirRole(t *testing.T) {
	e := openPublic(t, 1)
	m := e.Makeup()
	agents := 0
	for _, wallet := range e.Wallets()[:200] {
		agent := e.Agent(wallet)
		if agent == "" {
			continue
		}
		agents++
		want := `{"role":"agent","data":{"user":"` + wallet + `"}}`
		if got := ask(e, `{"type":"userRole","user":"`+agent+`"}`).Body.String(); got != want {
			t.Errorf("an agent is %s, want %s", got, want)
		}
	}
	if agents != 41 {
		t.Errorf("%d agents, want 41", agents)
	}
	child := e.Children(m.ParentVaults[0])[0]
	var details struct {
		Relationship struct {
			Type string
			Data struct{ ParentAddress string }
		}
	}
	if err := json.Unmarshal(ask(e, `{"type":"vaultDetails","vaultAddress":"`+child+`"}`).Body.Bytes(), &details); err != nil {
		t.Fatal(err)
	}
	if details.Relationship.Type != "child" || details.Relationship.Data.ParentAddress != m.ParentVaults[0] {
		t.Errorf("a child is %+v", details)
	}
	if got := ask(e, `{"type":"userRole","user":"`+child+`"}`).Body.String(); got != `{"role":"vault"}` {
		t.Errorf("a child's role is %s", got)
	}
}

func TestUnifiedAccountsReadZeroMargin(t *testing.T) {
	e := openPublic(t, 1)
	zero := struct{ AccountValue, TotalNtlPos, TotalRawUsd, TotalMarginUsed string }{"0.0", "0.0", "0.0", "0.0"}
	for _, wallet := range e.Makeup().Unified {
		c, _ := askState(t, e, wallet)
		if diff := cmp.Diff(zero, *c.MarginSummary); diff != "" || c.CrossMaintenanceMarginUsed != "0.0" || c.Withdrawable != "0.0" {
			t.Errorf("%s: %s", wallet, diff)
		}
		if truth, _ := e.Total(wallet); c.sizes(t) != truth || truth == [asset.Count]asset.Size{} {
			t.Errorf("%s answers %v, holds %v", wallet, c.sizes(t), truth)
		}
		for _, p := range c.AssetPositions {
			if p.Position.MarginUsed != "0.0" {
				t.Errorf("%s uses a margin of %s", wallet, p.Position.MarginUsed)
			}
		}
	}
}

func TestTheSimplePopulationHasNothingOfThat(t *testing.T) {
	e := open(t, Config{Seed: 1})
	m := e.Makeup()
	if len(m.Masters) < 3 || len(m.Masters) > 30 {
		t.Errorf("%d masters", len(m.Masters))
	}
	m.Masters = nil
	if diff := cmp.Diff(Makeup{}, m); diff != "" {
		t.Error(diff)
	}
	for _, wallet := range e.Wallets() {
		if e.Agent(wallet) != "" || e.Children(wallet) != nil {
			t.Errorf("%s has an agent or children", wallet)
		}
	}
}

// Whoever knows the market by heart may rely on it.
func TestTheSimpleMarketOfASeedStaysWhatItIs(t *testing.T) {
	e := open(t, Config{Seed: 1})
	e.AdvanceTo(origin.Add(24 * time.Hour))
	want := []string{
		"0x7bee3f41b11d7c8a5868369d552d09f38ebb930a -32.83172 -2392.8990 398.73",
		"0x05e19b78512b93dfabebb75a1cd57fe5edf00eec 0.00000 -61.2340 10396.06",
		"0x7b0c59d0e17565970be4c8aefdad3b7200c0d470 -1.63958 -349.2539 572893.91",
	}
	var got []string
	for _, wallet := range e.Wallets()[:3] {
		sizes, _ := e.Total(wallet)
		got = append(got, wallet+" "+sizes[asset.BTC].Text(asset.BTC)+" "+sizes[asset.ETH].Text(asset.ETH)+" "+sizes[asset.HYPE].Text(asset.HYPE))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
