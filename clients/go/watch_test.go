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

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

type watchServer = grpc.ServerStreamingServer[pb.WatchSessionsResponse]

// history is a gateway's side of a watch: event n has the token n, and after each of some the stream breaks.
type history struct {
	mu       sync.Mutex
	events   []pb.SessionEvent
	breaks   map[int]error
	requests []string
}

func (h *history) serve(request *pb.WatchSessionsRequest, stream watchServer) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, request.GetResumeToken())
	position := len(h.events)
	if request.GetResumeToken() != "" {
		_, _ = fmt.Sscan(request.GetResumeToken(), &position)
	} else if h.breaks != nil {
		position = 0
	}
	if err := stream.Send(happened(pb.SessionEvent_SESSION_EVENT_WATCHING, position)); err != nil {
		return err
	}
	for position < len(h.events) {
		if err := stream.Send(happened(h.events[position], position+1)); err != nil {
			return err
		}
		position++
		if broken, breaks := h.breaks[position]; breaks {
			delete(h.breaks, position)
			return broken
		}
	}
	h.mu.Unlock()
	<-stream.Context().Done()
	h.mu.Lock()
	return nil
}

// seen returns the tokens of the requests.
func (h *history) seen() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprint(h.requests)
}

func happened(event pb.SessionEvent, token int) *pb.WatchSessionsResponse {
	message := &pb.WatchSessionsResponse{Event: event, ResumeToken: fmt.Sprint(token)}
	if event != pb.SessionEvent_SESSION_EVENT_WATCHING {
		message.Session = &pb.Session{Id: fmt.Sprint("sess_", token)}
	}
	return message
}

func TestAWatchGoesOnBehindTheLastEventHoweverItBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		created := pb.SessionEvent_SESSION_EVENT_CREATED
		h := &history{
			events: []pb.SessionEvent{created, created, 99, created, pb.SessionEvent_SESSION_EVENT_WORKER_LOST},
			breaks: map[int]error{1: nil, 2: draining(t, time.Minute), 4: errors.New("internal")},
		}
		begun := time.Now()
		watch, err := (&fakeGateway{watch: h.serve}).client(t).Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for event, err := range watch.All(t.Context()) {
			told = append(told, fmt.Sprint(event.Session.ID, " ", event.Kind, " ", err))
			if watch.ResumeToken() != event.ResumeToken {
				t.Error("the token is not that of the event")
			}
			if len(told) == 5 {
				break
			}
		}
		want := "[sess_1 created <nil> sess_2 created <nil> sess_3 unknown_99 <nil> sess_4 created <nil> sess_5 worker_lost <nil>]"
		if fmt.Sprint(told) != want || h.seen() != "[ 1 2 4]" {
			t.Error(told, h.seen())
		}
		if waited := time.Since(begun); waited < time.Minute || waited > 2*time.Minute {
			t.Errorf("waited %v, and a gateway had asked for a minute", waited)
		}
	})
}

func TestWaitsBeforeAWatchIsOpenedAgainBeginAnewWithEachEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{events: make([]pb.SessionEvent, 20), breaks: make(map[int]error)}
		for n := range h.events {
			h.breaks[n+1] = nil
		}
		begun := time.Now()
		watch, err := (&fakeGateway{watch: h.serve}).client(t).Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		for range h.events {
			if _, err := watch.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(begun); waited != 1900*time.Millisecond {
			t.Error(waited)
		}
	})
}

func TestAWatchThatStandsHasATokenAtOnce(t *testing.T) {
	client := (&fakeGateway{watch: new(history).serve}).client(t)
	for range 500 {
		watch, err := client.Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if token := watch.ResumeToken(); token != "0" {
			t.Fatalf("the token is %q", token)
		}
		watch.Close()
	}
}

func TestAWatchThatGoesSilentIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{}
		watch, err := (&fakeGateway{watch: h.serve}).client(t).Sessions.Watch(t.Context(), WatchOptions{ShowWatching: true})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		begun := time.Now()
		for range 2 {
			if event, err := watch.Next(t.Context()); err != nil || event.Kind != EventWatching || event.Session != nil {
				t.Error(event, err)
			}
		}
		if waited := time.Since(begun).Truncate(time.Second); waited != 100*time.Second {
			t.Error(waited)
		}
	})
}

func TestAReaderThatDoesNothingIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &history{events: make([]pb.SessionEvent, 3), breaks: map[int]error{}}
		watch, err := (&fakeGateway{watch: h.serve}).client(t).Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		time.Sleep(time.Hour)
		if event, err := watch.Next(t.Context()); err != nil || event.ResumeToken != "1" || h.seen() != "[]" {
			t.Error(event, err, h.seen())
		}
	})
}

func TestAStepOfAWatchThatIsGivenUpLosesNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{watch: func(_ *pb.WatchSessionsRequest, stream watchServer) error {
			err := stream.Send(happened(pb.SessionEvent_SESSION_EVENT_WATCHING, 0))
			time.Sleep(10 * time.Second)
			err = errors.Join(err, stream.Send(happened(pb.SessionEvent_SESSION_EVENT_ENDED, 1)))
			<-stream.Context().Done()
			return err
		}}).client(t)
		watch, err := client.Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil || watch.ResumeToken() != "0" {
			t.Fatal(err, watch)
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := watch.Next(short); !errors.Is(err, ErrDeadlineExceeded) {
			t.Error(err)
		}
		if event, err := watch.Next(t.Context()); err != nil || event.Kind != EventEnded {
			t.Error(event, err)
		}
		time.AfterFunc(time.Second, func() { watch.Close() })
		if _, err := watch.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestAWatchThatNeverStandsIsAnError(t *testing.T) {
	refused := func(*pb.WatchSessionsRequest, watchServer) error {
		return refusal(t, codes.InvalidArgument, &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_INVALID_REQUEST})
	}
	silent := func(_ *pb.WatchSessionsRequest, stream watchServer) error {
		<-stream.Context().Done()
		return nil
	}
	cancelled := func(*pb.WatchSessionsRequest, watchServer) error { return status.Error(codes.Canceled, "") }
	attempts := 0
	drained := func(*pb.WatchSessionsRequest, watchServer) error {
		attempts++
		return draining(t, 0)
	}
	for name, each := range map[string]struct {
		watch func(*pb.WatchSessionsRequest, watchServer) error
		want  Code
	}{
		"refused": {refused, ErrInvalidRequest}, "silent": {silent, ErrDeadlineExceeded}, "draining": {drained, ErrGatewayDraining},
		"cancelled": {cancelled, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				watch, err := (&fakeGateway{watch: each.watch}).client(t).Sessions.Watch(ctx, WatchOptions{})
				if watch != nil || !errors.Is(err, each.want) {
					t.Error(watch, err)
				}
			})
		})
	}
	if attempts != 4 {
		t.Errorf("a gateway that shuts down was asked %d times", attempts)
	}
}

func TestAWatchThatIsRefusedLaterEndsWithThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		client := (&fakeGateway{watch: func(request *pb.WatchSessionsRequest, stream watchServer) error {
			if opened++; opened == 1 {
				return stream.Send(happened(pb.SessionEvent_SESSION_EVENT_WATCHING, 0))
			}
			return refusal(t, codes.InvalidArgument, &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_INVALID_REQUEST})
		}}).client(t)
		watch, err := client.Sessions.Watch(t.Context(), WatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		for range 2 {
			if _, err := watch.Next(t.Context()); !errors.Is(err, ErrInvalidRequest) {
				t.Error(err)
			}
		}
	})
}

func TestAClosedClientWatchesNothingAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{watch: new(history).serve}).client(t)
		client.Close()
		watch, err := client.Sessions.Watch(t.Context(), WatchOptions{})
		var failure *Error
		if watch != nil || !errors.As(err, &failure) || failure.Code != ErrCancelled {
			t.Errorf("%v, %#v", watch, err)
		}
	})
}
