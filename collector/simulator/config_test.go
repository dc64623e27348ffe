package simulator

import (
	"strings"
	"testing"
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
		"rows: -1":                        {Rows: -1},
		"active: 11 is not between 1 and": {Rows: 10, Active: 11},
		"active: -1":                      {Active: -1},
		`population: "private" is none of public`:          {Population: "private"},
		"population: public needs 200 active wallets that": {Active: 201, Population: PublicPopulation, Recording: recording},
		"weight per minute: -1":                            {WeightPerMinute: -1},
		"latency":                                          {Latency: -1},
		"rows: 1 are too few for 2 recorded":               {Rows: 1, Recording: recording},
		`bodies: "x" is no address`:                        {Bodies: map[string][]byte{"x": nil}},
		"body of " + alice:                                 {Bodies: map[string][]byte{alice: nil}},
		"address " + alice + " is there twice":             {Recording: recording, Bodies: map[string][]byte{alice: []byte(recordedState)}},
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
