package sessiongateway

import (
	"slices"
	"sync"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// sink hears of a session's renewals. It must not block, and hears nothing more after a loss.
type sink struct{ hear func(KeepaliveEvent) }

// renewal is a session that is being renewed. Its timeout is 0 before the first answer.
type renewal struct {
	timeout time.Duration
	sinks   []*sink
}

// renewer keeps all sessions of a client alive over one stream, opened again whenever it breaks. Nothing runs while
// there is no session.
type renewer struct {
	transport *transport
	changed   chan struct{} // wakes the writer; holds one

	mu       sync.Mutex
	running  bool
	renewals map[string]*renewal
	// Of the present stream: when each session was first asked about without an answer yet, which sessions it has
	// carried, and whether anything has come back.
	unanswered map[string]time.Time
	carried    map[string]struct{}
	answered   bool
}

func newRenewer(t *transport) *renewer {
	return &renewer{transport: t, changed: make(chan struct{}, 1), renewals: make(map[string]*renewal)}
}

// add renews a session from now on, at once for the first time. The timeout may be 0, for unknown.
func (r *renewer) add(id string, s *sink, timeout time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.renewals[id]
	if held == nil {
		held = &renewal{timeout: timeout}
		r.renewals[id] = held
	}
	held.sinks = append(held.sinks, s)
	// Asked about again if another sink has it already: this one wants to hear, too.
	delete(r.carried, id)
	if !r.running && r.transport.closed.Err() == nil {
		r.running = true
		go r.run()
	}
	r.wake()
}

// discard lets a sink hear no more of a session, which is renewed no longer if it was the last.
func (r *renewer) discard(id string, s *sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.renewals[id]
	if held == nil {
		return
	}
	held.sinks = slices.DeleteFunc(held.sinks, func(each *sink) bool { return each == s })
	if len(held.sinks) == 0 {
		r.forget(id)
		r.wake()
	}
}

func (r *renewer) forget(id string) {
	delete(r.renewals, id)
	delete(r.carried, id)
	delete(r.unanswered, id)
}

func (r *renewer) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *renewer) run() {
	pacing := r.transport.pacing
	for attempt := 0; ; {
		failure, isFinal := streamFailure(r.converse())
		if isFinal {
			r.loseAll(failure)
		}
		if !r.goOn() {
			return
		}
		attempt++
		if r.heard() {
			attempt = 0
		}
		pause(r.transport.closed, max(failure.RetryAfter, pacing.reconnect.delay(attempt, pacing.random())))
	}
}

func (r *renewer) heard() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered
}

// goOn tells whether there is something to renew; if not, the goroutine ends, and the next session starts another.
func (r *renewer) goOn() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = len(r.renewals) > 0 && r.transport.closed.Err() == nil
	return r.running
}

func (r *renewer) take(response *pb.StreamKeepaliveResponse) {
	id := response.GetSessionId()
	event := KeepaliveEvent{SessionID: id}
	r.mu.Lock()
	r.answered = true
	delete(r.unanswered, id)
	held := r.renewals[id]
	var sinks []*sink
	if held != nil {
		sinks = slices.Clone(held.sinks)
		switch {
		case response.GetError() != nil:
			event.Err = fromDetail(response.GetError())
			r.forget(id)
		case response.GetSession() != nil:
			event.Session = sessionOf(response.GetSession())
			held.timeout = event.Session.SessionTimeout
		default:
			// An outcome that only a newer gateway knows.
			sinks = nil
		}
	}
	if len(r.unanswered) == 0 {
		// The next thing to wait for is no longer an answer.
		r.wake()
	}
	r.mu.Unlock()
	for _, each := range sinks {
		each.hear(event)
	}
}

func (r *renewer) loseAll(failure *Error) {
	r.mu.Lock()
	lost := r.renewals
	r.renewals = make(map[string]*renewal)
	r.mu.Unlock()
	for id, each := range lost {
		for _, s := range each.sinks {
			s.hear(KeepaliveEvent{SessionID: id, Err: failure})
		}
	}
}
