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
	r.beginAnew()
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

// beginAnew has all sessions asked about at once: a new stream carries none yet.
func (r *renewer) beginAnew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = false
	for _, each := range r.renewals {
		each.due, each.early, each.asked = time.Time{}, time.Time{}, time.Time{}
	}
}

func (r *renewer) write(call keepaliveCall, cancel context.CancelFunc, broken <-chan error) error {
	for {
		ids := r.toAsk()
		if len(ids) > 0 {
			guard := r.guard(cancel)
			err := ask(call, ids)
			if !guard() {
				return errSilent
			} else if err != nil {
				// The status is the reader's to tell: a write only knows that the stream is over.
				return <-broken
			}
		}
		wait, err := r.rest()
		if err != nil || wait < 0 {
			return err
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

// toAsk returns the sessions that are due, and those that soon will be, and counts them as asked about. A session whose
// answer is still awaited is not among them.
func (r *renewer) toAsk() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	isDue := false
	var ids []string
	for id, each := range r.renewals {
		if each.asked.IsZero() && !each.early.After(now) {
			isDue = isDue || !each.due.After(now)
			ids = append(ids, id)
		}
	}
	if !isDue {
		return nil
	}
	for _, id := range ids {
		r.renewals[id].asked = now
	}
	r.spread = 1 - 0.2*r.transport.pacing.random()
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

// rest returns how long the writer has nothing to do: until a session is due, or until an answer is overdue. It is
// negative if nothing is left to renew.
func (r *renewer) rest() (time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.renewals) == 0 {
		return -1, nil
	}
	patience := r.transport.pacing.replyTimeout
	r.alarm = time.Now().Add(patience)
	for _, each := range r.renewals {
		moment := each.due
		if !each.asked.IsZero() {
			if time.Since(each.asked) >= patience {
				return 0, errSilent
			}
			moment = each.asked.Add(patience)
		}
		if moment.Before(r.alarm) {
			r.alarm = moment
		}
	}
	return max(0, time.Until(r.alarm)), nil
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
