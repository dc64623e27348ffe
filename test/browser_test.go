package test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a real browser with one page, which remembers everything that it
// was sent.
type browser struct {
	testing.TB
	ctx context.Context

	mu        sync.Mutex
	requested []string
	pending   map[network.RequestID]bool // asked and not answered
	finished  []network.RequestID
	addresses map[network.RequestID]string
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no chromium in PATH: install the package chromium")
}

// openBrowser starts a browser with a profile of its own, 1440 × 900.
func openBrowser(t testing.TB) *browser {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		missing(t, err)
	}
	dir, err := os.MkdirTemp("", "whalegate-chromium-")
	must(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("lang", "en"),
		chromedp.Flag("hide-scrollbars", false))
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if t.Failed() {
			if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
				_ = os.WriteFile(artifact(t, "failed-"+t.Name()+".png"), png, 0o644) // it is only there to be looked at
			}
		}
		_ = chromedp.Cancel(ctx) // waits for its end
		cancel()
		end()
		must(t, os.RemoveAll(dir))
	})
	b := &browser{TB: t, ctx: ctx, pending: map[network.RequestID]bool{}, addresses: map[network.RequestID]string{}}
	must(t, chromedp.Listen(ctx, b.observe))
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	must(t, err)
	b.do(chromedp.EmulateViewport(1440, 900))
	return b
}

func (b *browser) observe(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requested = append(b.requested, e.Request.URL)
		b.addresses[e.RequestID] = e.Request.URL
		b.pending[e.RequestID] = true
	case *network.EventLoadingFinished:
		b.finished = append(b.finished, e.RequestID)
		delete(b.pending, e.RequestID)
	case *network.EventLoadingFailed:
		delete(b.pending, e.RequestID)
	}
}

// do runs actions, for as long as anything here may take.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	must(b, chromedp.Do(ctx, actions...))
}

func (b *browser) eval(script string) string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[string](script))
	must(b, err)
	return result
}

// text is what the page shows.
func (b *browser) text() string {
	b.Helper()
	return b.eval("document.body.innerText")
}

// panel is what one panel shows, by its id.
func (b *browser) panel(id int) string {
	b.Helper()
	text := b.eval(fmt.Sprintf(`(document.querySelector('[data-panelid="%d"]') || {innerText: "NOT THERE"}).innerText`, id))
	return strings.Join(strings.Fields(text), " ")
}

// open loads an address and waits until every panel has had its answer. How
// long that takes is logged, and nothing depends on it.
func (b *browser) open(address string) {
	b.Helper()
	start := time.Now()
	b.mu.Lock()
	clear(b.pending) // of the page that is left
	b.mu.Unlock()
	b.do(chromedp.Navigate(address))
	b.settle()
	b.Logf("opened in %s", time.Since(start).Round(time.Millisecond))
}

// settle waits until the page has panels, nothing is being asked and what was
// answered has been drawn.
func (b *browser) settle() {
	b.Helper()
	await(b, "the board to settle", func() error {
		b.mu.Lock()
		n := len(b.pending)
		b.mu.Unlock()
		if n > 0 {
			return fmt.Errorf("%d requests without an answer", n)
		}
		before := b.drawn()
		if !strings.Contains(before, "panels") {
			return errors.New(before)
		}
		if after := b.drawn(); after != before {
			return errors.New("still drawing")
		}
		return nil
	})
}

// drawn is what the page looks like after the browser has nothing left to do.
func (b *browser) drawn() string {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => requestIdleCallback(() => {
		const panels = [...document.querySelectorAll('[data-panelid]')];
		if (panels.length === 0) return done('nothing on the page');
		if (document.querySelector('[aria-label="Panel loading bar"]')) return done('loading');
		done(panels.length + ' panels: ' + panels.map(p => p.innerText + p.querySelectorAll('canvas').length).join('|'));
	}))))`, func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	must(b, err)
	return text
}

// refresh presses the button that asks everything again.
func (b *browser) refresh() {
	b.Helper()
	start := time.Now()
	b.click(`[data-testid="data-testid RefreshPicker run button"]`)
	b.settle()
	b.Logf("refreshed in %s", time.Since(start).Round(time.Millisecond))
}

// click clicks on an element, without leaving the pointer there.
func (b *browser) click(selector string) {
	b.Helper()
	if found := b.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); if (e) e.click(); return e ? 'yes' : ''; })()`, selector)); found == "" {
		b.Fatalf("nothing on the page is %s", selector)
	}
}

// cut names the texts on the page that do not fit where they stand.
func (b *browser) cut() string {
	b.Helper()
	return b.eval(`[...document.querySelectorAll('[data-panelid] *')].filter(e => e.children.length === 0 && e.innerText && e.innerText.trim() !== '')
		.filter(e => { const box = e.closest('[data-panelid]').getBoundingClientRect(), own = e.getBoundingClientRect();
			return e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 || own.right > box.right + 1 || own.bottom > box.bottom + 1 || own.left < box.left - 1; })
		.map(e => e.closest('[data-panelid]').dataset.panelid + ': ' + e.innerText).join('\n')`)
}

// screenshot writes what the window shows to a file.
func (b *browser) screenshot(file string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	must(b, err)
	must(b, os.WriteFile(file, png, 0o644))
}

// received are the bodies of every answer since the last call, each with its
// address.
func (b *browser) received() (list []string) {
	b.Helper()
	b.mu.Lock()
	finished := b.finished
	b.finished = nil
	b.mu.Unlock()
	for _, id := range finished {
		result, err := chromedp.Call(b.ctx, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
		if err != nil {
			continue // the page has gone on and dropped it
		}
		b.mu.Lock()
		list = append(list, b.addresses[id]+"\n"+string(result.Body))
		b.mu.Unlock()
	}
	return list
}

// forget waits for whatever has been asked so far, by the page itself too, and
// drops the answers: what comes after is what counts.
func (b *browser) forget() {
	b.Helper()
	b.settle()
	b.received()
}

// checkOffline fails for every request that was meant to leave this machine.
func (b *browser) checkOffline() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, address := range b.requested {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "data" && u.Scheme != "blob" && u.Hostname() != "127.0.0.1" {
			b.Errorf("the page asked for %s", address)
		}
	}
}
