package simulator

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/fixtures"
)

const recordedState = `{"assetPositions": [{"position": {"coin": "BTC", "szi": "-1.474720000001"}}, {"position": {"coin": "SOL", "szi": "?"}}], "time": 1790951246099}`

func TestBodiesAreServedAtThePresentTime(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"of-" + alice + ".json": recordedState,
		"nameless.json":         recordedState,
		"subs.json":             `[{"subAccountUser":"` + bobby + `","clearinghouseState":` + recordedState + `}]`,
		"notes.txt":             "no body",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bodies, err := LoadBodies(dir)
	if err != nil || len(bodies) != 3 {
		t.Fatalf("%d bodies: %v", len(bodies), err)
	}
	e := open(t, Config{Rows: 20, Bodies: bodies, Origin: time.Now()})
	for _, address := range slices.Collect(maps.Keys(bodies)) {
		c, text := askState(t, e, address)
		if !strings.HasPrefix(text, recordedState[:len(recordedState)-14]) || time.Since(time.UnixMilli(c.Time)) > time.Minute {
			t.Errorf("%s: %s", address, text)
		}
		if sizes, ok := e.Sizes(address); !ok || sizes[asset.BTC].Text(asset.BTC) != "-1.47472" {
			t.Errorf("%s holds %v", address, sizes)
		}
		if !slices.Contains(e.Wallets()[:3], address) {
			t.Errorf("%s is not at the top", address)
		}
		if err := e.Close(address, ""); err == nil {
			t.Error("a recorded body is closed")
		}
	}
}

func TestRecordedBodiesReplay(t *testing.T) {
	bodies, err := LoadBodies(filepath.Join(fixtures.Dir(t), "hyperliquid", "clearinghouse"))
	if err != nil || len(bodies) < 5 {
		t.Fatalf("%d bodies: %v", len(bodies), err)
	}
	e := open(t, Config{Bodies: bodies, Origin: time.Now()})
	for address := range bodies {
		c, _ := askState(t, e, address)
		if want, _ := e.Sizes(address); c.sizes(t) != want {
			t.Errorf("%s: %v, want %v", address, c.sizes(t), want)
		}
	}
}

func TestLoadBodiesNamesTheFile(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                           "read clearinghouse state",
		`null`:                        "assetPositions is missing",
		`{"assetPositions":{}}`:       "read clearinghouse state",
		`{"assetPositions":[]}`:       "time is missing",
		`[{"clearinghouseState":{}}]`: "sub-account : assetPositions is missing",
		`[7]`:                         "read list of sub-accounts",
		strings.Replace(recordedState, "-1.4", "x", 1): "szi of BTC",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadBodies(dir); err == nil || !strings.Contains(err.Error(), "a.json: "+want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := LoadBodies(t.TempDir()); err == nil {
		t.Error("an empty folder has bodies")
	}
}
