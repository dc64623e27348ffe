package hyperliquid

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// Trouble is the last request that gave nothing, for whoever asks why.
type Trouble struct {
	At       time.Time // by the client's clock
	Endpoint string
	Failure  Failure
	Status   int    // HTTP status; 0: there was no complete answer
	Cause    string // name_unknown, tls, refused; "": none of these
	Text     string // the error in words
}

// LastTrouble is the last request that gave nothing; ok is false when each was answered.
// What the caller ended, or never sent, is none.
func (c *Client) LastTrouble() (t Trouble, ok bool) {
	if last := c.metrics.last.Load(); last != nil {
		return *last, true
	}
	return Trouble{}, false
}

// remember keeps a failed request.
func (c *Client) remember(failed *Error) {
	if failed.Failure == Cancelled || failed.Failure == Throttled {
		return
	}
	c.metrics.last.Store(&Trouble{
		At: c.clock.Now(), Endpoint: failed.Endpoint, Failure: failed.Failure, Status: failed.Status, Cause: causeOf(failed), Text: failed.Error(),
	})
}

// causeOf tells why a connection could not be made, as far as it is of use to whoever has
// to mend it.
func causeOf(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &name):
		return "name_unknown"
	case errors.As(err, &certificate), errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	default:
		return ""
	}
}
