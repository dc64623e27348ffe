package runbook

import (
	"regexp"
	"strings"
)

// What a command is made of that others have named: a role, a trigger, a receiver. An
// operator pastes it into a shell, so nothing of it may be more than a word there.
var (
	harmlessSQL  = regexp.MustCompile(`^[A-Za-z0-9_ .,:;()='<>*+-]*$`)
	harmlessWord = regexp.MustCompile(`^[A-Za-z0-9_.:/@-]+$`)
)

// psql is the command that runs a statement.
func psql(statement string) string {
	if harmlessSQL.MatchString(statement) {
		return `psql "$DATABASE_URL" -c "` + statement + `"`
	}
	return `psql "$DATABASE_URL" -c ` + quoted(statement)
}

// word is an argument of a command.
func word(text string) string {
	if harmlessWord.MatchString(text) {
		return text
	}
	return quoted(text)
}

// quoted is text as a shell takes it for itself: nothing is special between single quotes.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
