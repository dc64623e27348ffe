package receiver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/docs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile("testdata/"+name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestTheWebhookBody(t *testing.T) {
	firing := exit()
	firing.ExternalURL = "https://whalegate.example.org/gate"
	golden(t, "firing.json", webhookBody(firing, "phone", "https://grafana.example.org/d/whalegate-trading"))
	golden(t, "resolved.json", webhookBody(cleared(exit()), "phone", ""))
	stale := Notification{Kind: Firing, Type: alerting.SystemStale, Asset: "SYSTEM", Severity: alerting.Critical, Message: alerting.DatabaseMessage(12 * time.Minute), StartsAt: noon, Now: noon}
	golden(t, "stale.json", webhookBody(stale, "phone", ""))
}

// Every message leads to the page of the service that sent it, whatever its kind and
// whoever receives it; without one to a page of the repository.
func TestEveryMessageLeadsToAPage(t *testing.T) {
	for _, tt := range []struct {
		n    Notification
		page string
	}{
		{exit(), "alerts"},
		{cleared(exit()), "alerts"},
		{Notification{Kind: Firing, Type: alerting.RegimeChange}, "alerts"},
		{Notification{Kind: Firing, Type: alerting.SystemStale}, "runbooks/1-ingestion"},
		{Notification{Kind: Test}, "alerts"},
	} {
		if _, err := docs.Files.Open(tt.page + ".md"); err != nil {
			t.Error(err)
		}
		for external, want := range map[string]string{"": docs.Repository + "docs/" + tt.page + ".md", "https://example.org/gate": "https://example.org/gate" + docs.Path(tt.page+".md")} {
			tt.n.ExternalURL = external
			if got := tt.n.Annotations()["runbook_url"]; string(got) != want {
				t.Errorf("%s %s leads to %s, want %s", tt.n.Kind, tt.n.Type, got, want)
			}
			if text := tt.n.Text(); !strings.HasSuffix(text, "\n"+want) {
				t.Errorf("%s %s says %q, want it to end with %s", tt.n.Kind, tt.n.Type, text, want)
			}
		}
	}
}

func TestWhatIdentifiesAMessageNeverChanges(t *testing.T) {
	p := listen(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	r, err := connect(Route{Name: "one"}, "webhook+"+p.URL, "", "a secret of ours")
	if err != nil {
		t.Fatal(err)
	}
	n := exit()
	for range 3 {
		r.Send(t.Context(), n)
		n.Now = n.Now.Add(time.Hour)
	}
	var keys, prints, starts, texts []string
	for _, q := range p.got() {
		var b body
		if err := json.Unmarshal(q.body, &b); err != nil {
			t.Fatal(err)
		}
		keys, prints, starts = append(keys, q.header.Get("Idempotency-Key")), append(prints, b.Alerts[0].Fingerprint), append(starts, b.Alerts[0].StartsAt.String())
		texts = append(texts, string(b.Alerts[0].Annotations["description"]))
		mac := hmac.New(sha256.New, []byte("a secret of ours"))
		mac.Write(q.body)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); q.header.Get("X-Whalegate-Signature") != want {
			t.Errorf("signature %s, want %s", q.header.Get("X-Whalegate-Signature"), want)
		}
	}
	for _, list := range [][]string{keys, prints, starts} {
		if len(list) != 3 || list[0] == "" || list[0] != list[1] || list[1] != list[2] {
			t.Errorf("the identity changes: %v", list)
		}
	}
	if strings.Contains(texts[0], "late") || !strings.Contains(texts[2], "Delivered 120 minutes late: look at the board before you act.") {
		t.Errorf("what comes late does not say so: %v", texts)
	}
}

func TestAnUnsignedWebhookHasNoSignature(t *testing.T) {
	p := listen(t, func(http.ResponseWriter, *http.Request) {})
	makeReceiver(t, "webhook+"+p.URL).Send(t.Context(), exit())
	if q := p.got(); len(q) != 1 || q[0].header["X-Whalegate-Signature"] != nil {
		t.Errorf("%+v", q)
	}
}

// What Alertmanager is told of an end: none of what is active for a day, the real
// one of what has cleared, and a quarter of an hour for an event, however often it
// is reminded.
func TestTheEndThatAlertmanagerIsTold(t *testing.T) {
	event := exit()
	event.Type = alerting.RegimeChange
	reminder := event
	reminder.First, reminder.Now = noon.Add(5*time.Second), noon.Add(10*time.Minute)
	late := event
	late.Now = noon.Add(3 * time.Hour)
	backwards := cleared(exit())
	backwards.EndsAt = noon.Add(-time.Second)
	for name, tt := range map[string]struct {
		n    Notification
		want time.Time
	}{
		"active":                       {exit(), noon.Add(3*time.Second + 24*time.Hour)},
		"cleared":                      {cleared(exit()), noon.Add(30 * time.Minute)},
		"an event":                     {event, noon.Add(3*time.Second + 15*time.Minute)},
		"a reminder of an event":       {reminder, noon.Add(5*time.Second + 15*time.Minute)},
		"an event that comes late":     {late, noon.Add(3*time.Hour + 15*time.Minute)},
		"an end before the beginning":  {backwards, noon.Add(time.Millisecond)},
		"a test is over by itself too": {Notification{Kind: Test, StartsAt: noon, Now: noon}, noon.Add(15 * time.Minute)},
	} {
		if got := push(tt.n, "").EndsAt; !got.Equal(tt.want) {
			t.Errorf("%s ends %s, want %s", name, got, tt.want)
		}
	}
}

func TestOddCharactersArriveAsTheyAre(t *testing.T) {
	odd := "[BTC] \"quoted\" <b>&amp; \\ \u2028 \u0000\u0007 \t\n новая 鯨 🐋 %s {{ .x }} ` '"
	p := listen(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":"x"}`)) })
	n := exit()
	n.Message = odd
	for _, url := range []string{"webhook+" + p.URL, "alertmanager+" + p.URL, "ntfy://" + p.Listener.Addr().String() + "/topic?scheme=http", "generic://" + p.Listener.Addr().String() + "/?disabletls=yes"} {
		if r := makeReceiver(t, url).Send(t.Context(), n); r.Outcome != Delivered {
			t.Errorf("%s: %+v", url, r)
		}
	}
	q := p.got()
	if len(q) != 4 {
		t.Fatalf("%d requests", len(q))
	}
	var ours body
	var theirs []pushed
	if json.Unmarshal(q[0].body, &ours) != nil || string(ours.Alerts[0].Annotations["summary"]) != odd {
		t.Errorf("webhook: %q", q[0].body)
	}
	if json.Unmarshal(q[1].body, &theirs) != nil || string(theirs[0].Annotations["summary"]) != odd {
		t.Errorf("alertmanager: %q", q[1].body)
	}
	for _, q := range q[2:] {
		if !bytes.Contains(q.body, []byte(odd)) {
			t.Errorf("%s: %q", q.path, q.body)
		}
	}
}
