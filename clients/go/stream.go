package sessiongateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// RunStream is a run that answers in parts. Whoever leaves early closes it, or cancels its context; both cancel the
// function. Nothing is read ahead of the reader but what gRPC buffers, so a slow reader slows the function.
type RunStream struct {
	client *Client
	ctx    context.Context
	mu     sync.Mutex // held by a step: they take turns
	end    func()     // releases the stream once it was begun
	call   grpc.ServerStreamingClient[pb.RunStreamResponse]
	sent   *sending
	result *RunResult
	err    error

	// prepare makes the request when the first step is taken, and says what else to do with the result and at the end.
	prepare func(context.Context) (*opened, error)
	opened  *opened

	closed context.Context
	close  context.CancelFunc
}

// opened is a request that a stream may send now.
type opened struct {
	request *pb.RunRequest
	// take hears of the result before the reader does.
	take func(context.Context, *RunResult)
	// release is called once, at the end of the stream.
	release func()
}

// RunStream calls a function as [Client.Run] does, and returns a stream of its partial outputs with the result at the
// end. Nothing is sent before the first step, which also finds what cannot be sent. The context is that of the whole
// stream. A run that the gateway did not take is sent again before the first part only.
func (c *Client) RunStream(ctx context.Context, request RunRequest) *RunStream {
	return newRunStream(ctx, c, func(context.Context) (*opened, error) {
		message, err := request.message()
		return &opened{request: message}, err
	})
}

func newRunStream(ctx context.Context, c *Client, prepare func(context.Context) (*opened, error)) *RunStream {
	s := &RunStream{client: c, ctx: ctx, prepare: prepare, end: func() {}}
	// Of no parent, which would remember a stream that is dropped before its first step.
	s.closed, s.close = context.WithCancel(context.Background())
	return s
}

// Next returns the next partial output, the text of a JSON object, see [Unmarshal]; io.EOF when the result is there. Errors are those of
// [Client.Run], also after some outputs, and come again with every further step.
func (s *RunStream) Next() (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	part, err := s.step()
	if err != nil {
		s.err = err
		s.end()
	}
	return part, err
}

// All walks over the partial outputs that are left. An error is the last step. Leaving the loop early closes the
// stream. [RunStream.Result] has the answer afterwards.
func (s *RunStream) All() iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		defer s.Close()
		for {
			part, err := s.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(part, err) || err != nil {
				return
			}
		}
	}
}

// Result passes over the partial outputs that are left, and returns the answer, as [Client.Run] does.
func (s *RunStream) Result() (*RunResult, error) {
	for {
		if _, err := s.Next(); errors.Is(err, io.EOF) {
			return s.result, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// Close cancels the run unless it has ended; a step that waits meanwhile fails with ErrCancelled. It may be called
// twice, and always returns nil.
func (s *RunStream) Close() error {
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = s.cancelled()
	}
	s.end()
	return nil
}

func (s *RunStream) step() (json.RawMessage, error) {
	receive := s.receive
	if s.call == nil {
		receive = s.begin
	}
	part, err := receive()
	if err != nil {
		return nil, err
	}
	return s.read(part)
}

// read returns a partial output, or keeps the result and returns io.EOF.
func (s *RunStream) read(part *pb.RunStreamResponse) (json.RawMessage, error) {
	for {
		switch part.GetPart().(type) {
		case *pb.RunStreamResponse_Partial, *pb.RunStreamResponse_PartialJson:
			return partialOf(part)
		case *pb.RunStreamResponse_Result:
			return nil, s.finish(part.GetResult())
		}
		// Of a kind that only a newer gateway knows.
		var err error
		if part, err = s.receive(); err != nil {
			return nil, err
		}
	}
}

func (s *RunStream) finish(response *pb.RunResponse) error {
	result, err := resultOf(response)
	if err != nil {
		return err
	}
	timer := time.AfterFunc(s.client.transport.pacing.statusWait, s.close)
	defer timer.Stop()
	// Whatever the status is, the result is there.
	_, _ = s.call.Recv()
	if s.opened.take != nil {
		s.opened.take(s.ctx, result)
	}
	s.result = result
	return io.EOF
}

// begin sends the run and waits for its first part.
func (s *RunStream) begin() (*pb.RunStreamResponse, error) {
	if s.closed.Err() != nil {
		return nil, s.cancelled()
	}
	limited, cancelLimit := s.client.limit(s.ctx)
	ctx, cancel := s.client.transport.within(limited)
	stop := context.AfterFunc(s.closed, cancel)
	release := func() {}
	s.end = sync.OnceFunc(func() {
		s.close()
		stop()
		cancel()
		cancelLimit()
		release()
	})
	ready, err := s.prepare(ctx)
	if err != nil {
		return nil, err
	}
	s.opened = ready
	if ready.release != nil {
		release = ready.release
	}
	return resend(ctx, s.client.transport, func() (*pb.RunStreamResponse, error) {
		t := s.client.transport
		var inner context.Context
		inner, s.sent = withSending(ctx)
		if err := t.prepare(ctx); err != nil {
			return nil, s.failure(err)
		}
		call, err := t.sessions.RunStream(inner, ready.request)
		if err != nil {
			return nil, s.failure(err)
		}
		s.call = call
		return s.receive()
	})
}

func (s *RunStream) receive() (*pb.RunStreamResponse, error) {
	part, err := s.call.Recv()
	switch {
	case err == nil:
		return part, nil
	case errors.Is(err, io.EOF):
		return nil, &Error{Code: ErrInvalidResponse, Message: "the stream ended without a result", RunState: RunStateUnknown}
	default:
		return nil, s.failure(err)
	}
}

func (s *RunStream) failure(err error) error {
	t := s.client.transport
	e := t.failure(s.ctx, err, s.sent.state())
	if e.Detail == nil && s.closed.Err() != nil && t.closed.Err() == nil && s.ctx.Err() == nil {
		return s.cancelled()
	}
	return e
}

func (s *RunStream) cancelled() *Error {
	state := RunStateNotStarted
	if s.sent != nil {
		state = s.sent.state()
	}
	return &Error{Code: ErrCancelled, Message: "the stream was closed before its result", RunState: state}
}
