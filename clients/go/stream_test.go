package sessiongateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

type parts = grpc.ServerStreamingServer[pb.RunStreamResponse]

func partial(n int) *pb.RunStreamResponse {
	text := fmt.Appendf(nil, `{"n":%d}`, n)
	return &pb.RunStreamResponse{Part: &pb.RunStreamResponse_PartialJson{PartialJson: text}}
}

func lastPart(session *pb.Session) *pb.RunStreamResponse {
	response := &pb.RunResponse{
		SessionId: session.GetId(), Session: session,
		Result: &pb.RunResponse_OutputJson{OutputJson: []byte(`{"total":2}`)},
	}
	return &pb.RunStreamResponse{Part: &pb.RunStreamResponse_Result{Result: response}}
}

func TestAStreamGivesItsPartsAndThenTheResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
			// The one in the middle is of a kind that only a newer gateway knows.
			return errors.Join(to.Send(partial(0)), to.Send(&pb.RunStreamResponse{}), to.Send(partial(1)), to.Send(lastPart(nil)))
		}}).client(t)
		stream := client.RunStream(t.Context(), RunRequest{App: "kv"})
		var got []string
		for part, err := range stream.All() {
			got = append(got, fmt.Sprint(string(part), err))
		}
		result, err := stream.Result()
		if fmt.Sprint(got) != `[{"n":0}<nil> {"n":1}<nil>]` || err != nil || string(result.Output) != `{"total":2}` {
			t.Error(got, result, err)
		}
		if _, err := stream.Next(); err != io.EOF {
			t.Error(err)
		}
	})
}

func TestAStreamWithoutAResultHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error { return to.Send(partial(0)) }}).client(t)
		_, err := client.RunStream(t.Context(), RunRequest{App: "kv"}).Result()
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != ErrInvalidResponse || failure.RunState != RunStateUnknown {
			t.Errorf("%#v", err)
		}
	})
}

func TestAStreamThatIsCutIsAnErrorAndStaysOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := new(fakeGateway)
		gateway.runStream = func(_ *pb.RunRequest, to parts) error {
			err := to.Send(partial(0))
			<-to.Context().Done()
			return err
		}
		client := gateway.client(t)
		stream := client.RunStream(t.Context(), RunRequest{App: "kv"})
		if part, err := stream.Next(); err != nil || string(part) != `{"n":0}` {
			t.Fatal(part, err)
		}
		gateway.stop()
		for range 2 {
			var failure *Error
			if _, err := stream.Next(); !errors.As(err, &failure) || failure.Code != ErrUnavailable || failure.RunState != RunStateUnknown {
				t.Errorf("%#v", err)
			}
		}
	})
}

func TestAStreamIsSentAgainBeforeItsFirstPartOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
			if sent++; sent == 1 {
				return draining(t, 0)
			}
			return errors.Join(to.Send(partial(0)), draining(t, 0))
		}}).client(t)
		stream := client.RunStream(t.Context(), RunRequest{App: "kv"})
		if sent != 0 {
			t.Error("a stream is sent before its first step")
		}
		_, first := stream.Next()
		_, second := stream.Next()
		if first != nil || !errors.Is(second, ErrGatewayDraining) || sent != 2 {
			t.Error(first, second, sent)
		}
	})
}

func TestLeavingAStreamCancelsTheRun(t *testing.T) {
	leaving := map[string]func(*RunStream, context.CancelFunc){
		"by closing it": func(s *RunStream, _ context.CancelFunc) { s.Close() },
		"by its context": func(_ *RunStream, cancel context.CancelFunc) {
			cancel()
		},
		"by leaving the loop": func(s *RunStream, _ context.CancelFunc) {
			for range s.All() {
				break
			}
		},
		"while a step waits": func(s *RunStream, _ context.CancelFunc) {
			_, _ = s.Next()
			time.AfterFunc(time.Second, func() { s.Close() })
			if _, err := s.Next(); !errors.Is(err, ErrCancelled) {
				t.Error(err)
			}
		},
	}
	for name, leave := range leaving {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := make(chan struct{})
				client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
					err := errors.Join(to.Send(partial(0)), to.Send(partial(1)))
					<-to.Context().Done()
					close(left)
					return err
				}}).client(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream := client.RunStream(ctx, RunRequest{App: "kv"})
				if _, err := stream.Next(); err != nil {
					t.Fatal(err)
				}
				leave(stream, cancel)
				<-left
				if _, err := stream.Result(); !errors.Is(err, ErrCancelled) {
					t.Error(err)
				}
			})
		})
	}
}

func TestAStreamThatIsClosedUnreadWasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := new(fakeGateway).client(t)
		stream := client.RunStream(t.Context(), RunRequest{App: "kv"})
		stream.Close()
		var failure *Error
		if _, err := stream.Next(); !errors.As(err, &failure) || failure.Code != ErrCancelled || failure.RunState != RunStateNotStarted {
			t.Errorf("%#v", err)
		}
		if _, err := client.RunStream(t.Context(), RunRequest{}).Next(); !errors.Is(err, ErrUsage) {
			t.Error(err)
		}
	})
}

func TestTheTimeoutOfAStreamBeginsWithItsFirstStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
			err := to.Send(partial(0))
			<-to.Context().Done()
			return errors.Join(err, to.Context().Err())
		}}).client(t, WithTimeout(time.Minute))
		stream := client.RunStream(t.Context(), RunRequest{App: "kv"})
		time.Sleep(time.Hour)
		begun := time.Now()
		_, err := stream.Result()
		if !errors.Is(err, ErrDeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Error(err, time.Since(begun))
		}
	})
}

func TestAStatusThatDoesNotComeKeepsNoResultBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
			err := to.Send(lastPart(nil))
			<-to.Context().Done()
			return err
		}}).client(t)
		begun := time.Now()
		result, err := client.RunStream(t.Context(), RunRequest{App: "kv"}).Result()
		if err != nil || time.Since(begun) != time.Second {
			t.Error(result, err, time.Since(begun))
		}
	})
}

func TestAnAnswerOf63MebibytesIsTaken(t *testing.T) {
	text := append(append([]byte(`{"text":"`), bytes.Repeat([]byte("x"), 63<<20)...), `"}`...)
	client := (&fakeGateway{runStream: func(_ *pb.RunRequest, to parts) error {
		part := &pb.RunStreamResponse{Part: &pb.RunStreamResponse_PartialJson{PartialJson: text}}
		return errors.Join(to.Send(part), to.Send(lastPart(nil)))
	}}).client(t)
	part, err := client.RunStream(t.Context(), RunRequest{App: "kv"}).Next()
	if err != nil || !bytes.Equal(part, text) {
		t.Error(len(part), err)
	}
}
