package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/whalegate/whalegate/internal/asset"
)

func (f Fault) share() float64 {
	switch {
	case f.Share > 0:
		return f.Share
	case f.Kind == HalfLag:
		return 0.5
	}
	return 1
}

func (f Fault) top() int {
	if f.Top == 0 {
		return 200
	}
	return f.Top
}

// fields by their JSON name that are set.
func (f Fault) fields() map[string]bool {
	set := map[string]bool{
		"endpoint": f.Endpoint != "", "share": f.Share != 0, "wallet": f.Wallet != "", "for": f.For != 0, "code": f.Code != 0,
		"retry_after": f.RetryAfter != 0, "ms": f.Milliseconds != 0, "seconds": f.Seconds != 0, "asset": f.Asset != "",
		"top": f.Top != 0, "variant": f.Variant != "", "value": f.Value != "",
	}
	maps.DeleteFunc(set, func(_ string, there bool) bool { return !there })
	return set
}

// Validate says in one line which field cannot be and what it could be.
func (f Fault) Validate() error {
	kind, ok := kinds[f.Kind]
	if !ok {
		return fmt.Errorf("kind: %q is none of %s", clip(string(f.Kind)), list(slices.Sorted(maps.Keys(kinds))))
	}
	set := f.fields()
	reads := append(strings.Fields(kind.reads), "share", "for")
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if !slices.Contains(reads, name) {
			return fmt.Errorf("%s: kind %s does not read it; it reads %s", name, f.Kind, list(reads))
		}
	}
	if kind.needs != "" && !set[kind.needs] {
		return fmt.Errorf("%s: missing; kind %s needs it", kind.needs, f.Kind)
	}
	switch {
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share: %v is not between 0 and 1", f.Share)
	case f.For < 0:
		return fmt.Errorf("for: %s is below 0", f.For)
	case f.RetryAfter < 0:
		return fmt.Errorf("retry_after: %s is below 0", f.RetryAfter)
	case f.Code != 0 && (f.Code < 400 || f.Code > 599):
		return fmt.Errorf("code: %d is not between 400 and 599", f.Code)
	case f.Milliseconds < 0 || f.Milliseconds > 86_400_000:
		return fmt.Errorf("ms: %d is not between 0 and 86400000", f.Milliseconds)
	case f.Seconds < 0:
		return fmt.Errorf("seconds: %d is below 0", f.Seconds)
	case f.Top < 0:
		return fmt.Errorf("top: %d is below 0", f.Top)
	case f.Variant != "" && !slices.Contains(kind.variants, f.Variant):
		return fmt.Errorf("variant: %q is none of %s", clip(f.Variant), list(kind.variants))
	}
	endpoints := kind.endpoints
	if endpoints == nil {
		endpoints = allEndpoints
	}
	if f.Endpoint != "" && !slices.Contains(endpoints, f.Endpoint) {
		return fmt.Errorf("endpoint: %q is none of %s", clip(string(f.Endpoint)), list(endpoints))
	}
	if (f.Kind == Lag || f.Kind == HalfLag) && f.Seconds > mostLag*60 {
		return fmt.Errorf("seconds: %d is above %d, which is how much of the past is remembered", f.Seconds, mostLag*60)
	}
	if factor := f.factor(); f.Kind == Rescale && !(factor > 0 && factor <= 1e6) {
		return fmt.Errorf("value: %q is no factor above 0 and up to 1e6", clip(f.Value))
	}
	if f.Wallet != "" {
		if _, err := parseAddress(f.Wallet); err != nil {
			return fmt.Errorf("wallet: %w", err)
		}
	}
	if strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }) {
		return fmt.Errorf("value: %q cannot stand in a JSON string as it is", clip(f.Value))
	}
	if f.Asset != "" {
		if _, err := asset.Parse(f.Asset); err != nil {
			return fmt.Errorf("asset: %w", err)
		}
	}
	return nil
}

// factor of a Rescale; 0 where Value is none.
func (f Fault) factor() float64 {
	factor, err := strconv.ParseFloat(f.Value, 64)
	if err != nil {
		return 0
	}
	return factor
}

// newName is what a Rename calls an asset's coin.
func (f Fault) newName(a asset.Asset) string {
	if f.Value != "" {
		return f.Value
	}
	return "k" + a.Coin()
}

// concerns is true for the assets that the fault changes.
func (f Fault) concerns(a asset.Asset) bool {
	return f.Asset == "" || strings.EqualFold(f.Asset, a.String())
}

func list[T ~string](names []T) string {
	var quoted []string
	for _, name := range names {
		if name != "" {
			quoted = append(quoted, string(name))
		}
	}
	return strings.Join(quoted, ", ")
}
