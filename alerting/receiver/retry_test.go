package receiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// senders are the kinds of receivers that are ours, each at an address.
var senders = map[string]string{
	"webhook":      "webhook+http://%s/hooks/token-in-the-path",
	"alertmanager": "alertmanager+http://user:token-in-the-path@%s",
}

// statuses says what each answer means, to every sender.
var statuses = []struct {
	code  int
	after string // Retry-After
	want  Outcome
	wait  time.Duration
}{
	{200, "", Delivered, 0},
	{201, "", Delivered, 0},
	{202, "", Delivered, 0},
	{204, "", Delivered, 0},
	{301, "", Failed, 0},
	{302, "", Failed, 0},
	{303, "", Failed, 0},
	{307, "", Failed, 0},
	{308, "", Failed, 0},
	{400, "", Failed, 0},
	{401, "", Retry, 0},
	{403, "", Retry, 0},
	{404, "", Retry, 0},
	{405, "", Failed, 0},
	{408, "", Retry, 0},
	{410, "", Failed, 0},
	{413, "", Failed, 0},
	{415, "", Failed, 0},
	{422, "", Failed, 0},
	{425, "", Retry, 0},
	{429, "", Retry, 0},
	{429, "17", Retry, 17 * time.Second},
	{429, "999999", Retry, 10 * time.Minute},
	{429, "-5", Retry, 0},
	{429, "Wed, 21 Oct 2026 07:28:00 GMT", Retry, 0},
	{500, "", Retry, 0},
	{502, "", Retry, 0},
	{503, "30", Retry, 30 * time.Second},
	{504, "", Retry, 0},
	{599, "", Retry, 0},
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for name, address := range senders {
		for _, tt := range statuses {
			t.Run(fmt.Sprint(name, " ", tt.code, " ", tt.after), func(t *testing.T) {
				followed := false
				p := listen(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/elsewhere" {
						followed = true
						return
					}
					w.Header().Set("Location", "/elsewhere")
					if tt.after != "" {
						w.Header().Set("Retry-After", tt.after)
					}
					w.WriteHeader(tt.code)
				})
				got := makeReceiver(t, fmt.Sprintf(address, p.Listener.Addr())).Send(t.Context(), exit())
				if got.Outcome != tt.want || got.After != tt.wait || (got.Err == nil) != (tt.want == Delivered) {
					t.Errorf("%+v, want %s after %s", got, tt.want, tt.wait)
				}
				if followed || len(p.got()) != 1 {
					t.Errorf("asked %d times, redirect followed: %v", len(p.got()), followed)
				}
				if got.Err != nil && !strings.Contains(got.Err.Error(), fmt.Sprint(tt.code)) {
					t.Errorf("%v does not name the answer", got.Err)
				}
			})
		}
	}
}

// rude receivers answer with no answer at all.
var rude = map[string]struct {
	serve func(net.Conn)
	want  Outcome
}{
	"closes after reading":   {func(c net.Conn) { read(c) }, Unknown},
	"closes before reading":  {func(net.Conn) {}, Unknown},
	"garbage":                {func(c net.Conn) { read(c); _, _ = c.Write([]byte("\x00\xffSMTP ready\r\n\r\n")) }, Unknown},
	"half a header":          {func(c net.Conn) { read(c); _, _ = c.Write([]byte("HTTP/1.1 200 O")) }, Unknown},
	"hangs after reading":    {func(c net.Conn) { read(c); hang(c) }, Unknown},
	"hangs without reading":  {hang, Unknown},
	"trickles its header":    {func(c net.Conn) { read(c); _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nX: ")); hang(c) }, Unknown},
	"an endless body of 200": {func(c net.Conn) { read(c); _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\nx")); hang(c) }, Delivered},
	"an endless body of 500": {func(c net.Conn) { read(c); _, _ = c.Write([]byte("HTTP/1.1 500 Oh\r\n\r\nx")); hang(c) }, Retry},
}

// read takes the request's head; the rest may be with it.
func read(c net.Conn) { _, _ = c.Read(make([]byte, 64<<10)) }

// hang waits until the other side gives up.
func hang(c net.Conn) {
	for {
		if _, err := c.Read(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

var errGaveUp = errors.New("gave up")

func TestWhatNoAnswerMeans(t *testing.T) {
	for sender, address := range senders {
		for name, tt := range rude {
			t.Run(sender+" "+name, func(t *testing.T) {
				t.Parallel()
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer l.Close()
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						tt.serve(c)
						_ = c.Close()
					}
				}()
				ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errGaveUp)
				defer cancel()
				got := makeReceiver(t, fmt.Sprintf(address, l.Addr())).Send(ctx, exit())
				if got.Outcome != tt.want {
					t.Errorf("%+v, want %s", got, tt.want)
				}
				if got.Err != nil && strings.Contains(got.Err.Error(), "token-in-the-path") {
					t.Errorf("it tells the token: %v", got.Err)
				}
			})
		}
		t.Run(sender+" nobody listens", func(t *testing.T) {
			got := makeReceiver(t, fmt.Sprintf(address, deaf(t))).Send(t.Context(), exit())
			if got.Outcome != Retry || !strings.Contains(got.Err.Error(), "refused") || strings.Contains(got.Err.Error(), "token") {
				t.Errorf("%+v", got)
			}
		})
		t.Run(sender+" no such host", func(t *testing.T) {
			got := makeReceiver(t, fmt.Sprintf(address, "host.invalid")).Send(t.Context(), exit())
			if got.Outcome != Retry || strings.Contains(got.Err.Error(), "token") {
				t.Errorf("%+v", got)
			}
		})
	}
}
