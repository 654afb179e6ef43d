package sessiongateway

import (
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// renewals is a gateway's side of keepalive: it renews sessions with their timeouts, and those without are expired.
type renewals struct {
	mu       sync.Mutex
	timeouts map[string]int32
	streams  int
	asked    map[string][]time.Time
	// unreachable is what to wait before asking again: the records cannot be used as long as it is set.
	unreachable time.Duration
}

func (r *renewals) serve(stream keepaliveServer) error {
	r.opened()
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil
		}
		for _, id := range request.GetSessionIds() {
			if err := stream.Send(r.answer(id)); err != nil {
				return err
			}
		}
	}
}

func (r *renewals) answer(id string) *pb.StreamKeepaliveResponse {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[id] = append(r.asked[id], time.Now())
	answer := &pb.StreamKeepaliveResponse{SessionId: id}
	if r.unreachable > 0 {
		refused := &pb.ErrorDetail{
			Code: pb.ErrorCode_ERROR_CODE_STORE_UNAVAILABLE, SessionId: id, RetryAfter: durationpb.New(r.unreachable),
		}
		answer.Outcome = &pb.StreamKeepaliveResponse_Error{Error: refused}
	} else if timeout := r.timeouts[id]; timeout > 0 {
		session := &pb.Session{Id: id, SessionTimeout: timeout}
		answer.Outcome = &pb.StreamKeepaliveResponse_Session{Session: session}
	} else {
		lost := &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_SESSION_EXPIRED, SessionId: id}
		answer.Outcome = &pb.StreamKeepaliveResponse_Error{Error: lost}
	}
	return answer
}

func newRenewals(timeouts map[string]int32) (*renewals, *fakeGateway) {
	r := &renewals{timeouts: timeouts, asked: make(map[string][]time.Time)}
	return r, &fakeGateway{keepalive: r.serve}
}

// opened counts a stream and returns how many there were.
func (r *renewals) opened() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.streams++
	return r.streams
}

// become changes the timeout of a session; 0 ends it.
func (r *renewals) become(id string, timeout int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timeouts[id] = timeout
}

// reach lets the records be used again.
func (r *renewals) reach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unreachable = 0
}

// seen returns how many streams there were, and how often a session was renewed.
func (r *renewals) seen(id string) (streams, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams, len(r.asked[id])
}

// gaps returns the times between the renewals of a session.
func (r *renewals) gaps(id string) []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gaps []time.Duration
	for i, moment := range r.asked[id][1:] {
		gaps = append(gaps, moment.Sub(r.asked[id][i]))
	}
	return gaps
}
