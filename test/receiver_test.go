package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// letter is what a receiver was told: Alertmanager's webhook body, as far as the
// tests look into it.
type letter struct {
	Status string
	Alerts []struct {
		Labels      map[string]string
		Annotations map[string]string
		StartsAt    time.Time
		EndsAt      time.Time
		Fingerprint string
	}
}

// identity is what a receiver tells one message from another by.
func (l letter) identity() string {
	return fmt.Sprint(l.Status, " ", l.Alerts[0].Fingerprint, " ", l.Alerts[0].StartsAt.UTC().Format(time.RFC3339Nano))
}

// name is the message in words.
func (l letter) name() string {
	return l.Alerts[0].Labels["asset"] + " " + l.Alerts[0].Labels["alertname"] + " " + l.Status
}

// mailbox is a receiver that counts: what it was told, by the key of the message.
type mailbox struct {
	testing.TB
	*httptest.Server
	mu      sync.Mutex
	letters []letter       // each once, in the order of their first coming
	keys    map[string]int // times that each came
	known   map[string]letter
	answer  func(n int) int // the status of the n-th request; nil: 200
	asked   int
	slow    time.Duration // how long it takes to answer
}

func newMailbox(t testing.TB) *mailbox {
	m := &mailbox{TB: t, keys: map[string]int{}, known: map[string]letter{}}
	m.Server = httptest.NewServer(http.HandlerFunc(m.take))
	t.Cleanup(m.Close)
	return m
}

func (m *mailbox) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender died while it spoke
	}
	var l letter
	if err := json.Unmarshal(body, &l); err != nil || len(l.Alerts) != 1 {
		m.Errorf("a body that is no webhook: %v %s", err, body)
		return
	}
	m.mu.Lock()
	defer time.Sleep(m.slow) // after the unlocking
	defer m.mu.Unlock()
	m.asked++
	if m.answer != nil {
		if code := m.answer(m.asked); code/100 != 2 {
			w.WriteHeader(code)
			return
		}
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		m.Errorf("a message without a key: %s", body)
	}
	if m.keys[key]++; m.keys[key] == 1 {
		m.letters, m.known[key] = append(m.letters, l), l
	} else if m.known[key].identity() != l.identity() {
		m.Errorf("a repeat with another identity: %s, was %s", l.identity(), m.known[key].identity())
	}
}

// got lists what came, each message once.
func (m *mailbox) got() []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]letter{}, m.letters...)
}

// names lists what came in words.
func (m *mailbox) names() (words []string) {
	for _, l := range m.got() {
		words = append(words, l.name())
	}
	return words
}

// repeats counts the messages that came more than once.
func (m *mailbox) repeats() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, times := range m.keys {
		if times > 1 {
			n++
		}
	}
	return n
}

// receiversFile names receivers, each as "name url".
func receiversFile(t testing.TB, receivers map[string]string) string {
	t.Helper()
	text := "receivers:\n"
	for name, url := range receivers {
		text += fmt.Sprintf("  - name: %s\n    url: %q\n", name, url)
	}
	path := filepath.Join(t.TempDir(), "receivers.yml")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
