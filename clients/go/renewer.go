package sessiongateway

import (
	"slices"
	"sync"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// sink hears of a session's renewals. It must not block, and hears nothing more after a loss.
type sink struct{ hear func(KeepaliveEvent) }

// renewal is a session that is being renewed.
type renewal struct {
	sinks []*sink
	// due is when to ask about the session next, early when it may go along with one that is due; zero: at once.
	due, early time.Time
	// asked is since when an answer is awaited; zero if none is.
	asked time.Time
	// refused is how often in a row the gateway could not use its records.
	refused int
}

// renewer keeps all sessions of a client alive over one stream, opened again whenever it breaks. Nothing runs while
// there is no session.
type renewer struct {
	transport *transport
	changed   chan struct{} // wakes the writer; holds one

	mu       sync.Mutex
	running  bool
	renewals map[string]*renewal
	spread   float64   // the jitter of the sessions that were asked about last
	alarm    time.Time // when the writer looks again by itself
	answered bool      // whether anything has come back on the present stream
}

func newRenewer(t *transport) *renewer {
	return &renewer{transport: t, changed: make(chan struct{}, 1), renewals: make(map[string]*renewal)}
}

// add renews a session from now on, at once for the first time.
func (r *renewer) add(id string, s *sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := r.renewals[id]
	if held == nil {
		held = new(renewal)
		r.renewals[id] = held
	}
	held.sinks = append(held.sinks, s)
	if held.refused == 0 {
		// Asked about again if another sink has it already: this one wants to hear, too.
		held.due, held.early = time.Time{}, time.Time{}
	}
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
	}
}

func (r *renewer) forget(id string) {
	delete(r.renewals, id)
	if len(r.renewals) == 0 {
		r.wake()
	}
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

// take tells a session's sinks of an answer.
func (r *renewer) take(response *pb.StreamKeepaliveResponse) {
	id := response.GetSessionId()
	event := KeepaliveEvent{SessionID: id}
	r.mu.Lock()
	r.answered = true
	var sinks []*sink
	if held := r.renewals[id]; held != nil && r.note(held, response, &event) {
		sinks = slices.Clone(held.sinks)
	}
	r.mu.Unlock()
	for _, each := range sinks {
		each.hear(event)
	}
}

// note fills in what an answer says, and whether it is news for the sinks. The lock is held.
func (r *renewer) note(held *renewal, response *pb.StreamKeepaliveResponse, event *KeepaliveEvent) bool {
	if failure := response.GetError(); failure != nil {
		lost := fromDetail(failure)
		if lost.Code == ErrStoreUnavailable {
			r.later(held, lost.RetryAfter)
			return false
		}
		event.Err = lost
		r.forget(event.SessionID)
		return true
	}
	held.refused = 0
	event.Session = sessionOf(response.GetSession())
	interval := r.transport.pacing.replyTimeout
	if event.Session != nil && event.Session.SessionTimeout > 0 {
		interval = time.Duration(r.spread * float64(event.Session.SessionTimeout) / 3)
	}
	r.again(held, interval, interval/10)
	// Without a session it is an outcome that only a newer gateway knows.
	return event.Session != nil
}

// later asks again about a session that is not lost but could not be renewed, and not before the gateway wants it.
func (r *renewer) later(held *renewal, after time.Duration) {
	if pacing := r.transport.pacing; after <= 0 {
		after = pacing.reconnect.delay(held.refused, pacing.random())
	}
	held.refused++
	held.asked = time.Now()
	r.again(held, after, 0)
}

// again sets when to ask next, counted from when it was asked: what goes along together stays together.
func (r *renewer) again(held *renewal, wait, near time.Duration) {
	if held.asked.IsZero() {
		// The gateway told it unasked.
		held.asked = time.Now()
	}
	held.due = held.asked.Add(wait)
	held.early, held.asked = held.due.Add(-near), time.Time{}
	if held.due.Before(r.alarm) {
		r.wake()
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
