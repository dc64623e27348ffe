package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// SubAccountsWeight is what SubAccounts takes of the weight budget.
const SubAccountsWeight = 20

// maxSubAccountsBody bounds the body of a list of sub-accounts: the longest
// known one has 50, each with a state.
const maxSubAccountsBody = 32 << 20

// SubAccount is an account that trades under a master. The leaderboard adds it
// to its master, the master's state does not.
type SubAccount struct {
	Address string // 0x and 40 lower-case hex digits
	State   State
}

// SubAccounts fetches the sub-accounts of master with what they hold, empty
// when it has none. The exchange says null for none, so that this null, unlike
// that of State, is no failure. One sub-account that cannot be read fails the
// list: a sum without it would be wrong. Every error is an *Error.
func (c *Client) SubAccounts(ctx context.Context, master string) ([]SubAccount, error) {
	var accounts []SubAccount
	err := c.ask(ctx, subAccountsEndpoint, "subAccounts", master, SubAccountsWeight, maxSubAccountsBody, func(body []byte, _ time.Time) (err error) {
		accounts, err = decodeSubAccounts(body, master)
		return err
	})
	if err != nil {
		return nil, err
	}
	return accounts, nil
}

// decodeSubAccounts reads a whole body that answers for master.
func decodeSubAccounts(body []byte, master string) ([]SubAccount, error) {
	value, err := single(body)
	if err != nil {
		return nil, err
	}
	if isNull(value) {
		return nil, nil
	}
	if !opens(value, '[') {
		return nil, failure(Schema, "the sub-accounts are not a list")
	}
	var accounts []SubAccount
	// A position that is in the sum already must not be added again.
	counted := map[string]bool{strings.ToLower(master): true}
	for element := range elements(value) {
		account, err := readSubAccount(element, master)
		if err != nil {
			return nil, failure(Schema, "read sub-account %d: %w", len(accounts), err)
		}
		if counted[account.Address] {
			return nil, failure(Schema, "sub-account %d is listed twice or is its own master", len(accounts))
		}
		counted[account.Address] = true
		accounts = append(accounts, account)
	}
	return accounts, nil
}

func readSubAccount(value []byte, master string) (SubAccount, error) {
	var address, owner, held field
	for name, member := range members(value) {
		switch name {
		case "subAccountUser":
			address.set(member)
		case "master":
			owner.set(member)
		case "clearinghouseState":
			held.set(member)
		}
	}
	account := SubAccount{Address: readAddress(address.once())}
	if account.Address == "" {
		return SubAccount{}, errors.New("it has no one address")
	}
	if owner.seen > 0 {
		if named, ok := text(owner.once()); !ok || !strings.EqualFold(named, master) {
			return SubAccount{}, errors.New("it belongs to another master")
		}
	}
	state, err := readState(held.once())
	if err != nil {
		return SubAccount{}, fmt.Errorf("read state: %w", err)
	}
	account.State = state
	return account, nil
}
