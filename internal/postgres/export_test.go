package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// NewRole is a role that no migration makes.
func NewRole(name, purpose string) Role {
	return Role{Name: name, Purpose: purpose, create: "CREATE ROLE " + name + " NOLOGIN"}
}

// MigrateTo migrates up to a version, as an older program would have.
func MigrateTo(ctx context.Context, conn *pgx.Conn, version int) error {
	for _, m := range Migrations()[:version] {
		if err := apply(ctx, conn, m); err != nil {
			return err
		}
	}
	return nil
}
