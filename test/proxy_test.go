package test

import (
	"net"
	"sync"
	"testing"
)

// wire is the network between a process and the database: it can be cut, or swallow
// everything without a word.
type wire struct {
	testing.TB
	listener net.Listener
	to       string

	mu    sync.Mutex
	deaf  chan struct{} // closed while bytes pass; open while they are swallowed
	conns map[net.Conn]struct{}
	down  bool
}

func newWire(t testing.TB, to string) *wire {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	passing := make(chan struct{})
	close(passing)
	w := &wire{TB: t, listener: listener, to: to, deaf: passing, conns: map[net.Conn]struct{}{}}
	go w.accept()
	t.Cleanup(func() { _ = listener.Close(); w.heal(); w.cut(true) })
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.connect(near)
	}
}

// connect begins on the far side once anything gets there at all.
func (w *wire) connect(near net.Conn) {
	w.mu.Lock()
	passing := w.deaf
	w.mu.Unlock()
	<-passing
	far, err := net.Dial("tcp", w.to)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || w.down {
		_ = near.Close()
		if far != nil {
			_ = far.Close()
		}
		return
	}
	w.conns[near], w.conns[far] = struct{}{}, struct{}{}
	go w.copy(near, far)
	go w.copy(far, near)
}

func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		passing := w.deaf
		w.mu.Unlock()
		<-passing // swallowed for as long as it lasts
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = from.Close()
			return
		}
	}
}

// cut closes every connection and refuses new ones, or stops doing so.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}

// swallow lets nothing through any more, and says nothing.
func (w *wire) swallow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.deaf:
		w.deaf = make(chan struct{})
	default:
	}
}

// heal lets everything through again.
func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.deaf:
	default:
		close(w.deaf)
	}
}
