package postgres

// NewRole is a role that no migration makes.
func NewRole(name, purpose string) Role {
	return Role{Name: name, Purpose: purpose, create: "CREATE ROLE " + name + " NOLOGIN"}
}

// DefinitionFiles are the files of the schema beside those of the tables.
var DefinitionFiles = definitionFiles
