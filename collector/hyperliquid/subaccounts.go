package hyperliquid

import (
	"context"
	"errors"
	"strings"
	"time"
)

// SubAccountsWeight is what SubAccounts takes of the weight budget.
const SubAccountsWeight = 20

// maxSubAccountsBody bounds the body of a list of sub-accounts.
const maxSubAccountsBody = 32 << 20

// maxAccounts bounds a list of accounts. The longest known one has 50.
const maxAccounts = 500

// SubAccount is an account that trades under a master. The leaderboard adds it
// to its master, the master's state does not.
type SubAccount struct {
	Address string // 0x and 40 lower-case hex digits

	// HasState says that the list carried a state of the account that could be
	// read. Without it State is zero and says nothing: it is not flat.
	HasState bool
	State    State
}

// SubAccounts fetches the sub-accounts of master with what they hold. It is
// nil when the exchange says null, which stands for none and for a failure of
// its own, and empty but not nil for a list without entries. An entry without
// a readable state still names an account: lists of unified accounts lack
// them. One that names no account, or one twice, fails the list, since a sum
// over it would be wrong. So does a list of more than 500. Every error is an
// *Error.
func (c *Client) SubAccounts(ctx context.Context, master string) ([]SubAccount, error) {
	q := question{endpoint: subAccountsEndpoint, kind: "subAccounts", user: master, weight: SubAccountsWeight, limit: maxSubAccountsBody}
	return askFor(ctx, c, q, func(body []byte, answered time.Time) ([]SubAccount, error) {
		accounts, err := decodeSubAccounts(body, master)
		for i := range accounts {
			if accounts[i].HasState {
				accounts[i].State.Answered = answered
			}
		}
		return accounts, err
	})
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
	accounts := []SubAccount{}
	// A position that is in the sum already must not be added again.
	counted := map[string]bool{strings.ToLower(master): true}
	for element := range elements(value) {
		if len(accounts) == maxAccounts {
			return nil, failure(TooLarge, "there are more than %d sub-accounts", maxAccounts)
		}
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
	if state, err := readState(held.once()); err == nil {
		account.State, account.HasState = state, true
	}
	return account, nil
}
