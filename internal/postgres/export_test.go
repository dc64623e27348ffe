package postgres

// NewRole is a role that no migration makes.
func NewRole(name, purpose string) Role {
	return Role{name, purpose, "CREATE ROLE " + name + " NOLOGIN"}
}
