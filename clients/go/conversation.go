package sessiongateway

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// idsPerMessage is how many sessions a gateway takes at a time.
const idsPerMessage = 1000

// errSilent says that the gateway did not answer in time.
var errSilent = errors.New("no answer in time")

// keepaliveCall is one stream of renewals.
type keepaliveCall = grpc.BidiStreamingClient[pb.StreamKeepaliveRequest, pb.StreamKeepaliveResponse]

// converse uses one stream until there is nothing left to renew, or until it breaks.
func (r *renewer) converse() error {
	r.mu.Lock()
	r.unanswered, r.carried, r.answered = make(map[string]time.Time), make(map[string]struct{}), false
	r.mu.Unlock()
	ctx, cancel := context.WithCancel(r.transport.closed)
	defer cancel()
	guard := r.guard(cancel)
	call, err := r.open(ctx)
	if !guard() {
		return errSilent
	} else if err != nil {
		return err
	}
	broken := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		broken <- r.read(call)
	}()
	err = r.write(call, cancel, broken)
	cancel()
	// No event of this stream may come after those of the next.
	<-done
	return err
}

func (r *renewer) open(ctx context.Context) (keepaliveCall, error) {
	if err := r.transport.prepare(ctx); err != nil {
		return nil, err
	}
	return r.transport.sessions.StreamKeepalive(ctx)
}

// guard cancels unless the function that it returns is called in time, which tells whether it was.
func (r *renewer) guard(cancel context.CancelFunc) func() bool {
	return time.AfterFunc(r.transport.pacing.replyTimeout, cancel).Stop
}

func (r *renewer) write(call keepaliveCall, cancel context.CancelFunc, broken <-chan error) error {
	for {
		begun := time.Now()
		spread := 1 - 0.2*r.transport.pacing.random()
		for all := true; ; all = false {
			if ids := r.toAsk(all); len(ids) > 0 {
				guard := r.guard(cancel)
				err := ask(call, ids)
				if !guard() {
					return errSilent
				} else if err != nil {
					// The status is the reader's to tell: a write only knows that the stream is over.
					return <-broken
				}
			}
			due, err := r.due(begun, spread)
			if err != nil || due.IsZero() {
				return err
			}
			wait := time.Until(due)
			if wait <= 0 {
				break
			}
			timer := time.NewTimer(wait)
			select {
			case err := <-broken:
				timer.Stop()
				return err
			case <-r.changed:
				timer.Stop()
			case <-timer.C:
			}
		}
	}
}

// toAsk returns all sessions, or those that the stream has not carried yet, and counts them as asked about.
func (r *renewer) toAsk(all bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	now := time.Now()
	for id := range r.renewals {
		if _, carried := r.carried[id]; carried && !all {
			continue
		}
		ids = append(ids, id)
		r.carried[id] = struct{}{}
		if _, waiting := r.unanswered[id]; !waiting {
			r.unanswered[id] = now
		}
	}
	return ids
}

func ask(call keepaliveCall, ids []string) error {
	for batch := range slices.Chunk(ids, idsPerMessage) {
		if err := call.Send(&pb.StreamKeepaliveRequest{SessionIds: batch}); err != nil {
			return err
		}
	}
	return nil
}

// due returns when to renew next, or when to look for an answer that fails to come; zero if nothing is left to renew.
func (r *renewer) due(begun time.Time, spread float64) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.renewals) == 0 {
		return time.Time{}, nil
	}
	// Nothing is known only if a gateway answered without a session: try again after a while.
	patience := r.transport.pacing.replyTimeout
	var moments []time.Time
	for _, each := range r.renewals {
		if each.timeout > 0 {
			moments = append(moments, begun.Add(time.Duration(spread*float64(each.timeout)/3)))
		}
	}
	for _, asked := range r.unanswered {
		overdue := asked.Add(patience)
		if time.Until(overdue) <= 0 {
			return time.Time{}, errSilent
		}
		moments = append(moments, overdue)
	}
	if len(moments) == 0 {
		return begun.Add(patience), nil
	}
	return slices.MinFunc(moments, time.Time.Compare), nil
}

func (r *renewer) read(call keepaliveCall) error {
	for {
		response, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return errors.New("the gateway closed the stream")
		} else if err != nil {
			return err
		}
		r.take(response)
	}
}

// streamFailure returns why a stream broke, and whether it is of no use to open it again.
func streamFailure(err error) (failure *Error, isFinal bool) {
	if err == nil {
		return &Error{Code: ErrUnavailable}, false
	}
	st, ok := status.FromError(err)
	if !ok {
		return &Error{Code: ErrUnavailable, Message: err.Error()}, false
	}
	failure = fromStatus(st, "")
	if failure.Code == ErrCancelled {
		// Nobody here cancelled it: a server that is stopped answers so.
		failure = &Error{Code: ErrUnavailable, Message: "the server went away without an answer"}
	}
	return failure, final(st.Code())
}
