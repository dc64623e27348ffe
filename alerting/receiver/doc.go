// Package receiver is who is told of an alert: the file that names them, and how
// each is told. A receiver takes one notification at a time and answers with an
// outcome; what is kept of it, and when it is tried again, is the outbox's.
package receiver
