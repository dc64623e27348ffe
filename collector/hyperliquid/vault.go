package hyperliquid

import (
	"context"
	"strings"
	"time"
)

// VaultDetailsWeight is what VaultDetails takes of the weight budget.
const VaultDetailsWeight = 20

// maxVaultBody bounds the details of a vault, most of which are its followers
// and the history of its value.
const maxVaultBody = 4 << 20

// The relationships of a vault.
const (
	VaultNormal = "normal" // it trades for itself
	VaultChild  = "child"  // it trades for a parent
	VaultParent = "parent" // its children trade, and its own state is flat
)

// Vault is how a vault is related to others.
type Vault struct {
	Relationship string   // VaultNormal, VaultChild or VaultParent
	Children     []string // of a parent, each 0x and 40 lower-case hex digits; nil for the others
}

// VaultDetails fetches what address, 0x and 40 hex digits, is as a vault. The
// exchange says null for what is no vault, which fails as Null. A child that
// cannot be told, or is listed twice, fails the list, since a sum over it would
// be wrong; so do more than 500. Every error is an *Error.
func (c *Client) VaultDetails(ctx context.Context, address string) (Vault, error) {
	q := question{endpoint: vaultDetailsEndpoint, kind: "vaultDetails", vault: address, weight: VaultDetailsWeight, limit: maxVaultBody}
	return askFor(ctx, c, q, func(body []byte, _ time.Time) (Vault, error) { return decodeVault(body, address) })
}

// decodeVault reads a whole body that answers for address.
func decodeVault(body []byte, address string) (Vault, error) {
	value, err := object(body, "the vault")
	if err != nil {
		return Vault{}, err
	}
	var about, related field
	for name, member := range members(value) {
		switch name {
		case "vaultAddress":
			about.set(member)
		case "relationship":
			related.set(member)
		}
	}
	if about.seen > 0 {
		if named, ok := text(about.once()); !ok || !strings.EqualFold(named, address) {
			return Vault{}, failure(Schema, "it is another vault")
		}
	}
	var kind, data field
	for name, member := range members(related.once()) {
		switch name {
		case "type":
			kind.set(member)
		case "data":
			data.set(member)
		}
	}
	relationship, _ := text(kind.once())
	switch relationship {
	case VaultNormal, VaultChild:
		return Vault{Relationship: relationship}, nil
	case VaultParent:
		children, err := readChildren(data.once(), address)
		if err != nil {
			return Vault{}, err
		}
		return Vault{Relationship: relationship, Children: children}, nil
	default:
		return Vault{}, failure(Schema, "the vault has no one relationship that is known")
	}
}

// readChildren reads {"childAddresses":["0x…",…]} of a parent.
func readChildren(data []byte, parent string) ([]string, error) {
	var listed field
	for name, member := range members(data) {
		if name == "childAddresses" {
			listed.set(member)
		}
	}
	if !opens(listed.once(), '[') {
		return nil, failure(Schema, "the parent has no one list of childAddresses")
	}
	children := []string{}
	// A position that is in the sum already must not be added again.
	counted := map[string]bool{strings.ToLower(parent): true}
	for element := range elements(listed.once()) {
		if len(children) == maxAccounts {
			return nil, failure(TooLarge, "there are more than %d children", maxAccounts)
		}
		child := readAddress(element)
		switch {
		case child == "":
			return nil, failure(Schema, "child %d is no address", len(children))
		case counted[child]:
			return nil, failure(Schema, "child %d is listed twice or is its own parent", len(children))
		}
		counted[child] = true
		children = append(children, child)
	}
	return children, nil
}
