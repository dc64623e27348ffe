// Package engine runs the rules of alerting on the database: it reads what is
// remembered and what has become of a boundary, takes a step, and writes the
// alerts with the new state in one transaction. So a crash at any point neither
// loses an alert nor makes it twice.
package engine
