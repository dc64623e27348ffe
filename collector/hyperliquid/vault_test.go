package hyperliquid

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secondAddress = "0x00000000000000000000000000000000000000a2"

// related is a vault with this relationship.
func related(relationship string) string { return `{"relationship":` + relationship + `}` }

// parenting is a parent of these children, separated by commas.
func parenting(children string) string {
	return related(`{"type":"parent","data":{"childAddresses":[` + children + `]}}`)
}

func TestVaults(t *testing.T) {
	for body, want := range map[string]Vault{
		testdata(t, "vault.json"):    {VaultParent, []string{subAddress, secondAddress}},
		parenting(""):                {VaultParent, []string{}},
		related(`{"type":"normal"}`): {VaultNormal, nil},
		related(`{"type":"child","data":{"parentAddress":"` + subAddress + `"}}`):              {VaultChild, nil},
		related(`{"type":"normal","data":{"childAddresses":["` + subAddress + `"]}}`):          {VaultNormal, nil},
		`{"vaultAddress":"` + strings.ToUpper(account) + `","relationship":{"type":"normal"}}`: {VaultNormal, nil},
	} {
		var asked string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			question, _ := io.ReadAll(r.Body)
			asked = string(question)
			_, _ = io.WriteString(w, body)
		})
		got, err := c.VaultDetails(t.Context(), account)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", body, err, diff)
		}
		if asked != `{"type":"vaultDetails","vaultAddress":"`+account+`"}` {
			t.Errorf("asked %s", asked)
		}
	}
}

// offspring lists n children.
func offspring(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"0x%040x"`, i+0x1000)
	}
	return strings.Join(list, ",")
}

func TestTheLongestListOfChildren(t *testing.T) {
	got, err := newClient(t, answer(200, parenting(offspring(500)))).VaultDetails(t.Context(), account)
	if err != nil || len(got.Children) != 500 || got.Children[499] != "0x00000000000000000000000000000000000011f3" {
		t.Errorf("%d children, %v", len(got.Children), err)
	}
}

func TestVaultFailures(t *testing.T) {
	child := `"` + subAddress + `"`
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":           {429, "null", RateLimited},
		"server error":           {500, related(`{"type":"normal"}`), ServerError},
		"rejected":               {422, "text", Rejected},
		"unknown":                {200, "null", Null},
		"nothing":                {200, "", Malformed},
		"html":                   {200, "<html>", Malformed},
		"cut short":              {200, parenting(child)[:40], Malformed},
		"trailing data":          {200, parenting(child) + "]", Malformed},
		"a list":                 {200, "[]", Schema},
		"a string":               {200, `"parent"`, Schema},
		"empty":                  {200, "{}", Schema},
		"another vault":          {200, `{"vaultAddress":` + child + `,"relationship":{"type":"normal"}}`, Schema},
		"a vault without text":   {200, `{"vaultAddress":null,"relationship":{"type":"normal"}}`, Schema},
		"relationship null":      {200, related("null"), Schema},
		"relationship a string":  {200, related(`"normal"`), Schema},
		"relationship a list":    {200, related(`["normal"]`), Schema},
		"relationship twice":     {200, `{"relationship":{"type":"normal"},"relationship":{"type":"normal"}}`, Schema},
		"relationship renamed":   {200, `{"Relationship":{"type":"normal"}}`, Schema},
		"no type":                {200, related("{}"), Schema},
		"type null":              {200, related(`{"type":null}`), Schema},
		"type unknown":           {200, related(`{"type":"sibling"}`), Schema},
		"type in capitals":       {200, related(`{"type":"Normal"}`), Schema},
		"type twice":             {200, related(`{"type":"child","type":"parent"}`), Schema},
		"parent without data":    {200, related(`{"type":"parent"}`), Schema},
		"data null":              {200, related(`{"type":"parent","data":null}`), Schema},
		"data twice":             {200, related(`{"type":"parent","data":{"childAddresses":[]},"data":{"childAddresses":[]}}`), Schema},
		"children absent":        {200, related(`{"type":"parent","data":{}}`), Schema},
		"children null":          {200, related(`{"type":"parent","data":{"childAddresses":null}}`), Schema},
		"children an object":     {200, related(`{"type":"parent","data":{"childAddresses":{}}}`), Schema},
		"children twice":         {200, related(`{"type":"parent","data":{"childAddresses":[],"childAddresses":[]}}`), Schema},
		"a child null":           {200, parenting(child + ",null"), Schema},
		"a child too short":      {200, parenting(`"0x1"`), Schema},
		"a child an object":      {200, parenting(`{"address":` + child + `}`), Schema},
		"a child twice":          {200, parenting(child + "," + child), Schema},
		"twice in another case":  {200, parenting(child + `,"0x00000000000000000000000000000000000000A1"`), Schema},
		"its own child":          {200, parenting(child + `,"` + account + `"`), Schema},
		"the 501st":              {200, parenting(offspring(501)), TooLarge},
		"more than four million": {200, parenting("") + strings.Repeat(" ", 4<<20), TooLarge},
	} {
		got, err := newClient(t, answer(tt.status, tt.body)).VaultDetails(t.Context(), strings.ToUpper(account))
		if failed := wantFailure(t, err, tt.want); failed.Endpoint != "vault_details" || failed.Status != tt.status || got.Relationship != "" || got.Children != nil {
			t.Errorf("%s: %v and %+v", name, failed, got)
		}
	}
}
