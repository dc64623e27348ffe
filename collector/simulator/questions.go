package simulator

import (
	"encoding/json"
	"errors"
)

// question is a type of request on /info.
type question struct {
	endpoint Endpoint
	weight   int // of the client's limit
	about    subject
	body     func(*Exchange, target) []byte // of the right answer
}

// subject is what a question names besides its type.
type subject uint8

const (
	nothing subject = iota
	user
	vault
	coin
)

var questions = map[string]question{
	"clearinghouseState": {StateEndpoint, 2, user, (*Exchange).state},
	"subAccounts":        {SubAccountsEndpoint, 20, user, (*Exchange).subAccounts},
	"userRole":           {RoleEndpoint, 60, user, (*Exchange).role},
	"vaultDetails":       {VaultEndpoint, 20, vault, (*Exchange).vaultDetails},
	"meta":               {MetaEndpoint, 20, nothing, (*Exchange).meta},
	"exchangeStatus":     {otherInfo, 2, nothing, (*Exchange).status},
	"l2Book":             {otherInfo, 2, coin, (*Exchange).book},
}

// otherInfo counts requests on /info that no fault is limited to, and those
// for what is not simulated.
const otherInfo Endpoint = "info"

// readQuestion reads the body of a request. The endpoint of the target is right
// even where the rest of the question is an error.
func readQuestion(text []byte) (question, target, error) {
	var in struct {
		Type         string `json:"type"`
		User         string `json:"user"`
		VaultAddress string `json:"vaultAddress"`
		Coin         string `json:"coin"`
	}
	t := target{endpoint: otherInfo}
	if err := json.Unmarshal(text, &in); err != nil {
		return question{}, t, err
	}
	q, known := questions[in.Type]
	if !known {
		return question{}, t, errors.New("type: not simulated")
	}
	t.endpoint, t.coin = q.endpoint, in.Coin
	var err error
	switch q.about {
	case user:
		t.account, err = parseAddress(in.User)
	case vault:
		t.account, err = parseAddress(in.VaultAddress)
	case coin:
		if in.Coin == "" {
			err = errors.New("coin: missing")
		}
	}
	return q, t, err
}
