package receiver

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/whalegate/whalegate/alerting"
)

// entry is one receiver as the file has it: its settings with their lines.
type entry struct {
	line int
	set  map[string]*yaml.Node
}

// text is a setting and its line; "" and the line of the entry when it is not set.
func (e entry) text(setting string) (text string, line int) {
	if node := e.set[setting]; node != nil {
		return node.Value, node.Line
	}
	return "", e.line
}

// largest bounds the file: nobody writes a megabyte of receivers by hand.
const largest = 1 << 20

// Load reads the receivers file. The error names the line and what would be right.
// An empty path is no file: then the log is the receiver.
func Load(path string, l *slog.Logger) ([]Receiver, error) {
	if path == "" {
		return []Receiver{Log(l)}, nil
	}
	text, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("receivers file: %w", err)
	}
	list, err := parse(text, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("receivers file %s: %w", path, err)
	}
	return list, nil
}

func readLimited(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, largest+1))
	if err == nil && len(text) > largest {
		err = fmt.Errorf("%s: larger than %d bytes", path, largest)
	}
	return text, err
}

// at is what is wrong at a line of the file.
func at(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %s", line, fmt.Sprintf(format, args...))
}

// parse reads the text of a receivers file; files that it names are looked for in
// dir.
func parse(text []byte, dir string) ([]Receiver, error) {
	external, entries, err := outline(text)
	if err != nil {
		return nil, err
	}
	var list []Receiver
	seen := map[string]int{}
	for _, e := range entries {
		r, err := e.receiver(dir, external)
		if err != nil {
			return nil, err
		}
		_, line := e.text("name")
		if first, ok := seen[r.Name]; ok {
			return nil, at(line, "the name %q is taken by the receiver in line %d: each needs one of its own", r.Name, first)
		}
		seen[r.Name] = line
		list = append(list, r)
	}
	return list, nil
}

// outline reads what the file says, with the line of each entry.
func outline(text []byte) (external string, entries []entry, err error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return "", nil, at(badLine(text), "this is no YAML: check the indentation and the quotes there and above")
	}
	if len(root.Content) == 0 {
		return "", nil, at(1, "it is empty: a list of receivers is right, as in docs/alerts.md; for none leave out the file")
	}
	top := root.Content[0]
	for key, value := range pairs(top) {
		switch key.Value {
		case "external_url":
			u, err := url.Parse(value.Value)
			if value.Kind != yaml.ScalarNode || err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
				return "", nil, at(value.Line, "external_url: the address of the board is right, as https://grafana.example.org/d/whalegate-trading, without a password")
			}
			external = value.Value
		case "receivers":
			if value.Kind != yaml.SequenceNode {
				return "", nil, at(value.Line, "receivers: a list is right, each entry beginning with - name:")
			}
			for _, node := range value.Content {
				e, err := readEntry(node)
				if err != nil {
					return "", nil, err
				}
				entries = append(entries, e)
			}
		default:
			return "", nil, at(key.Line, "%s: receivers or external_url is right", quote(key.Value))
		}
	}
	if len(entries) == 0 {
		return "", nil, at(top.Line, "it names no receiver: a list under receivers: is right, as in docs/alerts.md; for none leave out the file")
	}
	return external, entries, nil
}

// badLine is the line from which on the text is no YAML: the one after the longest
// beginning that is. The parser's own error often names where a list began, and may
// quote the file, and so a secret.
func badLine(text []byte) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := min(len(lines), mostLines); n > 0; n-- {
		var root yaml.Node
		if yaml.Unmarshal(bytes.Join(lines[:n], nil), &root) == nil {
			return min(n+1, len(lines))
		}
	}
	return 1
}

// mostLines bounds the search for a bad line.
const mostLines = 500

// pairs yields the keys and values of a mapping; of anything else, nothing.
func pairs(node *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if node.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(node.Content); i += 2 {
			if !yield(node.Content[i], node.Content[i+1]) {
				return
			}
		}
	}
}

// settings are the keys of an entry.
var settings = []string{"name", "url", "url_file", "min_severity", "send_resolved", "hmac_secret_file"}

func readEntry(node *yaml.Node) (entry, error) {
	e := entry{node.Line, map[string]*yaml.Node{}}
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		return e, at(node.Line, "a receiver is a name and a url, with the settings %s", strings.Join(settings[2:], ", "))
	}
	for key, value := range pairs(node) {
		switch _, twice := e.set[key.Value]; {
		case !slices.Contains(settings, key.Value):
			return e, at(key.Line, "%s: one of %s is right", quote(key.Value), strings.Join(settings, ", "))
		case twice:
			return e, at(key.Line, "%s stands twice in one receiver", key.Value)
		case value.Kind != yaml.ScalarNode || value.Value == "":
			return e, at(value.Line, "%s: one value is right", key.Value)
		}
		e.set[key.Value] = value
	}
	return e, nil
}

// quote shows a word of the file that is no setting, and so hardly a secret; but
// a URL with a token may have slipped into a key.
func quote(word string) string {
	if len(word) > 20 || strings.ContainsAny(word, ":/@") {
		return "this key"
	}
	return fmt.Sprintf("%q", word)
}

// names are short words: they are a label of metrics and a column of rows.
var names = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// route checks what has no secret in it.
func (e entry) route() (Route, error) {
	r := Route{MinSeverity: alerting.Medium, SendResolved: true}
	name, line := e.text("name")
	switch {
	case name == "":
		return r, at(line, "a receiver without a name: name: and a short word is right")
	case !names.MatchString(name):
		return r, at(line, "name %s: 1 to 64 letters, digits and _ . - are right", quote(name))
	case name == LogName:
		return r, at(line, "the name %q is that of the log: another one is right", LogName)
	}
	r.Name = name
	if text, line := e.text("min_severity"); text != "" {
		r.MinSeverity = alerting.Severity(text)
		if !slices.Contains(severities, r.MinSeverity) {
			return r, at(line, "receiver %s: min_severity %s: medium, high or critical is right", name, quote(text))
		}
	}
	if text, line := e.text("send_resolved"); text != "" {
		if e.set["send_resolved"].Decode(&r.SendResolved) != nil {
			return r, at(line, "receiver %s: send_resolved %s: true or false is right", name, quote(text))
		}
	}
	return r, nil
}
