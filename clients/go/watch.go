package sessiongateway

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// WatchOptions says what to watch. The zero value means all sessions, from now on.
type WatchOptions struct {
	// ResumeToken is that of the last event that was read, here or in another process: what has happened since comes
	// first.
	ResumeToken string
	// App takes only sessions of this app, "name" or "name@version". A token is good for the same app only.
	App string
	// ShowWatching shows the events [EventWatching], too: at the beginning, after a reconnection and after quiet times.
	ShowWatching bool
}

// EventKind says what happened to a session. One that only a newer gateway knows is "unknown_NUMBER".
type EventKind string

// What can happen.
const (
	EventWatching   EventKind = "watching"
	EventCreated    EventKind = "created"
	EventEnded      EventKind = "ended"
	EventExpired    EventKind = "expired"
	EventWorkerLost EventKind = "worker_lost"
)

// WatchEvent is one thing that happened to a session.
type WatchEvent struct {
	Kind EventKind
	// Session is the session as it was right after it; nil for EventWatching.
	Session *SessionInfo
	// OccurredAt is when it happened, by the gateway's clock.
	OccurredAt time.Time
	// ResumeToken continues a watch behind this event.
	ResumeToken string
}

// Watch tells what happens to the caller's sessions. When the connection breaks or the gateway stops, it goes on behind
// the last event, as often as it takes: nothing is left out and nothing comes twice. One event is read ahead; whoever
// reads slowly falls behind at the gateway, which keeps events for as long as it keeps finished sessions.
type Watch struct {
	transport *transport
	app       string
	show      bool
	events    chan numbered
	standing  chan struct{} // closed once the first message has come
	ended     chan struct{} // closed when there will be no more
	cancel    context.CancelFunc
	err       error // why, when ended is closed

	mu    sync.Mutex
	token string
	seen  int // the number of the event that the token belongs to
}

// numbered is a message of the watch and how many came before it.
type numbered struct {
	event  WatchEvent
	number int
}

// Watch waits until the watch stands: what happens from then on is told, so that a list read after that leaves no gap.
// The context is for the opening only; whoever watches closes the watch.
//
// It returns ErrInvalidRequest for a token that is too old or not of this gateway, ErrUnavailable if the gateway cannot
// be reached, and ErrCancelled if the client is closed.
func (s *Sessions) Watch(ctx context.Context, what WatchOptions) (*Watch, error) {
	w := &Watch{
		transport: s.client.transport,
		app:       what.App,
		show:      what.ShowWatching,
		token:     what.ResumeToken,
		events:    make(chan numbered),
		standing:  make(chan struct{}),
		ended:     make(chan struct{}),
	}
	ctx, cancel := s.client.limit(ctx)
	defer cancel()
	var own context.Context
	own, w.cancel = context.WithCancel(w.transport.closed)
	go w.run(own)
	select {
	case <-w.standing:
		return w, nil
	case <-w.ended:
		w.cancel()
		return nil, w.err
	case <-ctx.Done():
		_ = w.Close()
		return nil, ofContext(ctx, "the watch did not stand in time", "")
	}
}

// Next waits for the next event. It returns io.EOF when the watch is closed, and ErrCancelled or ErrDeadlineExceeded
// when the context is over, after which it can be called again and no event is lost. Any other error is the gateway's
// and ends the watch; a new one goes on with [Watch.ResumeToken].
func (w *Watch) Next(ctx context.Context) (WatchEvent, error) {
	for {
		select {
		case next := <-w.events:
			w.advance(next)
			if next.event.Kind != EventWatching || w.show {
				return next.event, nil
			}
		case <-w.ended:
			return WatchEvent{}, w.err
		case <-ctx.Done():
			return WatchEvent{}, ofContext(ctx, "no event", "")
		}
	}
}

// All walks over the events, until the watch is closed. An error is the last step. Leaving the loop early closes the
// watch.
func (w *Watch) All(ctx context.Context) iter.Seq2[WatchEvent, error] {
	return func(yield func(WatchEvent, error) bool) {
		defer w.Close()
		for {
			event, err := w.Next(ctx)
			if err == io.EOF || !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// ResumeToken continues behind the last event that was read. It is good after a restart, of this program and of the
// gateway.
func (w *Watch) ResumeToken() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.token
}

// Close ends the watch; a step that waits ends. It may be called twice, and always returns nil.
func (w *Watch) Close() error {
	w.cancel()
	<-w.ended
	return nil
}

// advance moves the token to a message. Reader and goroutine may come to that in either order.
func (w *Watch) advance(to numbered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if to.number > w.seen {
		w.seen, w.token = to.number, to.event.ResumeToken
	}
}

// run hands over what comes, from as many streams as it takes.
func (w *Watch) run(ctx context.Context) {
	defer close(w.ended)
	pacing, count, stands := w.transport.pacing, 0, false
	for attempt := 0; ; attempt++ {
		err := w.read(ctx, func(event WatchEvent) bool {
			attempt = -1
			count++
			next := numbered{event, count}
			if event.Kind == EventWatching {
				// Before the watch stands, so that whoever waited for that has a token. Nothing is on its way to the
				// reader at this moment, and nothing that could be left out happens in this event.
				w.advance(next)
			}
			if !stands {
				stands = true
				close(w.standing)
			}
			return w.hand(ctx, next)
		})
		if ctx.Err() != nil {
			w.err = io.EOF
			if !stands {
				w.err = clientClosed("")
			}
			return
		}
		failure, isFinal := streamFailure(err)
		hopeful := stands || tookNothing(failure) && attempt+1 < pacing.sendAttempts
		if isFinal || !hopeful {
			w.err = failure
			return
		}
		pause(ctx, max(failure.RetryAfter, pacing.reconnect.delay(max(attempt, 0), pacing.random())))
	}
}

// hand gives an event to the reader, if it is shown; false when the watch is closed.
func (w *Watch) hand(ctx context.Context, next numbered) bool {
	if next.event.Kind == EventWatching && !w.show {
		return true
	}
	select {
	case w.events <- next:
		w.advance(next)
		return true
	case <-ctx.Done():
		return false
	}
}

// read opens a stream behind the token and takes its messages until it breaks or goes silent.
func (w *Watch) read(ctx context.Context, take func(WatchEvent) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(w.transport.pacing.watchTimeout, cancel)
	defer silence.Stop()
	if err := w.transport.prepare(ctx); err != nil {
		return err
	}
	call, err := w.transport.sessions.WatchSessions(ctx, &pb.WatchSessionsRequest{ResumeToken: w.ResumeToken(), App: w.app})
	if err != nil {
		return err
	}
	for {
		message, err := call.Recv()
		if !silence.Stop() {
			return errSilent
		} else if err == io.EOF {
			return errors.New("the gateway closed the stream")
		} else if err != nil {
			return err
		}
		if !take(eventOf(message)) {
			return nil
		}
		silence.Reset(w.transport.pacing.watchTimeout)
	}
}

func eventOf(message *pb.WatchSessionsResponse) WatchEvent {
	return WatchEvent{
		Kind:        EventKind(word(pb.SessionEvent_name, "SESSION_EVENT_", int32(message.GetEvent()))),
		Session:     sessionOf(message.GetSession()),
		OccurredAt:  moment(message.GetOccurredAt()),
		ResumeToken: message.GetResumeToken(),
	}
}
