package hyperliquid

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/fixtures"
)

// recorded is a body that the real exchange sent.
func recorded(t *testing.T, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(fixtures.Dir(t), "hyperliquid", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

var flat = Position{Known: true}

func TestRecordedStates(t *testing.T) {
	for name, want := range map[string]State{
		"clearinghouse/16_positions.json": {
			Time: time.UnixMilli(1768397010203).UTC(), AccountValue: 8272576.5729350001,
			Positions: [asset.Count]Position{
				asset.HYPE: {-14907845, true, "25.4825", "76.4988794996", "5", "775714.80673"},
				asset.BTC:  {-147472, true, "95137.8", "5387394.7801264981", "20", "7020.330824"},
				asset.ETH:  {-457436, true, "3297.47", "172665.4473515121", "20", "7561.645798"},
			},
		},
		"clearinghouse/10_positions_float_noise.json": {
			Time: time.UnixMilli(1790951246099).UTC(), AccountValue: 2225318.2230509999,
			Positions: [asset.Count]Position{
				asset.HYPE: flat,
				asset.BTC:  {-2109550, true, "61884.8", "432027.8823055762", "20", "91047.545135"},
				asset.ETH:  flat,
			},
		},
	} {
		body := recorded(t, name)
		got, err := newClient(t, answer(200, body)).State(t.Context(), account)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
		// Cut anywhere, the same body is no state.
		for end := 0; end < len(strings.TrimSpace(body)); end += 97 {
			if _, err := decodeState([]byte(body[:end])); FailureOf(err) != Malformed {
				t.Errorf("%s cut at %d: %v", name, end, err)
			}
		}
	}
}

// The noisy sizes of that body are in other coins: under one of our names they
// round to what was meant.
func TestRecordedFloatNoiseIsRounded(t *testing.T) {
	body := strings.Replace(recorded(t, "clearinghouse/10_positions_float_noise.json"), `"ARB"`, `"HYPE"`, 1)
	body = strings.Replace(body, `"ZRO"`, `"ETH"`, 1)
	got, err := decodeState([]byte(body))
	if err != nil || got.Positions[asset.HYPE].Size.Text(asset.HYPE) != "1064075.60" || got.Positions[asset.ETH].Size.Text(asset.ETH) != "1161681.9000" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRecordedSubAccounts(t *testing.T) {
	c := newClient(t, answer(200, recorded(t, "clearinghouse/sub_accounts_3.json")))
	got, err := c.SubAccounts(t.Context(), "0x85ecf584f25db6f146718b86d493e33c5af72052")
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []struct {
		address        string
		hype, btc, eth asset.Size
	}{
		{"0xcf3f419d08a5bdc2c6e5fbd9ad70904c5420f95f", 0, 3079070, 0},
		{"0x0622a2198712c9527817493553dca548f42e8088", 0, 0, -27694754},
		{"0xce975678a14f17a15c946b95704744cd7c677e78", 0, 0, 0},
	} {
		sizes := map[asset.Asset]asset.Size{asset.HYPE: want.hype, asset.BTC: want.btc, asset.ETH: want.eth}
		if got[i].Address != want.address || !got[i].HasState || !got[i].State.Time.Equal(time.UnixMilli(1790951249103)) {
			t.Errorf("sub-account %d is %s of %s", i, got[i].Address, got[i].State.Time)
		}
		for _, a := range asset.All {
			if p := got[i].State.Positions[a]; !p.Known || p.Size != sizes[a] {
				t.Errorf("%s of %s = %+v, want %d", a, want.address, p, sizes[a])
			}
		}
	}
	// Another wallet's list must not be added to this one.
	_, err = c.SubAccounts(t.Context(), account)
	wantFailure(t, err, Schema)
}

func TestRecordedLeaderboards(t *testing.T) {
	for name, want := range map[string]struct {
		rows        int
		first, last Entry
	}{
		"leaderboard/oct2026_first60rows.json": {
			60,
			Entry{"0x469e9a7f624b04c24f0e64edf8d8a277e6bf58a5", "9618878.7838809993", "0.5023839238", "16409989.4710670002"},
			Entry{"0x7fdafde5cfb5465924316eced2d3715494c517d1", "-26641534.8224059977", "-0.2610214172", "63085335.7372719944"},
		},
		"leaderboard/zero_volume_12rows.json": {
			12,
			Entry{"0xa822a9ceb6d6cb5b565bd10098abcfa9cf18d748", "152536137.6316530108", "0.0096852955", "15938949839.5765972137"},
			Entry{"0x5b5d51203a0f9079f8aeb098a6523a13f298c060", "-34481513.4230140001", "-0.1606949198", "158095977.9686909914"},
		},
	} {
		body := recorded(t, name)
		got, err := newClient(t, answer(200, body)).Leaderboard(t.Context(), 1000, Validators{})
		if err != nil || got.RowsRead != want.rows || got.RowsSkipped != 0 || len(got.Entries) != want.rows {
			t.Fatalf("%s: %d of %d rows, %d skipped, %v", name, len(got.Entries), got.RowsRead, got.RowsSkipped, err)
		}
		if diff := cmp.Diff([]Entry{want.first, want.last}, []Entry{got.Entries[0], got.Entries[want.rows-1]}); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		top, err := decodeLeaderboard(strings.NewReader(body), 10)
		if err != nil || !slices.Equal(top.Entries, got.Entries[:10]) {
			t.Errorf("%s: the top ten are not the first ten of all: %v", name, err)
		}
		for end := 0; end < len(strings.TrimSpace(body)); end += 997 {
			if _, err := decodeLeaderboard(strings.NewReader(body[:end]), 10); FailureOf(err) != Malformed {
				t.Errorf("%s cut at %d: %v", name, end, err)
			}
		}
	}
}

func TestRecordedErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		want   Failure
		as200  Failure // were the status lost on the way
	}{
		"errors/http_422_body.txt": {422, Rejected, Malformed},
		"errors/http_429_body.txt": {429, RateLimited, Null},
		"errors/http_500_body.txt": {500, ServerError, Null},
	} {
		body := recorded(t, name)
		for endpoint, ask := range questions {
			wantFailure(t, ask(t.Context(), newClient(t, answer(tt.status, body))), tt.want)
			if endpoint != "sub_accounts" || tt.as200 != Null { // to that one, null may be an answer
				wantFailure(t, ask(t.Context(), newClient(t, answer(200, body))), tt.as200)
			}
		}
	}
}
