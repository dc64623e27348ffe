package receiver

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/alerting"
)

// folder holds files that a receivers file can name.
func folder(t testing.TB, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const right = `# who is told
external_url: https://grafana.example.org/d/whalegate-trading
receivers:
  - name: desk
    url: webhook+https://hooks.example.org/whalegate
    hmac_secret_file: key
  - name: am
    url: "alertmanager+http://127.0.0.1:9093/prefix/"
    min_severity: medium
  - name: phone.night-1
    url_file: phone.url
    min_severity: critical
    send_resolved: false
`

func TestAReceiversFile(t *testing.T) {
	dir := folder(t, map[string]string{"key": "of ours\n", "phone.url": " telegram://123456789:AAbbccddeeffgghhiijjkkllmmnnooppqqr@telegram?chats=42 \n", "receivers.yml": right})
	list, err := Load(filepath.Join(dir, "receivers.yml"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var routes []Route
	for _, r := range list {
		routes = append(routes, r.Route)
	}
	want := []Route{{"desk", alerting.Medium, true, false}, {"am", alerting.Medium, true, true}, {"phone.night-1", alerting.Critical, false, false}}
	if diff := cmp.Diff(want, routes); diff != "" {
		t.Error(diff)
	}
	w, ok := list[0].Sender.(*webhook)
	if !ok || w.url != "https://hooks.example.org/whalegate" || string(w.key) != "of ours" || w.external != "https://grafana.example.org/d/whalegate-trading" || w.receiver != "desk" {
		t.Errorf("%+v", list[0].Sender)
	}
	if am, ok := list[1].Sender.(*alertmanager); !ok || am.url != "http://127.0.0.1:9093/prefix/api/v2/alerts" {
		t.Errorf("%+v", list[1].Sender)
	}
	if s, ok := list[2].Sender.(*service); !ok || s.name != "telegram" {
		t.Errorf("%+v", list[2].Sender)
	}
}

func TestWithoutAFileTheLogIsTold(t *testing.T) {
	var out strings.Builder
	list, err := Load("", slog.New(slog.NewTextHandler(&out, nil)))
	if err != nil || len(list) != 1 || list[0].Name != LogName || !list[0].Wants(alerting.Medium) || !list[0].SendResolved {
		t.Fatalf("%+v, %v", list, err)
	}
	if r := list[0].Send(t.Context(), exit()); r.Outcome != Delivered || !strings.Contains(out.String(), "Exit Cluster elevated (28.3%)") {
		t.Errorf("%+v: %s", r, out.String())
	}
}

func TestWhoWantsWhat(t *testing.T) {
	for least, want := range map[alerting.Severity][3]bool{
		alerting.Medium: {true, true, true}, alerting.High: {false, true, true}, alerting.Critical: {false, false, true},
	} {
		r := Route{MinSeverity: least}
		if got := [3]bool{r.Wants(alerting.Medium), r.Wants(alerting.High), r.Wants(alerting.Critical)}; got != want {
			t.Errorf("%s: %v", least, got)
		}
	}
}

// secret stands where a token would in the wrong files below: no error may repeat
// it.
const secret = "Zu-GEHEIM-4711"

func TestWrongReceiversFiles(t *testing.T) {
	one := func(lines ...string) string { return "receivers:\n  - " + strings.Join(lines, "\n    ") + "\n" }
	for _, tt := range []struct{ name, file, want string }{
		{"empty", "", "line 1: it is empty"},
		{"only a comment", "# nothing\n", "line 1: it is empty"},
		{"no YAML", "receivers:\n  - name: a\n   url: [" + secret, "line 3: this is no YAML"},
		{"a tab", "receivers:\n\t- name: a\n", "line 2: this is no YAML"},
		{"a list at the top", "- name: a\n", "line 1: it names no receiver"},
		{"text", secret + "\n", "line 1: it names no receiver"},
		{"an empty list", "receivers: []\n", "line 1: it names no receiver"},
		{"no list", "receivers: " + secret + "\n", "line 1: receivers: a list is right"},
		{"another key", one("name: a", "url: webhook+http://a/") + "receiver: 1\n", `line 4: "receiver": receivers or external_url is right`},
		{"a bad external url", "external_url: grafana\n" + one("name: a"), "line 1: external_url: the address of the board is right"},
		{"an external url with a password", "external_url: https://u:" + secret + "@g/\n" + one("name: a"), "line 1: external_url"},
		{"text for a receiver", "receivers:\n  - " + secret + "\n", "line 2: a receiver is a name and a url"},
		{"no name", one("url: webhook+http://a/"), "line 2: a receiver without a name"},
		{"an empty name", one(`name: ""`), "line 2: name: one value is right"},
		{"a name of two words", one("name: my phone", "url: webhook+http://a/"), `line 2: name "my phone": 1 to 64 letters`},
		{"a URL as a name", one("name: https://" + secret), "line 2: name this key: 1 to 64 letters"},
		{"the name of the log", one("name: log", "url: webhook+http://a/"), `line 2: the name "log" is that of the log`},
		{"a name twice", one("name: a", "url: webhook+http://a/") + "  - name: a\n    url: webhook+http://b/\n", `line 4: the name "a" is taken by the receiver in line 2`},
		{"a key twice", one("name: a", "name: b"), "line 3: name stands twice"},
		{"a typing error", one("name: a", "urll: webhook+http://a/"), `line 3: "urll": one of name, url, url_file, min_severity, send_resolved, hmac_secret_file is right`},
		{"a token as a key", one("name: a", "https://hooks.example.org/"+secret+": x"), "line 3: this key: one of name"},
		{"no url", one("name: a"), "line 2: receiver a: neither url nor url_file"},
		{"both", one("name: a", "url: webhook+http://a/", "url_file: f"), "line 4: receiver a: both url and url_file"},
		{"a list as url", one("name: a", "url: ["+secret+"]"), "line 3: url: one value is right"},
		{"null", one("name: a", "url: "), "line 3: url: one value is right"},
		{"no such severity", one("name: a", "url: webhook+http://a/", "min_severity: hihg"), `line 4: receiver a: min_severity "hihg": medium, high or critical is right`},
		{"a severity of the wrong case", one("name: a", "url: webhook+http://a/", "min_severity: High"), "line 4: receiver a: min_severity"},
		{"not a boolean", one("name: a", "url: webhook+http://a/", "send_resolved: sometimes"), `line 4: receiver a: send_resolved "sometimes": true or false is right`},
		{"no scheme", one("name: a", "url: hooks.example.org/"+secret), "line 3: receiver a: url: "},
		{"plain https", one("name: a", "url: https://hooks.example.org/"+secret), "line 3: receiver a: url: https:// alone does not say"},
		{"an unknown scheme", one("name: a", "url: carrierpigeon://"+secret), "line 3: receiver a: url: "},
		{"a webhook over ftp", one("name: a", "url: webhook+ftp://h/"+secret), "line 3: receiver a: url: neither http nor https: webhook+https://host/path is right"},
		{"a webhook without host", one("name: a", "url: webhook+https:///"+secret), "line 3: receiver a: url: it names no host"},
		{"a webhook with a fragment", one("name: a", "url: webhook+https://h/#"+secret), "line 3: receiver a: url: it has a # in it"},
		{"a port that is none", one("name: a", "url: webhook+https://h:"+secret+"/"), "line 3: receiver a: url: it cannot be read"},
		{"an alertmanager without host", one("name: a", "url: alertmanager+http://"), "line 3: receiver a: url: it names no host: alertmanager+http://host:9093 is right"},
		{"a space in the url", one("name: a", `url: "webhook+https://h/a `+secret+`"`), "line 3: receiver a: url: it has a space"},
		{"half a telegram", one("name: a", "url: telegram://"+secret+"@telegram"), "line 3: receiver a: url: telegram: failed to initialize service"},
		{"half a pushover", one("name: a", "url: pushover://"), "line 3: receiver a: url: "},
		{"no such file", one("name: a", "url_file: nowhere"), "line 3: receiver a: url_file: open "},
		{"an empty file", one("name: a", "url_file: empty"), "line 3: receiver a: url_file: "},
		{"a file of two lines", one("name: a", "url_file: two"), "one line with the secret is right"},
		{"a folder", one("name: a", "url_file: ."), "line 3: receiver a: url_file: "},
		{"a wrong url in a file", one("name: a", "min_severity: high", "url_file: wrong"), "line 4: receiver a: url: "},
		{"a signature of no webhook", one("name: a", "url: ntfy://ntfy.sh/"+secret, "hmac_secret_file: key"), "line 3: receiver a: url: only a webhook is signed"},
		{"no such secret", one("name: a", "url: webhook+http://a/", "hmac_secret_file: nowhere"), "line 4: receiver a: hmac_secret_file: open "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folder(t, map[string]string{"empty": " \n", "two": secret + "\n" + secret + "\n", "wrong": "carrierpigeon://" + secret + "/x", "key": secret, "receivers.yml": tt.file})
			path := filepath.Join(dir, "receivers.yml")
			list, err := Load(path, nil)
			if err == nil {
				t.Fatalf("it is taken: %+v", list)
			}
			if text := err.Error(); !strings.HasPrefix(text, "receivers file "+path+": ") || !strings.Contains(text, tt.want) || strings.Contains(text, "\n") {
				t.Errorf("%s\nwant %s", text, tt.want)
			}
			if strings.Contains(err.Error(), "GEHEIM") {
				t.Errorf("it tells the secret: %v", err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "nowhere.yml"), nil); err == nil || !strings.Contains(err.Error(), "receivers file: open ") {
		t.Errorf("no file at all: %v", err)
	}
	dir := folder(t, map[string]string{"large": strings.Repeat("#", largest+1)})
	if _, err := Load(filepath.Join(dir, "large"), nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a megabyte: %v", err)
	}
}

// Whatever stands in the file, reading it ends well or with one line.
func FuzzReceiversFile(f *testing.F) {
	f.Add([]byte(right))
	f.Add([]byte("receivers:\n  - {name: a, url: &x webhook+http://a/}\n  - *x\n"))
	f.Add([]byte("receivers: !!binary aGk=\n"))
	dir := folder(f, map[string]string{"key": "k", "phone.url": "webhook+http://h/"})
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parse(text, dir)
		if err == nil && len(list) == 0 {
			t.Error("no receiver and no error")
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "line ")) {
			t.Errorf("%q", err)
		}
	})
}
