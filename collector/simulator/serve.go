package simulator

import (
	"io"
	"net"
	"net/http"
)

// Handler serves the exchange: GET /Mainnet/leaderboard, POST /info, and to
// clients of this machine only what steers it:
//
//	GET    /control/faults   lists the faults
//	POST   /control/faults   adds the one in the body
//	DELETE /control/faults   clears them
//	POST   /control/close    {"wallet":"0x…","asset":"BTC"} closes a position for good
//	GET    /control/stats    counts requests by endpoint and outcome, and what clients spend
//
// The Date header of every answer is that of Clock.
func (e *Exchange) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /Mainnet/leaderboard", e.serveBoard)
	mux.HandleFunc("POST /info", e.serveInfo)
	mux.Handle("GET /control/faults", e.control(e.listFaults))
	mux.Handle("POST /control/faults", e.control(e.addFault))
	mux.Handle("DELETE /control/faults", e.control(e.clearFaults))
	mux.Handle("POST /control/close", e.control(e.closePosition))
	mux.Handle("GET /control/stats", e.control(e.showStats))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.stamp(w)
		mux.ServeHTTP(w, r)
	})
}

// stamp dates an answer. Without it net/http would take the machine's clock.
func (e *Exchange) stamp(w http.ResponseWriter) {
	w.Header().Set("Date", e.config.Clock.Now().Format(http.TimeFormat))
}

// mostBody bounds what is read of a request.
const mostBody = 1 << 16

func (e *Exchange) serveInfo(w http.ResponseWriter, r *http.Request) {
	if e.config.Clock.Sleep(r.Context(), e.config.Latency) != nil {
		e.stats.add(string(otherInfo), "left")
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		e.send(w, otherInfo, failure(http.StatusUnprocessableEntity))
		return
	}
	q, t, err := readQuestion(text)
	if err != nil {
		e.send(w, t.endpoint, failure(http.StatusUnprocessableEntity))
		return
	}
	if !e.budget.spend(clientOf(r), q.weight, e.config.WeightPerMinute, e.config.Clock.Now()) {
		e.send(w, t.endpoint, failure(http.StatusTooManyRequests))
		return
	}
	t = e.locate(t)
	fault, there := e.disturb(r, t)
	if !there {
		return
	}
	t.now = e.config.Clock.Now()
	t.behind = e.faults.behind(t)
	a := good(q.body(e, t))
	if fault != nil {
		a = e.spoil(*fault, t, a.body)
	}
	e.send(w, t.endpoint, a)
}

// locate finds whose account a question is about. Who is not known is their
// own master.
func (e *Exchange) locate(t target) target {
	t.master = t.account
	if t.seat, t.known = e.accounts[t.account]; t.known {
		t.master = e.wallets[t.seat.wallet].address
	}
	return t
}

// disturb waits as long as faults say and returns the one that is to spoil the
// answer. It is false when the client has left.
func (e *Exchange) disturb(r *http.Request, t target) (*Fault, bool) {
	delay, fault, cleared := e.faults.request(t, e.config.Clock.Now())
	if e.config.Clock.Sleep(r.Context(), delay) != nil {
		e.stats.add(string(t.endpoint), "left")
		return nil, false
	}
	if fault == nil || fault.Kind != Hang {
		return fault, true
	}
	select {
	case <-r.Context().Done():
		e.stats.add(string(t.endpoint), "left")
		return nil, false
	case <-cleared:
		return fault, true // whoever waited that long gets no answer any more
	}
}

func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
