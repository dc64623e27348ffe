package simulator

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Handler serves the exchange: GET /Mainnet/leaderboard, POST /info, and to
// clients of this machine only what steers it:
//
//	GET    /control/faults   lists the faults
//	POST   /control/faults   adds the one in the body
//	DELETE /control/faults   clears them
//	POST   /control/close    {"wallet":"0x…","asset":"BTC"} closes a position for good
//	GET    /control/stats    counts requests by endpoint and outcome
func (e *Exchange) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /Mainnet/leaderboard", e.serveBoard)
	mux.HandleFunc("POST /info", e.serveInfo)
	mux.Handle("GET /control/faults", e.control(e.listFaults))
	mux.Handle("POST /control/faults", e.control(e.addFault))
	mux.Handle("DELETE /control/faults", e.control(e.clearFaults))
	mux.Handle("POST /control/close", e.control(e.closePosition))
	mux.Handle("GET /control/stats", e.control(e.showStats))
	return mux
}

// mostBody bounds what is read of a request.
const mostBody = 1 << 16

// otherInfo counts requests on /info for what is not simulated.
const otherInfo Endpoint = "info"

func (e *Exchange) serveInfo(w http.ResponseWriter, r *http.Request) {
	if e.config.Clock.Sleep(r.Context(), e.config.Latency) != nil {
		e.stats.add(string(otherInfo), "left")
		return
	}
	var question struct {
		Type string `json:"type"`
		User string `json:"user"`
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil || json.Unmarshal(text, &question) != nil {
		e.send(w, otherInfo, failure(http.StatusUnprocessableEntity))
		return
	}
	t := target{}
	weight := 0
	switch question.Type {
	case "clearinghouseState":
		t.endpoint, weight = StateEndpoint, stateWeight
	case "subAccounts":
		t.endpoint, weight = SubAccountsEndpoint, subAccountsWeight
	default:
		e.send(w, otherInfo, failure(http.StatusUnprocessableEntity))
		return
	}
	if t.account, err = parseAddress(question.User); err != nil {
		e.send(w, t.endpoint, failure(http.StatusUnprocessableEntity))
		return
	}
	if !e.budget.spend(clientOf(r), weight, e.config.WeightPerMinute, e.config.Clock.Now()) {
		e.send(w, t.endpoint, failure(http.StatusTooManyRequests))
		return
	}
	t.master = t.account
	found, known := e.accounts[t.account]
	if known {
		t.master = e.wallets[found.wallet].address
	}
	fault, there := e.disturb(r, t)
	if !there {
		return
	}
	var body []byte
	if t.endpoint == StateEndpoint {
		body = e.state(t, found, known)
	} else {
		body = e.subAccounts(t, found, known)
	}
	a := good(body)
	if fault != nil {
		a = spoil(*fault, body)
	}
	e.send(w, t.endpoint, a)
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

// state is the body of an account's clearinghouse state. An address that
// nobody has is flat, as on the exchange.
func (e *Exchange) state(t target, a account, known bool) []byte {
	v := view{at: e.config.Clock.Now()}
	e.AdvanceTo(v.at)
	if known {
		v.sizes = e.sizes(a)
	}
	e.faults.distort(&v, t, e.config.Clock.Now())
	if !known {
		return appendState(nil, 0, nil, 0, v)
	}
	w := &e.wallets[a.wallet]
	if w.body != nil {
		return w.body.at(v.at)
	}
	return w.state(nil, a.part, v)
}

// subAccounts is null for who has none.
func (e *Exchange) subAccounts(t target, a account, known bool) []byte {
	if !known || a.part != 0 || e.wallets[a.wallet].accounts == nil {
		return []byte("null")
	}
	b := []byte{'['}
	for i, s := range e.wallets[a.wallet].accounts[1:] {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":"F`+strconv.Itoa(i+1)+`","subAccountUser":"`+s.address.String()+`","master":"`+t.master.String()+`","clearinghouseState":`...)
		b = append(b, e.state(target{t.endpoint, s.address, t.master}, account{a.wallet, i + 1}, true)...)
		b = append(b, `,"spotState":{"balances":[{"coin":"USDC","token":0,"total":"0.0","hold":"0.0","entryNtl":"0.0"}]}}`...)
	}
	return append(b, ']')
}

func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
