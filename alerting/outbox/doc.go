// Package outbox is what is to be told, and to whom. A delivery is a row for an
// alert, a receiver and a kind of message, written in the transaction that
// decides the alert: so the intent exists exactly once. Sending is at least once:
// a row is marked unknown before its request goes out, so that whatever becomes of
// the process, nothing is lost and nothing is guessed; what is sent again carries
// the same identity.
package outbox
