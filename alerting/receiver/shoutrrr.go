package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// service is any of the services that the library shoutrrr knows.
type service struct {
	types.Service
	name   string
	secret secrets
}

// silent is where the library's own log goes: it may hold what must not be told.
var silent = log.New(io.Discard, "", 0)

// newService makes the service of a URL. The error names no secret.
func newService(address string) (*service, error) {
	hidden := secretsOf(address)
	r, err := router.New(silent)
	if err != nil {
		return nil, fmt.Errorf("make a router: %w", err)
	}
	s, err := r.Locate(address)
	if err != nil {
		return nil, hidden.hide(err)
	}
	return &service{s, s.GetID(), hidden}, nil
}

// Send hands the notification over. The library knows no context: what hangs is
// left behind, and given up by its own time-outs.
func (s *service) Send(ctx context.Context, n Notification) Result {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil { // one service's fault must not end the process
				done <- fmt.Errorf("%s: %v", s.name, p)
			}
		}()
		// What a service does with a title differs; where it cannot have one, asking
		// for it is an error.
		done <- s.Service.Send(n.Title()+"\n"+n.Text(), &types.Params{})
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		return Result{Outcome: Unknown, Err: context.Cause(ctx)}
	}
	if err == nil {
		return Result{Outcome: Delivered}
	}
	// Only an error from before there was a connection proves that nothing arrived.
	var network *net.OpError
	var name *net.DNSError
	if errors.As(err, &network) && network.Op == "dial" || errors.As(err, &name) {
		return Result{Outcome: Retry, Err: s.secret.hide(err)}
	}
	return Result{Outcome: Unknown, Err: s.secret.hide(err)}
}
