package sessiongateway

import (
	"context"
	"errors"
	"sync"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// Session is a handle of one session, made by [Client.Session].
//
// The first call opens the session; calls that arrive meanwhile wait for that. If the first call fails there is no
// session, and the next call is the first again. From then on every call goes to the session's own app and version,
// also when a newer one has been deployed. A session that has finished is never replaced: its calls fail.
type Session struct {
	client    *Client
	app       string
	timeout   *time.Duration
	keepalive bool
	sink      *sink
	turn      chan struct{} // full while a call tries to open the session
	lost      chan struct{}

	mu     sync.Mutex
	opener *RunStream // the stream that has the turn, if it is one
	id     string
	info   *SessionInfo
	reason error // why it is lost
	closed bool
	ended  bool
}

// SessionOption sets something about a [Session].
type SessionOption func(*Session)

// WithSessionTimeout is how long the session may be idle: whole seconds, 1 to 3600. Left out: a minute.
func WithSessionTimeout(timeout time.Duration) SessionOption {
	return func(s *Session) { s.timeout = &timeout }
}

// WithKeepalive renews the session by itself for as long as the handle lives; see [Session.Lost].
func WithKeepalive() SessionOption {
	return func(s *Session) { s.keepalive = true }
}

// CallOption adds something to one call of a [Session].
type CallOption func(*RunRequest)

// WithRequestID gives the call an idempotency key.
func WithRequestID(id string) CallOption {
	return func(r *RunRequest) { r.RequestID = id }
}

// WithExpectedCallCount refuses the call unless the session has had exactly so many. Not for the call that opens it.
func WithExpectedCallCount(count int64) CallOption {
	return func(r *RunRequest) { r.ExpectedCallCount = &count }
}

// Session returns a handle of a new session of an app, "name" or "name@version". Nothing is sent before the first call.
// Whoever makes it ends it: defer session.Close().
func (c *Client) Session(app string, options ...SessionOption) *Session {
	s := &Session{client: c, app: app, turn: make(chan struct{}, 1), lost: make(chan struct{})}
	s.sink = &sink{s.hear}
	for _, option := range options {
		option(s)
	}
	return s
}

// ID returns the session's id; empty before the first call has succeeded.
func (s *Session) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id
}

// Info returns the session as it was in the newest answer; nil before the first.
func (s *Session) Info() *SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// Lost returns a channel that is closed when automatic keepalive finds that the session is gone. It stays open for a
// session that is ended by [Session.End].
func (s *Session) Lost() <-chan struct{} { return s.lost }

// LostReason returns why the session is gone, an [*Error], once [Session.Lost] is closed; nil before.
func (s *Session) LostReason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

