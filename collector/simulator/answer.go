package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// answer is what a request gets: a body, or something that is none.
type answer struct {
	outcome    string // for Stats
	code       int
	kind       string // content type
	body       []byte
	retryAfter time.Duration
	abort      bool // after the body, or in place of one
}

const (
	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
	typeHTML = "text/html"
)

// failure is the body that the exchange answers a status with: the literal
// null where it fails itself, text where the request is wrong, a page where
// something stands before it.
func failure(code int) answer {
	a := answer{outcome: strconv.Itoa(code), code: code}
	switch code {
	case http.StatusUnprocessableEntity:
		a.kind, a.body = typeText, []byte("Failed to deserialize the JSON body into the target type")
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		a.kind, a.body = typeHTML, page(fmt.Sprintf("%d %s", code, http.StatusText(code)))
	default:
		a.kind, a.body = typeJSON, []byte("null")
	}
	return a
}

func page(title string) []byte {
	return []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n")
}

func good(body []byte) answer {
	return answer{outcome: "200", code: http.StatusOK, kind: typeJSON, body: body}
}

// spoil is what a fault makes of the answer with this body.
func (e *Exchange) spoil(f Fault, t target, body []byte) answer {
	switch f.Kind {
	case Meta:
		return good(spoilMeta(f.Variant))
	case Role:
		return good([]byte(`{"role":"custodian"}`))
	case SubAccountsUnreadable:
		return good(e.unreadable(f.Variant, t))
	}
	return failedBy(f, body)
}

// failedBy is what a fault of requests makes of an answer with this body.
func failedBy(f Fault, body []byte) answer {
	switch f.Kind {
	case Status:
		a := failure(f.Code)
		a.retryAfter = f.RetryAfter
		return a
	case Failing:
		return failure(http.StatusInternalServerError)
	case Null:
		return good([]byte("null"))
	case HTML:
		return answer{outcome: "200", code: http.StatusOK, kind: typeHTML, body: page("Welcome")}
	case Truncate:
		a := good(body[:len(body)/2])
		a.outcome, a.abort = "truncated", f.Variant != "clean"
		return a
	}
	return answer{outcome: "dropped", abort: true}
}

// send writes the answer. It panics with http.ErrAbortHandler, as the server
// wants it, to close the connection.
func (e *Exchange) send(w http.ResponseWriter, endpoint Endpoint, a answer) {
	e.stats.add(string(endpoint), a.outcome)
	if a.code != 0 {
		e.stamp(w) // it may have waited
		w.Header().Set("Content-Type", a.kind)
		if a.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((a.retryAfter+time.Second-1)/time.Second)))
		}
		w.WriteHeader(a.code)
		w.Write(a.body) //nolint:errcheck // the client has left
	}
	if a.abort {
		if flusher, ok := w.(http.Flusher); ok && a.outcome == "truncated" {
			flusher.Flush() // or the client would see no answer at all
		}
		panic(http.ErrAbortHandler)
	}
}
