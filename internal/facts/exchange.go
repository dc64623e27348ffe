package facts

import "time"

// Exchange is the last request to the exchange that gave nothing.
type Exchange struct {
	At       time.Time `json:"at"`
	Endpoint string    `json:"endpoint"`
	Failure  string    `json:"failure"` // as wallets fail by it: rejected, connection, …
	Status   int       `json:"status"`  // of HTTP; 0: there was no complete answer
	Cause    string    `json:"cause"`   // name_unknown, tls, refused; "": none of these
	Text     string    `json:"error"`
}
