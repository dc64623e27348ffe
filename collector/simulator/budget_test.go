package simulator

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var gaps = []time.Duration{0, 1, time.Millisecond, time.Second, 20 * time.Second, time.Minute - 1, time.Minute}

// The model remembers every answered request and adds up anew each time.
func TestWeightIsLimitedInAnySixtySeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b budget
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		model := map[string][]spending{}
		highest, refused := map[string]int{}, map[string]int{}
		now := origin
		for range rapid.IntRange(1, 80).Draw(t, "requests") {
			now = now.Add(rapid.SampledFrom(gaps).Draw(t, "gap"))
			client := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "client")
			weight := rapid.SampledFrom([]int{2, 20, 60}).Draw(t, "weight")
			sum := weight
			for _, s := range model[client] {
				if now.Sub(s.at) < time.Minute {
					sum += s.weight
				}
			}
			want := limit == 0 || sum <= limit
			if got := b.spend(client, weight, limit, now); got != want {
				t.Fatalf("spend %d at %s: %v, the model says %v with %d of %d", weight, now, got, want, sum, limit)
			}
			if !want {
				refused[client]++
				continue
			}
			model[client] = append(model[client], spending{now, weight})
			highest[client] = max(highest[client], sum)
		}
		for client, p := range b.clients {
			if p.highest != highest[client] || p.refused != refused[client] {
				t.Fatalf("%s: highest %d, refused %d; the model says %d and %d", client, p.highest, p.refused, highest[client], refused[client])
			}
		}
	})
}

func TestTimeDoesNotGoBackForTheLimit(t *testing.T) {
	var b budget
	if !b.spend("a", 20, 40, origin) || !b.spend("a", 20, 40, origin.Add(-2*time.Minute)) {
		t.Fatal("refused within the limit")
	}
	if b.spend("a", 2, 40, origin.Add(time.Minute-1)) {
		t.Error("a request that came with an older time was forgotten early")
	}
	if !b.spend("a", 40, 40, origin.Add(time.Minute)) {
		t.Error("a request is remembered for more than a minute")
	}
}

func TestOverTheLimitIs429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{WeightPerMinute: 40, Latency: time.Second, Origin: time.Now()})
		list, state := `{"type":"subAccounts","user":"`+alice+`"}`, `{"type":"clearinghouseState","user":"`+alice+`"}`
		before := time.Now()
		if w := ask(e, list); w.Code != 200 || time.Since(before) != time.Second {
			t.Errorf("%d after %s", w.Code, time.Since(before))
		}
		codes := map[int]int{}
		for range 59 { // until a minute after the list
			codes[ask(e, state).Code]++
		}
		if codes[200] != 10 || codes[429] != 49 {
			t.Errorf("%v", codes)
		}
		if w := ask(e, list); w.Code != 200 {
			t.Errorf("a minute later the list is answered %d", w.Code)
		}
		if w := ask(e, list); w.Code != 429 || w.Body.String() != "null" || w.Header().Get("Retry-After") != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestStatsShowWhatClientsSpend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{WeightPerMinute: 25, Origin: time.Now()})
		list := `{"type":"subAccounts","user":"` + alice + `"}`
		ask(e, list)
		if ask(e, list).Code != http.StatusTooManyRequests {
			t.Fatal("the limit does not hold")
		}
		time.Sleep(time.Minute)
		ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`)
		var got Stats
		if err := json.Unmarshal(control(e, local, "GET", "/control/stats", "").Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := Stats{
			"client 192.0.2.1": {"spent": 2, "highest": 20, "refused": 1},
			"sub_accounts":     {"200": 1, "429": 1},
			"state":            {"200": 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
