package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// body is a recorded clearinghouse state: what stands before and after its
// time, and the sizes in it.
type body struct {
	before, after []byte
	sizes         [asset.Count]asset.Size
	worth         float64 // of the account, in dollars; 0 where the recording does not say
}

// at is the body with another time.
func (b *body) at(t time.Time) []byte {
	text := slices.Concat(b.before, strconv.AppendInt(nil, t.UnixMilli(), 10))
	return append(text, b.after...)
}

var timeOfState = regexp.MustCompile(`"time"\s*:\s*([0-9]+)`)

func parseBody(text []byte) (*body, error) {
	var state struct {
		MarginSummary  struct{ AccountValue string }
		AssetPositions []struct {
			Position struct {
				Coin string
				Szi  string
			}
		}
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, fmt.Errorf("read clearinghouse state: %w", err)
	}
	if state.AssetPositions == nil {
		return nil, errors.New("assetPositions is missing; a clearinghouse state has a list of them")
	}
	times := timeOfState.FindAllSubmatchIndex(text, -1)
	if times == nil {
		return nil, errors.New("time is missing; a clearinghouse state has one in milliseconds")
	}
	last := times[len(times)-1]
	b := &body{before: text[:last[2]], after: text[last[3]:]}
	b.worth, _ = strconv.ParseFloat(state.MarginSummary.AccountValue, 64) // 0 where it is none
	for _, p := range state.AssetPositions {
		a, ours := asset.FromCoin(p.Position.Coin)
		if !ours {
			continue
		}
		size, err := asset.ParseSize(p.Position.Szi, a)
		if err != nil {
			return nil, fmt.Errorf("szi of %s: %w", a, err)
		}
		b.sizes[a] = size
	}
	return b, nil
}

var addressIn = regexp.MustCompile(`0x[0-9a-fA-F]{40}`)

// LoadBodies reads every .json file of a folder for Config.Bodies: recorded
// clearinghouse states, or lists of sub-accounts, which give a state for each.
// A state belongs to the address in its file's name; without one, to an
// address made from that name. Errors name the file.
func LoadBodies(dir string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("bodies: no .json file in %s", dir)
	}
	bodies := map[string][]byte{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read body: %w", err)
		}
		if err := addBodies(bodies, filepath.Base(name), bytes.TrimSpace(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return bodies, nil
}

func addBodies(bodies map[string][]byte, name string, text []byte) error {
	if !bytes.HasPrefix(text, []byte("[")) {
		owner := addressIn.FindString(name)
		if owner == "" {
			c := chance(0)
			for _, letter := range []byte(name) {
				c = c.of(uint64(letter))
			}
			owner = drawAddress(c).String()
		}
		bodies[owner] = text
		_, err := parseBody(text)
		return err
	}
	var list []struct {
		SubAccountUser     string
		ClearinghouseState json.RawMessage
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("read list of sub-accounts: %w", err)
	}
	for _, sub := range list {
		if _, err := parseBody(sub.ClearinghouseState); err != nil {
			return fmt.Errorf("sub-account %s: %w", sub.SubAccountUser, err)
		}
		bodies[sub.SubAccountUser] = sub.ClearinghouseState
	}
	return nil
}