// Call calls a function of the app, "" for its default one, with an input as in [RunRequest], and returns its answer.
//
// It returns what [Client.Run] does; ErrUsage if the handle is closed, or if a stream that has not come to its end is
// opening the session; and, with keepalive, the reason for which the session is known to be lost.
func (s *Session) Call(ctx context.Context, function string, input any, options ...CallOption) (*RunResult, error) {
	message, err := s.message(function, input, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.client.limit(ctx)
	defer cancel()
	leave, err := s.enter(ctx, message, nil)
	if err != nil {
		return nil, err
	}
	defer leave()
	result, err := s.client.run(ctx, message)
	if err == nil {
		s.take(ctx, result)
	}
	return result, err
}

// Stream calls a function as [Session.Call] does, and returns a stream of its partial outputs with the result at the
// end. Nothing is sent before the first step. It opens the session with its result; until then other calls fail.
func (s *Session) Stream(ctx context.Context, function string, input any, options ...CallOption) *RunStream {
	var stream *RunStream
	stream = newRunStream(ctx, s.client, func(ctx context.Context) (*opened, error) {
		message, err := s.message(function, input, options)
		if err != nil {
			return nil, err
		}
		leave, err := s.enter(ctx, message, stream)
		if err != nil {
			return nil, err
		}
		return &opened{request: message, take: s.take, release: leave}, nil
	})
	return stream
}

// End ends the session, if it was opened, closes the handle, and returns the session. It may be called twice. A context
// that is over does not keep it from ending the session: it then takes a few seconds at most.
//
// If it returns an error, the session expires by itself.
func (s *Session) End(ctx context.Context) (*SessionInfo, error) {
	s.mu.Lock()
	s.closed = true
	opener := s.opener
	s.mu.Unlock()
	if opener != nil {
		// A session whose id is not known yet ends only with the call that opens it.
		_ = opener.Close()
	}
	return s.end(ctx)
}

// Close ends the session as [Session.End] does, for defer; it takes a few seconds at most. It may be called twice.
func (s *Session) Close() error {
	_, err := s.End(context.Background())
	return err
}

func (s *Session) end(ctx context.Context) (*SessionInfo, error) {
	s.mu.Lock()
	id, info, ended := s.id, s.info, s.ended
	s.mu.Unlock()
	if id == "" || ended {
		return info, nil
	}
	s.client.renewer.discard(id, s.sink)
	_, limited := ctx.Deadline()
	if ctx.Err() != nil || !limited {
		var cancel context.CancelFunc
		if ctx.Err() != nil {
			ctx = context.WithoutCancel(ctx)
		}
		ctx, cancel = context.WithTimeout(ctx, s.client.transport.pacing.endTimeout)
		defer cancel()
	}
	last, err := s.client.Sessions.End(ctx, id)
	switch {
	case errors.Is(err, ErrSessionNotFound):
		last = info // Its record has been purged, so it was over long ago.
	case err != nil:
		return info, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.info, s.ended = last, true
	return last, nil
}

func (s *Session) message(function string, input any, options []CallOption) (*pb.RunRequest, error) {
	request := RunRequest{App: s.app, Function: function, Input: input, Session: NewSession, SessionTimeout: s.timeout}
	for _, option := range options {
		option(&request)
	}
	return request.message()
}

// enter makes a request the one that opens the session, while others wait, or else one in the session that is open.
// What it returns ends the turn.
func (s *Session) enter(ctx context.Context, request *pb.RunRequest, stream *RunStream) (func(), error) {
	isTurn := s.ID() == ""
	if isTurn {
		if s.openedByStream() {
			// Nobody can tell whether the caller is the reader of that stream, who would wait for ever.
			return nil, usage("the session is being opened by a stream: read it to its end, or close it, before the next call")
		}
		select {
		case s.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ofContext(ctx, "the session was not open in the time given", RunStateNotStarted)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.refusal()
	if isTurn && s.id == "" && err == nil {
		s.opener = stream
		return s.leave, nil
	}
	if isTurn {
		<-s.turn
	}
	if err != nil {
		return nil, err
	}
	request.Session, request.SessionTimeout = s.id, nil
	if s.info != nil {
		request.App = s.info.App + "@" + s.info.Version
	}
	return func() {}, nil
}

// leave lets the next call open the session, if this one has not.
func (s *Session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opener = nil
	<-s.turn
}

func (s *Session) openedByStream() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opener != nil
}

// refusal returns why the handle makes no calls any more. The lock is held.
func (s *Session) refusal() error {
	if s.closed {
		return usage("the session handle is closed")
	}
	var lost *Error
	if errors.As(s.reason, &lost) {
		refused := *lost
		refused.RunState = RunStateNotStarted
		return &refused
	}
	return nil
}

// take notes what a result tells of the session.
func (s *Session) take(ctx context.Context, result *RunResult) {
	s.mu.Lock()
	isNew := s.id == ""
	if isNew {
		s.id = result.SessionID
	}
	if result.Session != nil && !s.ended {
		s.info = result.Session
	}
	closed := s.closed
	if isNew && s.keepalive && !closed && s.id != "" {
		// With the lock held, so that an end comes either before this or behind it.
		s.client.renewer.add(s.id, s.sink)
	}
	s.mu.Unlock()
	if isNew && closed {
		// The handle was closed while this call ran, and could not end what it did not know. If this fails, the
		// session expires by itself.
		_, _ = s.end(ctx)
	}
}

func (s *Session) hear(event KeepaliveEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		// It was on its way while the handle was closed, and what the end has told is newer.
	case event.Err == nil:
		s.info = event.Session
	case s.reason == nil:
		s.reason = event.Err
		close(s.lost)
	}
}
