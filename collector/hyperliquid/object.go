package hyperliquid

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Objects are walked member by member instead of being decoded into structs:
// encoding/json matches names in any case and lets the last of several
// members win, so that a body could show one szi and hide another.
//
// Every function here expects text that encoding/json found to be valid. On
// anything else it ends early, but never panics.

// members yields the members of an object in order, duplicates included, with
// names exactly as written and values untouched. Other values have none.
func members(object []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for entry, rest := range split(object, '{') {
			name, ok := text(entry)
			rest = bytes.TrimLeft(rest, blanks)
			if !ok || len(rest) == 0 || rest[0] != ':' {
				return
			}
			rest = bytes.TrimLeft(rest[1:], blanks)
			if !yield(name, rest[:valueEnd(rest)]) {
				return
			}
		}
	}
}

// elements yields the elements of an array. Other values have none.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for element := range split(array, '[') {
			if !yield(element) {
				return
			}
		}
	}
}

const blanks = " \t\r\n"

// split yields what stands behind the opening bracket and behind each comma of
// a container: its first value, and all that follows that value.
func split(container []byte, bracket byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(value, rest []byte) bool) {
		rest := bytes.TrimLeft(container, blanks)
		if !opens(rest, bracket) {
			return
		}
		for {
			rest = bytes.TrimLeft(rest[1:], blanks)
			end := valueEnd(rest)
			if end == 0 || !yield(rest[:end], rest[end:]) {
				return
			}
			rest = bytes.TrimLeft(rest[end:], blanks)
			if opens(rest, ':') {
				rest = bytes.TrimLeft(rest[1:], blanks)
				rest = bytes.TrimLeft(rest[valueEnd(rest):], blanks)
			}
			if !opens(rest, ',') {
				return
			}
		}
	}
}

// valueEnd is the length of the value that text starts with.
func valueEnd(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(text))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

func opens(value []byte, with byte) bool { return len(value) > 0 && value[0] == with }

// text reads a JSON string. Bytes that are not UTF-8 stay as they are; no
// value that is used may contain them.
func text(value []byte) (string, bool) {
	if !opens(value, '"') || len(value) < 2 {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	var unescaped string
	if json.Unmarshal(value, &unescaped) != nil {
		return "", false
	}
	return unescaped, true
}

// field is a member that may stand in an object once.
type field struct {
	value []byte
	seen  int
}

func (f *field) set(value []byte) { f.value, f.seen = value, f.seen+1 }

// once is the value, or nil when there was none or more than one.
func (f *field) once() []byte {
	if f.seen != 1 {
		return nil
	}
	return f.value
}

// single checks that body is one JSON value with nothing behind it. Nesting
// too deep for encoding/json is not valid to it.
func single(body []byte) ([]byte, error) {
	var value json.RawMessage
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, failure(Malformed, "read body: %w", err)
	}
	return bytes.TrimSpace(value), nil
}

func isNull(value []byte) bool { return string(value) == "null" }

// object checks that body is one object with nothing behind it; what names it
// in errors.
func object(body []byte, what string) ([]byte, error) {
	value, err := single(body)
	switch {
	case err != nil:
		return nil, err
	case isNull(value):
		return nil, failure(Null, "%s is null", what)
	case !opens(value, '{'):
		return nil, failure(Schema, "%s is not an object", what)
	}
	return value, nil
}
