package receiver

import (
	"fmt"
	"net/http"
)

// RefuseRedirects makes the default HTTP transport, which most of the library's
// services use, refuse an answer that would turn a POST into a GET without a
// body: the redirect's target says 200, and nobody has been told. To be called
// once, by the process that sends.
func RefuseRedirects() { http.DefaultTransport = refusing{http.DefaultTransport} }

type refusing struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.RoundTripper.RoundTrip(request)
	if err != nil || request.Method == http.MethodGet || response.StatusCode/100 != 3 {
		return response, err
	}
	_ = response.Body.Close() // nobody reads it
	return nil, fmt.Errorf("it answered %s: a redirect, which is not followed", response.Status)
}
