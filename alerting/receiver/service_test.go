package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// services are URLs of services that can be pointed at a server of ours, with a
// token somewhere.
var services = map[string]string{
	"ntfy":    "ntfy://user:pass-TOKEN-word@%s/topic-TOKEN?scheme=http",
	"gotify":  "gotify://%s/AbcTOKEN12345.6?disabletls=yes",
	"generic": "generic://%s/hooks/TOKEN-in-path?disabletls=yes&@authorization=TOKEN-in-header",
}

func TestServices(t *testing.T) {
	for name, address := range services {
		for _, tt := range []struct {
			code int
			want Outcome
		}{{200, Delivered}, {429, Unknown}, {500, Unknown}, {403, Unknown}} {
			p := listen(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(tt.code)
				_, _ = fmt.Fprintf(w, `{"id": 1, "error": "no", "errorDescription": "you said %s %s"}`, r.URL, r.Header.Get("Authorization"))
			})
			got := makeReceiver(t, fmt.Sprintf(address, p.Listener.Addr())).Send(t.Context(), exit())
			if got.Outcome != tt.want || (got.Err == nil) != (tt.want == Delivered) {
				t.Errorf("%s %d: %+v, want %s", name, tt.code, got, tt.want)
			}
			if got.Err != nil && strings.Contains(got.Err.Error(), "TOKEN") {
				t.Errorf("%s %d tells the token: %v", name, tt.code, got.Err)
			}
			if q := p.got(); len(q) != 1 || !strings.Contains(string(q[0].body), "Exit Cluster elevated (28.3%)") || !strings.Contains(string(q[0].body), "Tighten stops") || !strings.Contains(string(q[0].body), "alerts.md") {
				t.Errorf("%s was asked %d times", name, len(q))
			}
		}
		got := makeReceiver(t, fmt.Sprintf(address, deaf(t))).Send(t.Context(), exit())
		if got.Outcome == Delivered || got.Outcome == Failed || strings.Contains(got.Err.Error(), "TOKEN") {
			t.Errorf("%s without a server: %+v", name, got)
		}
	}
}

func TestAServiceThatHangsIsLeftBehind(t *testing.T) {
	release := make(chan struct{})
	p := listen(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errGaveUp)
	defer cancel()
	if got := makeReceiver(t, fmt.Sprintf(services["generic"], p.Listener.Addr())).Send(ctx, exit()); got.Outcome != Unknown || !errors.Is(got.Err, errGaveUp) {
		t.Errorf("%+v", got)
	}
}

// A POST that is redirected would arrive as a GET without a body, and be called
// delivered.
func TestAServicesRedirectIsNoDelivery(t *testing.T) {
	before := http.DefaultTransport
	RefuseRedirects()
	defer func() { http.DefaultTransport = before }()
	for _, code := range []int{301, 302, 303, 307, 308} {
		p := listen(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				return
			}
			http.Redirect(w, r, "/elsewhere", code)
		})
		got := makeReceiver(t, fmt.Sprintf(services["generic"], p.Listener.Addr())).Send(t.Context(), exit())
		if got.Outcome == Delivered || !strings.Contains(got.Err.Error(), "redirect") || len(p.got()) != 1 {
			t.Errorf("%d: %+v, asked %d times", code, got, len(p.got()))
		}
	}
	asked := httptest.NewServer(http.RedirectHandler("/", http.StatusFound))
	defer asked.Close()
	client := &http.Client{Transport: http.DefaultTransport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(asked.URL)
	if err != nil {
		t.Fatalf("a GET is not let through: %v", err)
	}
	_ = response.Body.Close()
}

// Wherever in a URL a token stands and however an error repeats it, it is hidden.
func TestSecretsAreHidden(t *testing.T) {
	token := rapid.StringMatching(`[A-Za-z0-9_.~!$*()%+&=-]{8,24}`)
	rapid.Check(t, func(t *rapid.T) {
		secret := token.Draw(t, "token")
		form := rapid.SampledFrom([]string{
			"telegram://%s@telegram?chats=12", "slack://hook:%s@webhook", "discord://%s@123456", "pushover://shoutrrr:%s@user12/", "webhook+https://hooks.example.org/%s", "webhook+https://u:%s@h.example.org/",
			"webhook+https://h.example.org/?key=%s", "smtp://u:%s@mail.example.org:25/?from=a@b.example&to=c@d.example", "ntfy://ntfy.sh/%s", "alertmanager+http://u:%s@am.example.org",
		}).Draw(t, "form")
		address := fmt.Sprintf(form, url.QueryEscape(secret))
		for _, said := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), address, "Post \"" + address + "\": EOF", "https://api.example.org/bot" + url.PathEscape(secret) + "/send: 401", "wrong token " + secret + ".",
		} {
			text := secretsOf(address).hide(errors.New("sending: " + said)).Error()
			if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
				t.Fatalf("%q of %q shows %q", said, address, text)
			}
			if !strings.HasPrefix(text, "sending:") {
				t.Fatalf("nothing is left of it: %q", text)
			}
		}
	})
}

func TestForeignTextIsMadeFit(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"plain":                      "plain",
		"two\nlines\r\n and\ttabs":   "two lines and tabs",
		"\x1b[31mred\x1b[0m":         "[31mred [0m",
		"bad \xff\xfe bytes":         "bad \uFFFD bytes",
		"a\u202eb":                   "a b",
		strings.Repeat("🐋", 100):     strings.Repeat("🐋", 75) + "… (400 bytes)",
		strings.Repeat("x", longest): strings.Repeat("x", longest),
	} {
		if got := clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
