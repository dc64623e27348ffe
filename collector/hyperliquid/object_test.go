package hyperliquid

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMembersKeepOrderDuplicatesAndCase(t *testing.T) {
	var got []string
	for name, value := range members([]byte(` { "a" : 1 , "A":"x,}" ,"a":[1,{"b":"]"}],"\u0062":{"c":"\"}"}, "":null , "e":-1.5e3 } `)) {
		got = append(got, name+"="+string(value))
	}
	want := []string{"a=1", `A="x,}"`, `a=[1,{"b":"]"}]`, `b={"c":"\"}"}`, "=null", "e=-1.5e3"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestElementsKeepOrder(t *testing.T) {
	var got []string
	for value := range elements([]byte("[ 1 , \"a,]\",\n{\"b\":[2]},[], null,true ]")) {
		got = append(got, string(value))
	}
	if diff := cmp.Diff([]string{"1", `"a,]"`, `{"b":[2]}`, "[]", "null", "true"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOtherValuesHaveNoParts(t *testing.T) {
	for _, value := range []string{"", "null", `"{}"`, "1", "{}", "[]", " { } ", " [ ] "} {
		for name := range members([]byte(value)) {
			t.Errorf("%q has a member %q", value, name)
		}
		for element := range elements([]byte(value)) {
			t.Errorf("%q has an element %q", value, element)
		}
	}
	for range members([]byte(`[1,2]`)) {
		t.Error("a list has members")
	}
	for range elements([]byte(`{"a":1}`)) {
		t.Error("an object has elements")
	}
}

func TestWalksStopWhenTold(t *testing.T) {
	count := 0
	for range members([]byte(`{"a":1,"b":2}`)) {
		count++
		break
	}
	for range elements([]byte(`[1,2]`)) {
		count++
		break
	}
	if count != 2 {
		t.Errorf("%d steps, want one each", count)
	}
}

// Put together again, the parts are the value.
func checkParts(t interface{ Fatalf(string, ...any) }, value []byte) {
	var whole bytes.Buffer
	if err := json.Compact(&whole, value); err != nil {
		t.Fatalf("compact: %v", err)
	}
	var again []byte
	switch whole.Bytes()[0] {
	case '{':
		again = append(again, '{')
		for name, member := range members(value) {
			checkParts(t, member)
			again = append(append(append(again, quoteAs(whole.Bytes(), len(again), name)...), ':'), compact(member)...)
			again = append(again, ',')
		}
		again = append(bytes.TrimSuffix(again, []byte(",")), '}')
	case '[':
		again = append(again, '[')
		for element := range elements(value) {
			checkParts(t, element)
			again = append(append(again, compact(element)...), ',')
		}
		again = append(bytes.TrimSuffix(again, []byte(",")), ']')
	default:
		return
	}
	if !bytes.Equal(again, whole.Bytes()) {
		t.Fatalf("%s came apart as %s", whole.Bytes(), again)
	}
}

// quoteAs spells a name as it stands at a place of the original, if it is that
// name.
func quoteAs(whole []byte, at int, name string) []byte {
	spelled := whole[at : at+valueEnd(whole[at:])]
	if read, ok := text(spelled); ok && read == name {
		return spelled
	}
	return []byte("?")
}

func compact(value []byte) []byte {
	var out bytes.Buffer
	_ = json.Compact(&out, value)
	return out.Bytes()
}

func TestPartsMakeUpTheWhole(t *testing.T) {
	scalar := rapid.SampledFrom([]string{`0`, `-1.5e3`, `"a"`, `"\\"`, `"\""`, `"\\\""`, `"}],{[:"`, `null`, `true`, `false`, `""`, `"\ud800"`})
	blank := rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r\n "})
	var value func(t *rapid.T, depth int) string
	value = func(t *rapid.T, depth int) string {
		kind := rapid.IntRange(0, 2).Draw(t, "kind")
		if depth == 0 || kind == 0 {
			return scalar.Draw(t, "scalar")
		}
		var parts []string
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			part := blank.Draw(t, "blank") + value(t, depth-1) + blank.Draw(t, "blank")
			if kind == 1 {
				part = blank.Draw(t, "blank") + rapid.SampledFrom([]string{`"a"`, `"b\u0063"`, `"}"`}).Draw(t, "name") + blank.Draw(t, "blank") + ":" + part
			}
			parts = append(parts, part)
		}
		if kind == 1 {
			return "{" + strings.Join(parts, ",") + "}"
		}
		return "[" + blank.Draw(t, "blank") + strings.Join(parts, ",") + "]"
	}
	rapid.Check(t, func(t *rapid.T) {
		checkParts(t, []byte(value(t, 4)))
	})
}

// Invalid text ends a walk early; it never panics or goes on forever.
func TestWalksSurviveInvalidText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		broken := []byte(rapid.StringMatching(`[\[{]["\\a1 :,\[\]{}]{0,30}`).Draw(t, "text"))
		steps := 0
		for range members(broken) {
			steps++
		}
		for range elements(broken) {
			steps++
		}
		if steps > 2*len(broken) {
			t.Fatalf("%d steps over %d bytes", steps, len(broken))
		}
	})
}
