package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
)

// control limits a handler to clients of this machine: whoever reaches it can
// make the exchange say anything. Its errors are bad requests of one line.
func (e *Exchange) control(serve func(body []byte) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := netip.ParseAddr(clientOf(r))
		if err != nil || !client.Unmap().IsLoopback() {
			http.Error(w, "control: only from this machine", http.StatusForbidden)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
		if err != nil {
			http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
			return
		}
		reply, err := serve(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", typeJSON)
		json.NewEncoder(w).Encode(reply) //nolint:errcheck // the client has left
	})
}

func (e *Exchange) listFaults([]byte) (any, error) { return e.Faults(), nil }

func (e *Exchange) addFault(body []byte) (any, error) {
	f, err := readFault(body)
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	if err := e.SetFault(f); err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	return e.Faults(), nil
}

// readFault does without encoding/json's own words around an error.
func readFault(body []byte) (f Fault, err error) {
	if !json.Valid(body) {
		return f, errors.New(`not JSON; an object like {"kind":"status","code":503,"share":0.3} is needed`)
	}
	err = f.UnmarshalJSON(body)
	return f, err
}

func (e *Exchange) clearFaults([]byte) (any, error) {
	e.ClearFaults()
	return e.Faults(), nil
}

func (e *Exchange) closePosition(body []byte) (any, error) {
	var what struct {
		Wallet string `json:"wallet"`
		Asset  string `json:"asset,omitempty"`
	}
	if err := strict(body, &what, "wallet, asset"); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	e.AdvanceTo(e.config.Clock.Now())
	if err := e.Close(what.Wallet, what.Asset); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return what, nil
}

func (e *Exchange) showStats([]byte) (any, error) { return e.report(), nil }
