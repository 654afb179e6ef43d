package sessiongateway

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// transport is the connection to a gateway, and one request over it.
type transport struct {
	conn     *grpc.ClientConn
	sessions pb.SessionServiceClient
	apps     pb.AppServiceClient
	pacing   *pacing
	waking   waking

	// closed is over once the client is closed; what is in flight ends with it.
	closed context.Context
	close  context.CancelFunc
}

func newTransport(conn *grpc.ClientConn, pacing *pacing) *transport {
	t := &transport{
		conn:     conn,
		sessions: pb.NewSessionServiceClient(conn),
		apps:     pb.NewAppServiceClient(conn),
		pacing:   pacing,
	}
	t.closed, t.close = context.WithCancel(context.Background())
	return t
}

// within returns a context that is over when the client is closed, too.
func (t *transport) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if t.closed.Err() != nil {
		// At once, where what follows would be a moment later.
		cancel()
	}
	stop := context.AfterFunc(t.closed, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// prepare has a connection that could not be made tried again soon, instead of after its backoff. It returns the status
// of a context that is over, so that nothing is sent then, whatever gRPC does.
func (t *transport) prepare(ctx context.Context) error {
	for range t.pacing.wakeAttempts {
		if ctx.Err() != nil || t.conn.GetState() != connectivity.TransientFailure {
			break
		}
		if t.waking.turn(t.pacing) {
			t.conn.ResetConnectBackoff()
		}
		t.awaitChange(ctx)
	}
	return status.FromContextError(ctx.Err()).Err()
}

// waking spaces out what many requests would have done at once: while the gateway is away, each asks for an attempt to
// connect, and all of them wait for the same one.
type waking struct {
	mu   sync.Mutex
	next time.Time
}

// turn tells whether it is time for another attempt, and takes it.
func (w *waking) turn(pacing *pacing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Before(w.next) {
		return false
	}
	w.next = now.Add(pacing.wakeGap.delay(0, pacing.random()))
	return true
}

// awaitChange waits a moment for a connection that has failed to become something else.
func (t *transport) awaitChange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, t.pacing.wakeWait)
	defer cancel()
	t.conn.WaitForStateChange(ctx, connectivity.TransientFailure)
}

// send makes a request that is safe to repeat.
func send[Request, Response any](
	ctx context.Context,
	t *transport,
	method func(context.Context, *Request, ...grpc.CallOption) (*Response, error),
	request *Request,
) (*Response, error) {
	inner, cancel := t.within(ctx)
	defer cancel()
	if err := t.prepare(inner); err != nil {
		return nil, t.failure(ctx, err, "")
	}
	response, err := method(inner, request)
	if err != nil {
		return nil, t.failure(ctx, err, "")
	}
	return response, nil
}

// run sends a run, once.
func (t *transport) run(ctx context.Context, request *pb.RunRequest) (*RunResult, error) {
	inner, cancel := t.within(ctx)
	defer cancel()
	if err := t.prepare(inner); err != nil {
		return nil, t.failure(ctx, err, RunStateNotStarted)
	}
	inner, sending := withSending(inner)
	response, err := t.sessions.Run(inner, request)
	if err != nil {
		return nil, t.failure(ctx, err, sending.state())
	}
	return resultOf(response)
}

// failure returns what the error of an RPC means. The context is the caller's own: whoever cancelled it knows.
func (t *transport) failure(ctx context.Context, err error, bare RunState) *Error {
	st := statusOf(err)
	e := fromStatus(st, bare)
	if detailsOf(st).fromGateway() {
		return e
	}
	switch cut := st.Code() == codes.Canceled || st.Code() == codes.Unavailable; {
	case cut && t.closed.Err() != nil:
		return clientClosed(bare)
	case st.Code() == codes.Canceled && ctx.Err() == nil:
		// Nobody here cancelled it: a server that is stopped answers so what it had not yet looked at.
		return &Error{Code: ErrUnavailable, Message: "the server went away without an answer", RunState: bare}
	}
	if e.Code == ErrCancelled || e.Code == ErrDeadlineExceeded {
		// Nil if it was found elsewhere, as a deadline is that the server finds first.
		e.cause = context.Cause(ctx)
	}
	return e
}

// statusOf returns the status inside of what gRPC says about its attempts.
func statusOf(err error) *status.Status {
	var inner interface{ GRPCStatus() *status.Status }
	if errors.As(err, &inner) {
		return inner.GRPCStatus()
	}
	return status.Convert(err)
}

// sending tells whether any of a request has left for the network.
type sending struct{ begun atomic.Bool }

type sendingKey struct{}

func withSending(ctx context.Context) (context.Context, *sending) {
	s := new(sending)
	return context.WithValue(ctx, sendingKey{}, s), s
}

// state returns the run state of a run that failed without a word from the gateway.
func (s *sending) state() RunState {
	if s.begun.Load() {
		return RunStateUnknown
	}
	return RunStateNotStarted
}

// sendingWatcher notes when a request gets a connection and its headers are sent: until then it was surely not
// applied. It is exact where looking at the connection's state beforehand is not, since that may break in between.
type sendingWatcher struct{}

func (sendingWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (sendingWatcher) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, ok := event.(*stats.OutHeader); !ok {
		return
	}
	if s, ok := ctx.Value(sendingKey{}).(*sending); ok {
		s.begun.Store(true)
	}
}

func (sendingWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (sendingWatcher) HandleConn(context.Context, stats.ConnStats) {}
