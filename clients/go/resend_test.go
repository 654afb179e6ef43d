package sessiongateway

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestARunIsSentAgainWhenTheGatewayTookNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		gateway := &fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			if sent++; sent < 3 {
				return nil, draining(t, 0)
			}
			return &pb.RunResponse{CallId: "call"}, nil
		}}
		client := gateway.client(t)
		begun := time.Now()
		result, err := client.Run(t.Context(), RunRequest{App: "kv"})
		if err != nil || result.CallID != "call" || string(result.Output) != "{}" {
			t.Fatal(result, err)
		}
		if waited := time.Since(begun); sent != 3 || waited != 600*time.Millisecond {
			t.Errorf("sent %d times, waited %v", sent, waited)
		}
	})
}

func TestARunIsSentFourTimesAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := (&fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			sent++
			return nil, draining(t, 2*time.Second)
		}}).client(t)
		begun := time.Now()
		_, err := client.Run(t.Context(), RunRequest{App: "kv"})
		if !errors.Is(err, ErrGatewayDraining) || sent != 4 || time.Since(begun) != 6*time.Second {
			t.Errorf("%v, sent %d times in %v", err, sent, time.Since(begun))
		}
	})
}

func TestNothingElseSendsARunAgain(t *testing.T) {
	for name, detail := range map[string]*pb.ErrorDetail{
		"another code": {
			Code: pb.ErrorCode_ERROR_CODE_SESSION_BUSY, RunState: pb.RunState_RUN_STATE_NOT_STARTED,
		},
		"another run state": {
			Code: pb.ErrorCode_ERROR_CODE_GATEWAY_DRAINING, RunState: pb.RunState_RUN_STATE_UNKNOWN,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				client := (&fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
					sent++
					return nil, refusal(t, codes.Unavailable, detail)
				}}).client(t)
				if _, err := client.Run(t.Context(), RunRequest{App: "kv"}); err == nil || sent != 1 {
					t.Errorf("%v, sent %d times", err, sent)
				}
			})
		})
	}
}

func TestARunIsNotSentAgainBeyondItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := (&fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			sent++
			return nil, draining(t, 2*time.Second)
		}}).client(t, WithTimeout(3*time.Second))
		begun := time.Now()
		_, err := client.Run(t.Context(), RunRequest{App: "kv"})
		if !errors.Is(err, ErrGatewayDraining) || sent != 2 || time.Since(begun) != 2*time.Second {
			t.Errorf("%v, sent %d times in %v", err, sent, time.Since(begun))
		}
	})
}

func TestCancellingARunEndsTheWaitBeforeItIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := (&fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			time.AfterFunc(time.Second, cancel)
			return nil, draining(t, time.Minute)
		}}).client(t)
		_, err := client.Run(ctx, RunRequest{App: "kv"})
		var failure *Error
		if !errors.As(err, &failure) || !errors.Is(err, context.Canceled) || failure.RunState != RunStateNotStarted {
			t.Error(err)
		}
	})
}

func TestARunWhoseConnectionBrokeIsNeverSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		gateway := new(fakeGateway)
		gateway.run = func(ctx context.Context, _ *pb.RunRequest) (*pb.RunResponse, error) {
			sent++
			go gateway.stop()
			<-ctx.Done()
			return nil, ctx.Err()
		}
		client := gateway.client(t)
		_, err := client.Run(t.Context(), RunRequest{App: "kv"})
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != ErrUnavailable || failure.RunState != RunStateUnknown || sent != 1 {
			t.Errorf("%#v, sent %d times", err, sent)
		}
	})
}

func TestARunThatWasNeverSentIsNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			return &pb.RunResponse{}, nil
		}}
		client := gateway.client(t)
		gateway.stop()
		for range 2 { // The second one finds a connection that has failed.
			_, err := client.Run(t.Context(), RunRequest{App: "kv"})
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != ErrUnavailable || failure.RunState != RunStateNotStarted {
				t.Errorf("%#v", err)
			}
			_, err = client.RunStream(t.Context(), RunRequest{App: "kv"}).Next()
			if !errors.As(err, &failure) || failure.Code != ErrUnavailable || failure.RunState != RunStateNotStarted {
				t.Errorf("%#v", err)
			}
			// gRPC tells the failure to its callers first, and a moment later to those who ask for its state.
			synctest.Wait()
		}
		gateway.start()
		if _, err := client.Run(t.Context(), RunRequest{App: "kv"}); err != nil {
			t.Error("a gateway that has come back is not found at once:", err)
		}
	})
}

func TestADeadlineTellsWhetherTheRunWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &fakeGateway{run: func(ctx context.Context, _ *pb.RunRequest) (*pb.RunResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		client := gateway.client(t, WithTimeout(time.Second))
		_, err := client.Run(t.Context(), RunRequest{App: "kv"})
		var failure *Error
		if !errors.As(err, &failure) || !errors.Is(err, context.DeadlineExceeded) || failure.RunState != RunStateUnknown {
			t.Errorf("%#v", err)
		}
		over, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_, err = client.Run(over, RunRequest{App: "kv"})
		if !errors.As(err, &failure) || !errors.Is(err, ErrDeadlineExceeded) || failure.RunState != RunStateNotStarted {
			t.Errorf("%#v", err)
		}
	})
}

func TestReadingIsRepeatedWhenTheGatewayIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client := (&fakeGateway{get: func(context.Context, *pb.GetSessionRequest) (*pb.GetSessionResponse, error) {
			if sent++; sent < 4 {
				return nil, status.Error(codes.Unavailable, "not now")
			}
			return &pb.GetSessionResponse{Session: &pb.Session{Id: "sess_a"}}, nil
		}}).client(t)
		info, err := client.Sessions.Get(t.Context(), "sess_a")
		if err != nil || info.ID != "sess_a" {
			t.Error(info, err, sent)
		}
	})
}

func TestReadingFromAGatewayThatDrainsTellsSoInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{get: func(context.Context, *pb.GetSessionRequest) (*pb.GetSessionResponse, error) {
			return nil, draining(t, time.Second)
		}}).client(t)
		_, err := client.Sessions.Get(t.Context(), "sess_a")
		var failure *Error
		if !errors.As(err, &failure) || failure.Code != ErrGatewayDraining || failure.Message != "the gateway is shutting down" {
			t.Errorf("%#v", err)
		}
	})
}

func TestAServerThatCancelsIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			return nil, status.Error(codes.Canceled, "")
		}}).client(t)
		if _, err := client.Run(t.Context(), RunRequest{App: "kv"}); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestClosingTheClientCancelsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := make(chan struct{})
		client := (&fakeGateway{run: func(ctx context.Context, _ *pb.RunRequest) (*pb.RunResponse, error) {
			close(arrived)
			<-ctx.Done()
			return nil, ctx.Err()
		}}).client(t)
		go func() {
			<-arrived
			client.Close()
		}()
		_, err := client.Run(t.Context(), RunRequest{App: "kv"})
		if !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
		if _, err := client.Run(t.Context(), RunRequest{App: "kv"}); !errors.Is(err, ErrCancelled) {
			t.Error(err)
		}
	})
}
