package simulator

import (
	"strconv"
	"strings"
)

// role is the answer to userRole.
func (e *Exchange) role(t target) []byte {
	if user, is := e.agents[t.account]; is {
		return []byte(`{"role":"agent","data":{"user":"` + user.String() + `"}}`)
	}
	if !t.known {
		return []byte(`{"role":"missing"}`)
	}
	w := &e.wallets[t.seat.wallet]
	switch {
	case w.vault:
		return []byte(`{"role":"vault"}`)
	case t.seat.part > 0:
		return []byte(`{"role":"subAccount","data":{"master":"` + w.address.String() + `"}}`)
	}
	return []byte(`{"role":"user"}`)
}

// vaultDetails is null for who is no vault.
func (e *Exchange) vaultDetails(t target) []byte {
	if !t.known || !e.wallets[t.seat.wallet].vault {
		return []byte("null")
	}
	w := &e.wallets[t.seat.wallet]
	name := "Vault " + t.account.String()[2:8]
	leader := drawAddress(w.chance.of(9))
	apr := strconv.FormatFloat(w.chance.of(10).float(), 'f', 6, 64)
	return []byte(`{"name":"` + name + `","vaultAddress":"` + t.account.String() + `","leader":"` + leader.String() +
		`","description":"","portfolio":[],"apr":` + apr + `,"followerState":null,"leaderFraction":0.05,"leaderCommission":0.1` +
		`,"followers":[],"maxDistributable":0.0,"maxWithdrawable":0.0,"isClosed":false,"relationship":` + w.relationship(t.seat.part) +
		`,"allowDeposits":true,"alwaysCloseOnWithdraw":false}`)
}

// relationship of account number part of a vault.
func (w *wallet) relationship(part int) string {
	switch {
	case w.accounts == nil:
		return `{"type":"normal"}`
	case part > 0:
		return `{"type":"child","data":{"parentAddress":"` + w.address.String() + `"}}`
	}
	var children []string
	for _, s := range w.accounts[1:] {
		children = append(children, `"`+s.address.String()+`"`)
	}
	return `{"type":"parent","data":{"childAddresses":[` + strings.Join(children, ",") + `]}}`
}
