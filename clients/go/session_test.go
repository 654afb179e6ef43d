package sessiongateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// single is a gateway's side of one session.
type single struct {
	*fakeGateway
	failures int // of its first calls
	mu       sync.Mutex
	requests []*pb.RunRequest
	ended    int
}

func newSingle(t *testing.T) *single {
	s := &single{fakeGateway: new(fakeGateway)}
	s.run = func(_ context.Context, request *pb.RunRequest) (*pb.RunResponse, error) {
		// Long enough for calls to be in each other's way.
		time.Sleep(time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, request)
		if s.failures--; s.failures >= 0 {
			detail := &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_APP_ERROR, SessionId: "sess_failed"}
			return nil, refusal(t, codes.Unknown, detail)
		}
		return &pb.RunResponse{SessionId: "sess_a", Session: s.session(pb.SessionStatus_SESSION_STATUS_ACTIVE)}, nil
	}
	s.end = func(context.Context, *pb.EndSessionRequest) (*pb.EndSessionResponse, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended++
		return &pb.EndSessionResponse{Session: s.session(pb.SessionStatus_SESSION_STATUS_ENDED)}, nil
	}
	s.runStream = func(_ *pb.RunRequest, to parts) error {
		err := errors.Join(to.Send(partial(0)), to.Send(partial(1)))
		return errors.Join(err, to.Send(lastPart(s.session(pb.SessionStatus_SESSION_STATUS_ACTIVE))))
	}
	return s
}

func (s *single) session(status pb.SessionStatus) *pb.Session {
	return &pb.Session{Id: "sess_a", App: "kv", Version: "7", Status: status, SessionTimeout: 60}
}

func (s *single) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var said []string
	for _, request := range s.requests {
		said = append(said, fmt.Sprint(request.GetApp(), " ", request.GetSession(), " ", request.GetSessionTimeout()))
	}
	return fmt.Sprint(said)
}

func TestTheFirstCallOpensTheSessionAndOthersWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv", WithSessionTimeout(5*time.Minute))
		if session.ID() != "" || session.Info() != nil {
			t.Error("there is a session before the first call")
		}
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if result, err := session.Call(t.Context(), "", nil); err != nil || result.SessionID != "sess_a" {
					t.Error(result, err)
				}
			})
		}
		calls.Wait()
		if said := gateway.said(); said != "[kv new 300 kv@7 sess_a 0 kv@7 sess_a 0]" {
			t.Error(said)
		}
		if info, err := session.End(t.Context()); err != nil || info.Status != StatusEnded || session.ID() != "sess_a" {
			t.Error(info, err)
		}
	})
}

func TestAFirstCallThatFailsLeavesTheNextOneFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		gateway.failures = 1
		session := gateway.client(t).Session("kv")
		if _, err := session.Call(t.Context(), "", nil); !errors.Is(err, ErrAppError) || session.ID() != "" {
			t.Error(err, session.ID())
		}
		if _, err := session.Call(t.Context(), "", nil); err != nil || gateway.said() != "[kv new 0 kv new 0]" {
			t.Error(err, gateway.said())
		}
	})
}

func TestWaitingForTheOpeningEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		var first sync.WaitGroup
		defer first.Wait()
		first.Go(func() { _, _ = session.Call(t.Context(), "", nil) })
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := session.Call(short, "", nil)
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != ErrDeadlineExceeded || failure.RunState != RunStateNotStarted {
			t.Errorf("%#v", err)
		}
	})
}

func TestAnEndedHandleMakesNoCallsAndEndsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		if _, err := session.Call(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if info, err := session.End(over); err != nil || info.Status != StatusEnded {
				t.Error("a context that is over kept it from ending:", info, err)
			}
		}
		if _, err := session.Call(t.Context(), "", nil); !errors.Is(err, ErrUsage) || gateway.ended != 1 {
			t.Error(err, gateway.ended)
		}
	})
}

func TestAHandleThatWasNeverCalledHasNothingToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		info, err := gateway.client(t).Session("kv").End(t.Context())
		if info != nil || err != nil || gateway.ended != 0 {
			t.Error(info, err, gateway.ended)
		}
	})
}

func TestASessionThatOpensAfterTheEndIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		done := make(chan error)
		go func() {
			_, err := session.Call(t.Context(), "", nil)
			done <- err
		}()
		synctest.Wait()
		if info, err := session.End(t.Context()); info != nil || err != nil {
			t.Error(info, err)
		}
		if err := <-done; err != nil || gateway.ended != 1 {
			t.Error(err, gateway.ended)
		}
	})
}

func TestAStreamOpensTheSessionWithItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		stream := session.Stream(t.Context(), "", nil)
		if _, err := stream.Next(); err != nil {
			t.Fatal(err)
		}
		// The reader itself would wait for ever.
		if _, err := session.Call(t.Context(), "", nil); !errors.Is(err, ErrUsage) {
			t.Error(err)
		}
		if _, err := stream.Result(); err != nil || session.ID() != "sess_a" {
			t.Error(err, session.ID())
		}
		if _, err := session.Call(t.Context(), "", nil); err != nil || gateway.said() != "[kv@7 sess_a 0]" {
			t.Error(err, gateway.said())
		}
	})
}

func TestEndingAHandleClosesTheStreamThatOpensIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session := newSingle(t).client(t).Session("kv")
		stream := session.Stream(t.Context(), "", nil)
		if _, err := stream.Next(); err != nil {
			t.Fatal(err)
		}
		if info, err := session.End(t.Context()); info != nil || err != nil {
			t.Error(info, err)
		}
		if _, err := stream.Next(); !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
	})
}

func TestKeepaliveRenewsTheSessionOfAHandleAndTellsOfItsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		r, _ := newRenewals(map[string]int32{"sess_a": 60})
		gateway.keepalive = r.serve
		session := gateway.client(t).Session("kv", WithKeepalive())
		if _, err := session.Call(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Second)
		// Every 16 s, and once at the beginning.
		if _, times := r.seen("sess_a"); times != 226 || session.LostReason() != nil {
			t.Error(times, session.LostReason())
		}
		r.become("sess_a", 0)
		<-session.Lost()
		if !errors.Is(session.LostReason(), ErrSessionExpired) {
			t.Error(session.LostReason())
		}
		calls := gateway.said()
		_, err := session.Call(t.Context(), "", nil)
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != ErrSessionExpired || failure.RunState != RunStateNotStarted || gateway.said() != calls {
			t.Errorf("%#v", err)
		}
	})
}

func TestEndingAHandleStopsItsRenewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		r, _ := newRenewals(map[string]int32{"sess_a": 60})
		gateway.keepalive = r.serve
		session := gateway.client(t).Session("kv", WithKeepalive())
		if _, err := session.Call(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := session.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, before := r.seen("sess_a")
		time.Sleep(time.Hour)
		if _, after := r.seen("sess_a"); after != before || before < 3 {
			t.Error(before, after)
		}
	})
}

func TestWhatArrivesAfterTheEndDoesNotBringASessionBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		result, err := session.Call(t.Context(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.End(t.Context()); err != nil {
			t.Fatal(err)
		}
		session.hear(KeepaliveEvent{SessionID: session.ID(), Session: &SessionInfo{Status: StatusActive}})
		session.hear(KeepaliveEvent{SessionID: session.ID(), Err: &Error{Code: ErrSessionEnded}})
		session.take(t.Context(), result)
		if session.Info().Status != StatusEnded || session.LostReason() != nil {
			t.Error(session.Info(), session.LostReason())
		}
	})
}

func TestAHandleIsClosedWithoutAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		if _, err := session.Call(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		gateway.end = func(ctx context.Context, _ *pb.EndSessionRequest) (*pb.EndSessionResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		begun := time.Now()
		var closer io.Closer = session
		if err := closer.Close(); !errors.Is(err, ErrDeadlineExceeded) || time.Since(begun) != 10*time.Second {
			t.Error(err, time.Since(begun))
		}
	})
}

func TestOptionsOfACallGoWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := newSingle(t)
		session := gateway.client(t).Session("kv")
		for range 2 {
			if _, err := session.Call(t.Context(), "f", map[string]int{"a": 1}, WithRequestID("r"), WithExpectedCallCount(1)); err != nil {
				t.Fatal(err)
			}
		}
		last := gateway.requests[1]
		if last.GetRequestId() != "r" || last.GetExpectedCallCount() != 1 || last.GetFunction() != "f" || string(last.GetInputJson()) != `{"a":1}` {
			t.Error(last)
		}
	})
}
