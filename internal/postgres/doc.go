// Package postgres is the way into the database: connecting, migrating, and the
// roles with what each of them may do.
//
// The server subpackage runs a private PostgreSQL server; pgtest hands tests a
// database of their own.
package postgres
