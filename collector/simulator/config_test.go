package simulator

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigNamesWhatCannotBe(t *testing.T) {
	recording, err := LoadPositions(strings.NewReader(threeSteps))
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"rows: 100001 is not between 1 and 100000": {Rows: 100_001},
		"rows: -1":                             {Rows: -1},
		"active: 11 is not between 1 and":      {Rows: 10, Active: 11},
		"active: -1":                           {Active: -1},
		"weight per minute: -1":                {WeightPerMinute: -1},
		"latency":                              {Latency: -1},
		"rows: 1 are too few for 2 recorded":   {Rows: 1, Recording: recording},
		`bodies: "x" is no address`:            {Bodies: map[string][]byte{"x": nil}},
		"body of " + alice:                     {Bodies: map[string][]byte{alice: nil}},
		"address " + alice + " is there twice": {Recording: recording, Bodies: map[string][]byte{alice: []byte(recordedState)}},
	} {
		if _, err := New(c); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestSmallExchanges(t *testing.T) {
	for rows := 1; rows < 9; rows++ {
		e := open(t, Config{Rows: rows})
		e.AdvanceTo(origin.Add(time.Hour))
		if got := len(e.Wallets()); got != rows {
			t.Errorf("%d wallets of %d", got, rows)
		}
	}
}

func TestBudgetIsABucketForEachClient(t *testing.T) {
	now := origin
	var b budget
	for i := range 60 {
		if !b.spend("a", 20, 1200, now) {
			t.Fatalf("request %d is over the limit", i)
		}
	}
	if b.spend("a", 2, 1200, now) || !b.spend("b", 2, 1200, now) {
		t.Error("a client's limit is not its own")
	}
	if now = now.Add(100 * time.Millisecond); !b.spend("a", 2, 1200, now) || b.spend("a", 2, 1200, now) {
		t.Error("the bucket does not refill by 20 a second")
	}
	if now = now.Add(time.Hour); !b.spend("a", 1200, 1200, now) || b.spend("a", 1, 1200, now) {
		t.Error("the bucket does not end at its size")
	}
	if !b.spend("a", 1e9, 0, now) {
		t.Error("no limit is one")
	}
}

func TestOverTheLimitIs429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{WeightPerMinute: 40, Latency: time.Second, Origin: time.Now()})
		before := time.Now()
		if w := ask(e, `{"type":"subAccounts","user":"`+alice+`"}`); w.Code != 200 || time.Since(before) != time.Second {
			t.Errorf("%d after %s", w.Code, time.Since(before))
		}
		codes := map[int]int{}
		for range 40 { // a second each, in which two thirds of a weight come back
			codes[ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`).Code]++
		}
		if codes[200] != 23 && codes[200] != 24 || codes[429] == 0 {
			t.Errorf("%v", codes)
		}
		if w := ask(e, `{"type":"subAccounts","user":"`+alice+`"}`); w.Code != 429 || w.Body.String() != "null" || w.Header().Get("Retry-After") != "" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
