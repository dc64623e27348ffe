// Package facts has what is known of the system as values, for whoever shows them or judges
// by them: status, the runbooks and the metrics say the same of the same.
package facts
