package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// lane is the part of a run that goes over one connection: some slots, and a link that is replaced when its stream ids
// run out.
type lane struct {
	run *run
	// mu guards all below and the slots. The goroutine that reads holds it except while it waits for bytes.
	mu    sync.Mutex
	slots []*slot
	// now is when the bytes that are being handled could be read, since the run was made.
	now time.Duration
	// link is nil while there is no connection.
	link *link
	// opening has slots that need a stream, sending those that may have something to send on theirs.
	opening, sending queue
	// dead says that there will be no connection any more.
	dead bool
	tally
}

// tally is what a lane counts. All but the errors begins anew with the measurement.
type tally struct {
	times          []time.Duration
	last           time.Duration
	messages       int64
	sent, received int64
	errors         failures
}

var (
	errSpent = errors.New("stream ids ran out")
	errGone  = errors.New("the server said goodbye")
)

// serve reads until the connection is lost, and replaces it when its stream ids have run out.
func (l *lane) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		err := l.readFrames()
		l.hangUp()
		if errors.Is(err, errSpent) {
			if err = l.connect(); err == nil {
				continue
			}
		}
		l.die(err)
		return
	}
}

// connect opens a connection. It returns an error, counted already, if that fails.
func (l *lane) connect() error {
	l.mu.Unlock()
	conn, err := dial(l.run.plan)
	l.mu.Lock()
	if err == nil {
		err = l.greet(conn)
	}
	if err != nil {
		l.errors.add("connect: "+err.Error(), 1)
		return fmt.Errorf("%w: %w", errGone, err)
	}
	if surplus := len(l.slots) - int(min(l.link.maxStreams, 1<<30)); l.run.plan.Kind == bidi && surplus > 0 {
		l.errors.add(fmt.Sprintf("max concurrent streams %d", l.link.maxStreams), surplus)
		l.slots = l.slots[:len(l.slots)-surplus]
	}
	go l.write(l.link)
	return nil
}

// unixPrefix marks a target that is a path.
const unixPrefix = "unix:"

func dial(plan *Plan) (net.Conn, error) {
	if path, ok := strings.CutPrefix(plan.Target, unixPrefix); ok {
		return net.DialTimeout("unix", path, plan.timeout())
	}
	return net.DialTimeout("tcp", plan.Target, plan.timeout())
}

// greet makes conn the lane's link once the server's settings are known. It closes conn if that fails.
func (l *lane) greet(conn net.Conn) error {
	l.link = newLink(conn, l, l.run.fields)
	_ = conn.SetDeadline(time.Now().Add(l.run.plan.timeout()))
	err := l.link.hello()
	if err == nil {
		var frame http2.Frame
		if frame, err = l.link.framer.ReadFrame(); err == nil {
			err = l.firstSettings(frame)
		}
	}
	if err == nil && l.run.aborted.Load() {
		err = errors.New("too late")
	}
	if err != nil {
		conn.Close()
		l.link = nil
		return err
	}
	return conn.SetDeadline(time.Time{})
}

func (l *lane) firstSettings(frame http2.Frame) error {
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return errors.New("the server did not begin with its settings")
	}
	return l.onSettings(settings)
}

// Read lets the writer write what has come of the bytes so far, and then waits for more. The framer calls it when its
// buffer is empty: once for all frames that have come together.
func (l *lane) Read(p []byte) (int, error) {
	link := l.link
	work := l.wake()
	l.mu.Unlock()
	if work {
		// The writer comes first: a server that waits for it has nothing to say.
		runtime.Gosched()
	}
	n, err := link.conn.Read(p)
	l.mu.Lock()
	l.now = l.run.clock()
	l.received += int64(n)
	return n, err
}

// wake lets the writer look for something to write, and says whether there may be something.
func (l *lane) wake() bool {
	if l.link == nil || len(l.link.out) == 0 && l.opening.len() == 0 && l.sending.len() == 0 {
		return false
	}
	select {
	case l.link.wake <- struct{}{}:
	default:
	}
	return true
}

// hangUp closes the connection and waits for its writer.
func (l *lane) hangUp() {
	link := l.link
	l.link = nil
	link.conn.Close()
	close(link.wake)
	l.mu.Unlock()
	<-link.written
	l.mu.Lock()
}

// die gives up the lane: what is unanswered will not be answered.
func (l *lane) die(err error) {
	l.dead = true
	name := "connection lost: " + err.Error()
	if l.run.aborted.Load() {
		name = "no answer"
	}
	lost := 0
	for _, s := range l.slots {
		lost += s.starts.count
		wrong := name
		if s.id == 0 {
			wrong = "not sent"
		}
		for s.starts.count > 0 {
			l.settle(s, wrong)
		}
		if s.ending && s.id != 0 {
			lost++
			l.errors.add(name, 1)
			l.run.settled(1, l.now)
		}
	}
	if lost == 0 && !l.run.closing.Load() && !errors.Is(err, errGone) {
		l.errors.add(name, 1)
	}
	if n := l.run.laneLost(); n > 0 {
		l.errors.add("not sent", n)
		l.run.settled(n, l.now)
	}
}
