package receiver

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// hidden stands where a secret was.
const hidden = "<hidden>"

// secrets are texts that appear in no error, log, metric or table.
type secrets []string

// shortest is the length from which on a part of a URL is held to be a secret:
// what is shorter would hide half of every text and is none.
const shortest = 4

// secretsOf is everything in a receiver's URL that could be a token. Where it
// stands differs from service to service: user, password, host, path or query. So
// all of it is, but for the names that say nothing.
func secretsOf(address string, more ...string) (list secrets) {
	scheme, _, _ := strings.Cut(address, ":")
	add := func(text string) {
		parts := append(strings.Split(text, "/"), text)
		parts = append(parts, strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/@:&?=+,;", r) })...)
		for _, part := range parts {
			if len(part) >= shortest && part != scheme { // a service's host is often its own name
				list = append(list, part, url.QueryEscape(part), url.PathEscape(part))
			}
		}
	}
	for _, text := range more {
		add(text)
	}
	if u, err := url.Parse(address); err == nil {
		if u.User != nil {
			add(u.User.Username())
			password, _ := u.User.Password()
			add(password)
		}
		if !strings.Contains(u.Scheme, "http") { // of a service the host may be a token as well
			add(u.Hostname())
		}
		add(u.Path)
		add(u.RawQuery)
		for _, values := range u.Query() {
			for _, v := range values {
				add(v)
			}
		}
	}
	list = append(list, address)
	// The longest first: a part must not break up the whole before it is found.
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(list)
}

// addresses finds URLs: services put tokens into addresses of their own making.
var addresses = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`)

// hide is err without secrets, in one line of bounded length. What was wrapped is
// gone: it may hold the secret.
func (s secrets) hide(err error) error {
	text := addresses.ReplaceAllString(err.Error(), "<URL>")
	for _, secret := range s {
		text = strings.ReplaceAll(text, secret, hidden)
	}
	return errors.New(clean(text))
}

// excerpt is the beginning of an answer for an error, or "".
func excerpt(text string) string {
	if text = clean(text); text == "" {
		return ""
	}
	return ": " + text
}

// longest is how much of foreign text is kept.
const longest = 300

// clean makes foreign text fit for a log, a row and a terminal: one line of
// printable characters.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "… (" + strconv.Itoa(len(text)) + " bytes)"
	}
	return text
}
