package hyperliquid

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRoles(t *testing.T) {
	for body, want := range map[string]Role{
		`{"role":"missing"}`: {Kind: RoleMissing},
		`{"role":"user"}`:    {Kind: RoleUser},
		`{"role":"vault"}`:   {Kind: RoleVault},
		`{"role":"agent","data":{"user":"` + subAddress + `"}}`:                                           {Kind: RoleAgent},
		`{"role":"agent","data":null}`:                                                                    {Kind: RoleAgent},
		`{"role":"subAccount","data":{"master":"` + subAddress + `"}}`:                                    {RoleSubAccount, subAddress},
		`{"data":{"Master":1,"master":"0x00000000000000000000000000000000000000A1"},"role":"subAccount"}`: {RoleSubAccount, subAddress},
		`{"role":"user","data":{"master":"` + subAddress + `"}}`:                                          {Kind: RoleUser},
	} {
		var asked string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			question, _ := io.ReadAll(r.Body)
			asked = string(question)
			_, _ = io.WriteString(w, body)
		})
		got, err := c.UserRole(t.Context(), account)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", body, got, err, want)
		}
		if asked != `{"type":"userRole","user":"`+account+`"}` {
			t.Errorf("asked %s", asked)
		}
	}
}

func TestRoleFailures(t *testing.T) {
	sub := func(members string) string { return `{"role":"subAccount","data":{` + members + `}}` }
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":        {429, "null", RateLimited},
		"server error":        {500, `{"role":"user"}`, ServerError},
		"rejected":            {422, "text", Rejected},
		"null":                {200, "null", Null},
		"nothing":             {200, "", Malformed},
		"html":                {200, "<html>", Malformed},
		"trailing data":       {200, `{"role":"user"}x`, Malformed},
		"a string":            {200, `"user"`, Schema},
		"a list":              {200, `["user"]`, Schema},
		"empty":               {200, "{}", Schema},
		"unknown":             {200, `{"role":"admin"}`, Schema},
		"no name":             {200, `{"role":""}`, Schema},
		"in capitals":         {200, `{"role":"User"}`, Schema},
		"null role":           {200, `{"role":null}`, Schema},
		"a number":            {200, `{"role":1}`, Schema},
		"twice":               {200, `{"role":"user","role":"user"}`, Schema},
		"another case":        {200, `{"Role":"user"}`, Schema},
		"no data":             {200, `{"role":"subAccount"}`, Schema},
		"data null":           {200, `{"role":"subAccount","data":null}`, Schema},
		"data twice":          {200, `{"role":"subAccount","data":{"master":"` + subAddress + `"},"data":{"master":"` + subAddress + `"}}`, Schema},
		"no master":           {200, sub(""), Schema},
		"master null":         {200, sub(`"master":null`), Schema},
		"master short":        {200, sub(`"master":"0x1"`), Schema},
		"master twice":        {200, sub(`"master":"` + subAddress + `","master":"` + subAddress + `"`), Schema},
		"its own master":      {200, sub(`"master":"` + account + `"`), Schema},
		"a user, no master":   {200, sub(`"user":"` + subAddress + `"`), Schema},
		"sixty-five kilobyte": {200, `{"role":"user"}` + strings.Repeat(" ", 65<<10), TooLarge},
	} {
		got, err := newClient(t, answer(tt.status, tt.body)).UserRole(t.Context(), strings.ToUpper(account))
		if failed := wantFailure(t, err, tt.want); failed.Endpoint != "user_role" || failed.Status != tt.status || got != (Role{}) {
			t.Errorf("%s: %v and %+v", name, failed, got)
		}
	}
}
