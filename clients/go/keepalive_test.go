package sessiongateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestSessionsAreRenewedAtAThirdOfTheirTimeoutLessSomeJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 60, "b": 300})
		client := gateway.client(t)
		stream := client.Sessions.StreamKeepalive("a", "b")
		for range 14 {
			if event, err := stream.Next(t.Context()); err != nil || event.Session.ID != event.SessionID {
				t.Fatal(event, err)
			}
		}
		// A random number of 1 takes a fifth off.
		for id, want := range map[string]time.Duration{"a": 16 * time.Second, "b": 80 * time.Second} {
			for _, gap := range r.gaps(id) {
				if gap != want {
					t.Errorf("%s was renewed after %v", id, gap)
				}
			}
		}
		if streams, times := r.seen("a"); streams != 1 || times < 10 {
			t.Error(streams, times)
		}
	})
}

func TestALostSessionIsToldOnceAndEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 60})
		stream := gateway.client(t).Sessions.StreamKeepalive("a", "gone")
		told := map[string]bool{}
		for range 2 {
			event, err := stream.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told[event.SessionID] = errors.Is(event.Err, ErrSessionExpired)
		}
		if !maps.Equal(told, map[string]bool{"a": false, "gone": true}) {
			t.Error(told)
		}
		r.become("a", 0)
		if event, err := stream.Next(t.Context()); err != nil || !errors.Is(event.Err, ErrSessionExpired) {
			t.Error(event, err)
		}
		if _, err := stream.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
		if _, times := r.seen("gone"); times != 1 {
			t.Errorf("a lost session was asked about %d times", times)
		}
	})
}

func TestABrokenKeepaliveStreamIsOpenedAgain(t *testing.T) {
	breaks := map[string]func(*fakeGateway, keepaliveServer) error{
		"by its connection": func(gateway *fakeGateway, stream keepaliveServer) error {
			go func() {
				gateway.stop()
				time.Sleep(3 * time.Second)
				gateway.start()
			}()
			<-stream.Context().Done()
			return nil
		},
		"by an end without a word": func(*fakeGateway, keepaliveServer) error { return nil },
		"by an error":              func(*fakeGateway, keepaliveServer) error { return status.Error(codes.Internal, "") },
		"by a cancellation":        func(*fakeGateway, keepaliveServer) error { return status.Error(codes.Canceled, "") },
		"by silence": func(_ *fakeGateway, stream keepaliveServer) error {
			<-stream.Context().Done()
			return nil
		},
	}
	for name, breakOff := range breaks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, gateway := newRenewals(map[string]int32{"a": 60})
				gateway.keepalive = func(stream keepaliveServer) error {
					if r.opened() > 2 {
						return r.serve(stream)
					}
					return breakOff(gateway, stream)
				}
				begun := time.Now()
				stream := gateway.client(t).Sessions.StreamKeepalive("a")
				event, err := stream.Next(t.Context())
				if err != nil || event.Session == nil {
					t.Error(event, err)
				}
				if waited := time.Since(begun); waited > 25*time.Second {
					t.Errorf("renewed after %v only", waited)
				}
			})
		})
	}
}

func TestAStreamThatIsRefusedLosesAllSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{keepalive: func(keepaliveServer) error {
			return refusal(t, codes.Unauthenticated, &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_UNAUTHENTICATED})
		}}).client(t)
		for event, err := range client.Sessions.StreamKeepalive("a", "b").All(t.Context()) {
			if err != nil || !errors.Is(event.Err, ErrUnauthenticated) {
				t.Error(event, err)
			}
		}
	})
}

func TestAllRenewalsOfAClientShareOneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 60, "b": 60})
		client := gateway.client(t)
		one, two := client.Sessions.StreamKeepalive("a", "b"), client.Sessions.StreamKeepalive("b")
		for stream, count := range map[*KeepaliveStream]int{one: 6, two: 3} {
			for range count {
				if _, err := stream.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		one.Close()
		_, before := r.seen("a")
		for range 3 {
			if event, err := two.Next(t.Context()); err != nil || event.SessionID != "b" {
				t.Error(event, err)
			}
		}
		if streams, times := r.seen("a"); streams != 1 || times != before {
			t.Error(streams, times, before)
		}
	})
}

func TestWhoJoinsARenewalHearsOfItAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, gateway := newRenewals(map[string]int32{"a": 60})
		client := gateway.client(t)
		defer client.Sessions.StreamKeepalive("a").Close()
		time.Sleep(time.Second)
		begun := time.Now()
		event, err := client.Sessions.StreamKeepalive("a").Next(t.Context())
		if err != nil || event.Session == nil || time.Since(begun) != 0 {
			t.Error(event, err, time.Since(begun))
		}
	})
}

func TestASlowReaderSeesTheNewestRenewalAndEveryLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, gateway := newRenewals(map[string]int32{"a": 60})
		stream := gateway.client(t).Sessions.StreamKeepalive("a", "gone")
		time.Sleep(5 * time.Minute)
		r.become("a", 90)
		time.Sleep(time.Minute)
		var told []string
		for range 2 {
			event, err := stream.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, fmt.Sprint(event.SessionID, " ", event.Err != nil || event.Session.SessionTimeout == 90*time.Second))
		}
		slices.Sort(told)
		if fmt.Sprint(told) != "[a true gone true]" {
			t.Error(told)
		}
	})
}

func TestAStepOfKeepaliveEndsWithItsContextOrItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, gateway := newRenewals(map[string]int32{"a": 60})
		client := gateway.client(t)
		stream := client.Sessions.StreamKeepalive("a")
		if _, err := stream.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stream.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if event, err := stream.Next(t.Context()); err != nil || event.SessionID != "a" {
			t.Error(event, err)
		}
		time.AfterFunc(time.Second, func() { client.Close() })
		if _, err := stream.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
		stream.Close()
		stream.Close()
	})
}

func TestThousandsOfSessionsGoInSeveralMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timeouts := make(map[string]int32)
		for n := range 2500 {
			timeouts[fmt.Sprint("sess_", n)] = 60
		}
		r, gateway := newRenewals(timeouts)
		var largest atomic.Int64
		gateway.keepalive = func(stream keepaliveServer) error { return r.serve(&measured{stream, &largest}) }
		stream := gateway.client(t).Sessions.StreamKeepalive(slices.Collect(maps.Keys(timeouts))...)
		for range timeouts {
			if _, err := stream.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if longest := largest.Load(); longest == 0 || longest > 1000 {
			t.Error(longest)
		}
	})
}

// measured notes the length of the longest request.
type measured struct {
	keepaliveServer
	largest *atomic.Int64
}

func (m *measured) Recv() (*pb.StreamKeepaliveRequest, error) {
	request, err := m.keepaliveServer.Recv()
	m.largest.Store(max(m.largest.Load(), int64(len(request.GetSessionIds()))))
	return request, err
}

func TestNewsOfAnEmptyIDAreNewsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, gateway := newRenewals(map[string]int32{})
		stream := gateway.client(t).Sessions.StreamKeepalive("")
		if event, err := stream.Next(t.Context()); err != nil || !errors.Is(event.Err, ErrSessionExpired) {
			t.Error(event, err)
		}
		if _, err := stream.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestAClosedClientRenewsNothingAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, gateway := newRenewals(map[string]int32{"a": 60})
		client := gateway.client(t)
		client.Close()
		stream := client.Sessions.StreamKeepalive("a")
		if _, err := stream.Next(t.Context()); !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
		stream.Close()
	})
}
