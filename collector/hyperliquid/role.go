package hyperliquid

import (
	"context"
	"strings"
	"time"
)

// UserRoleWeight is what UserRole takes of the weight budget.
const UserRoleWeight = 60

// maxRoleBody bounds the answer about a role; the longest real one is a line.
const maxRoleBody = 64 << 10

// RoleKind is what an address is to the exchange, by the exchange's own word.
type RoleKind string

// The roles of an address.
const (
	RoleMissing    RoleKind = "missing"    // it never traded
	RoleUser       RoleKind = "user"       // an account of its own, with or without sub-accounts
	RoleVault      RoleKind = "vault"      // other people's deposits
	RoleAgent      RoleKind = "agent"      // only a key that signs for an account
	RoleSubAccount RoleKind = "subAccount" // it belongs to a master
)

// Role is what an address is.
type Role struct {
	Kind   RoleKind
	Master string // of a sub-account, 0x and 40 lower-case hex digits; "" for the others
}

// UserRole fetches what address, 0x and 40 hex digits, is. A role that is not
// known here, or a sub-account without a master, is an error. Every error is an
// *Error.
func (c *Client) UserRole(ctx context.Context, address string) (Role, error) {
	q := question{endpoint: userRoleEndpoint, kind: "userRole", user: address, weight: UserRoleWeight, limit: maxRoleBody}
	return askFor(ctx, c, q, func(body []byte, _ time.Time) (Role, error) { return decodeRole(body, address) })
}

// decodeRole reads a whole body that answers for address.
func decodeRole(body []byte, address string) (Role, error) {
	value, err := object(body, "the role")
	if err != nil {
		return Role{}, err
	}
	var named, data field
	for name, member := range members(value) {
		switch name {
		case "role":
			named.set(member)
		case "data":
			data.set(member)
		}
	}
	kind, _ := text(named.once())
	switch role := (Role{Kind: RoleKind(kind)}); role.Kind {
	case RoleMissing, RoleUser, RoleVault, RoleAgent:
		return role, nil
	case RoleSubAccount:
		var master field
		for name, member := range members(data.once()) {
			if name == "master" {
				master.set(member)
			}
		}
		role.Master = readAddress(master.once())
		if role.Master == "" || strings.EqualFold(role.Master, address) {
			return Role{}, failure(Schema, "the sub-account has no one master")
		}
		return role, nil
	default:
		return Role{}, failure(Schema, "it is no one role that is known")
	}
}
