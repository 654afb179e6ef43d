package sessiongateway

import (
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
)

// KeepaliveEvent is news of one session: it was renewed (Session is set) or it is lost (Err is set, to an [*Error]).
type KeepaliveEvent struct {
	SessionID string
	Session   *SessionInfo
	Err       error
}

// KeepaliveStream renews sessions until it is closed, and tells what happens to them. Who reads more slowly than the
// sessions are renewed sees only the newest renewal of each; a loss is never left out.
type KeepaliveStream struct {
	renewer *renewer
	sink    *sink
	news    chan struct{} // holds one
	closed  chan struct{}
	refused error // why nothing was ever renewed

	mu     sync.Mutex
	live   map[string]struct{}
	events []KeepaliveEvent // at most one for each session
	done   bool
}

// StreamKeepalive starts to renew sessions, each at once and then at a third of its timeout, less some jitter. All that
// this client renews share one stream to the gateway, which is opened again when it breaks.
func (s *Sessions) StreamKeepalive(ids ...string) *KeepaliveStream {
	k := &KeepaliveStream{
		renewer: s.client.renewer,
		news:    make(chan struct{}, 1),
		closed:  make(chan struct{}),
		live:    make(map[string]struct{}),
	}
	k.sink = &sink{k.put}
	if k.renewer.transport.closed.Err() != nil {
		k.refused = clientClosed("")
		return k
	}
	for _, id := range ids {
		k.live[id] = struct{}{}
	}
	// Of the map itself the first answers take out what is lost.
	for _, id := range slices.Collect(maps.Keys(k.live)) {
		k.renewer.add(id, k.sink)
	}
	return k
}

// Next waits for news of one of the sessions. It returns io.EOF when all are lost, or the stream or the client is
// closed, and ErrCancelled or ErrDeadlineExceeded when the context is over, after which it can be called again. If the
// client was closed before the stream was made, it returns ErrCancelled.
func (k *KeepaliveStream) Next(ctx context.Context) (KeepaliveEvent, error) {
	if k.refused != nil {
		return KeepaliveEvent{}, k.refused
	}
	for {
		if event, ok, err := k.pop(); err != nil || ok {
			return event, err
		}
		select {
		case <-k.news:
		case <-k.closed:
			return KeepaliveEvent{}, io.EOF
		case <-k.renewer.transport.closed.Done():
			return KeepaliveEvent{}, io.EOF
		case <-ctx.Done():
			return KeepaliveEvent{}, ofContext(ctx, "no news of the sessions", "")
		}
	}
}

// All walks over what happens to the sessions, until all are lost or the stream is closed. An error of the context is
// the last step. Leaving the loop early closes the stream.
func (k *KeepaliveStream) All(ctx context.Context) iter.Seq2[KeepaliveEvent, error] {
	return func(yield func(KeepaliveEvent, error) bool) {
		defer k.Close()
		for {
			event, err := k.Next(ctx)
			if err == io.EOF || !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Close stops renewing; a step that waits ends. It may be called twice, and always returns nil.
func (k *KeepaliveStream) Close() error {
	k.mu.Lock()
	live, done := k.live, k.done
	k.live, k.events, k.done = nil, nil, true
	k.mu.Unlock()
	if !done {
		close(k.closed)
	}
	for id := range live {
		k.renewer.discard(id, k.sink)
	}
	return nil
}

// pop returns the oldest news, if there is any yet, and io.EOF if there will be none.
func (k *KeepaliveStream) pop() (event KeepaliveEvent, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.events) == 0 {
		if len(k.live) == 0 {
			err = io.EOF
		}
		return event, false, err
	}
	event = k.events[0]
	k.events = k.events[1:]
	if len(k.events) > 0 || len(k.live) == 0 {
		k.signal() // another step may wait, too
	}
	return event, true, nil
}

func (k *KeepaliveStream) put(event KeepaliveEvent) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.done {
		return
	}
	// Taken out first, so that it goes to the end: no session's news can keep back those of another.
	k.events = slices.DeleteFunc(k.events, func(old KeepaliveEvent) bool { return old.SessionID == event.SessionID })
	k.events = append(k.events, event)
	if event.Err != nil {
		delete(k.live, event.SessionID)
	}
	k.signal()
}

func (k *KeepaliveStream) signal() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}
