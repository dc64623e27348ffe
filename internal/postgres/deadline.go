package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	lookTimeout  = 2500 * time.Millisecond
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second
)

var (
	errLookTimeout  = fmt.Errorf("the database did not answer within %s", lookTimeout)
	errReadTimeout  = fmt.Errorf("the database did not answer within %s", readTimeout)
	errWriteTimeout = fmt.Errorf("the database did not take the write within %s", writeTimeout)
)

// Looking bounds all that is asked for somebody who looks, and waits: a scrape, whether
// the process is ready, a diagnosis. What is not answered by then is not known.
func Looking(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, lookTimeout, errLookTimeout)
}

// Reading bounds one read of the database.
func Reading(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, readTimeout, errReadTimeout)
}

// Writing bounds one transaction.
func Writing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, writeTimeout, errWriteTimeout)
}

// Because adds what was being done, and the named deadline if that is why. It
// is nil when err is.
func Because(ctx context.Context, action string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = errors.Join(cause, err)
	}
	return fmt.Errorf("%s: %w", action, Cause(err))
}
