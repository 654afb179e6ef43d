package sessiongateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestManyRequestsToAGatewayThatIsAwayShareTheAttemptsToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := &fakeGateway{run: func(context.Context, *pb.RunRequest) (*pb.RunResponse, error) {
			return &pb.RunResponse{}, nil
		}}
		client := gateway.client(t)
		gateway.stop()
		var calls sync.WaitGroup
		for range 2000 {
			calls.Go(func() {
				begun := time.Now()
				_, err := client.Run(t.Context(), RunRequest{App: "kv"})
				if !errors.Is(err, ErrUnavailable) || time.Since(begun) > 300*time.Millisecond {
					t.Error(err, time.Since(begun))
				}
			})
			time.Sleep(2 * time.Millisecond)
		}
		calls.Wait()
		// 4 seconds, and an attempt each 100 ms at most, besides those that gRPC makes by itself.
		if dials := gateway.dials(); dials < 20 || dials > 80 {
			t.Errorf("2000 calls have dialled %d times", dials)
		}
		gateway.start()
		if _, err := client.Run(t.Context(), RunRequest{App: "kv"}); err != nil {
			t.Error("a gateway that has come back is not found at once:", err)
		}
	})
}

func TestAnAnswerWithoutWhatItIsForIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{
			get: func(context.Context, *pb.GetSessionRequest) (*pb.GetSessionResponse, error) {
				return &pb.GetSessionResponse{}, nil
			},
			end: func(context.Context, *pb.EndSessionRequest) (*pb.EndSessionResponse, error) {
				return &pb.EndSessionResponse{}, nil
			},
			app: func(context.Context, *pb.GetAppRequest) (*pb.GetAppResponse, error) { return &pb.GetAppResponse{}, nil },
		}).client(t)
		if info, err := client.Sessions.Get(t.Context(), "sess_a"); info != nil || !errors.Is(err, ErrInvalidResponse) {
			t.Error(info, err)
		}
		if app, err := client.Apps.Get(t.Context(), "kv"); app != nil || !errors.Is(err, ErrInvalidResponse) {
			t.Error(app, err)
		}
		if info, err := client.Sessions.End(t.Context(), "sess_a"); info != nil || !errors.Is(err, ErrInvalidResponse) {
			t.Error(info, err)
		}
	})
}

func TestAnErrorKeepsTheCauseOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := (&fakeGateway{run: func(ctx context.Context, _ *pb.RunRequest) (*pb.RunResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}).client(t, WithTimeout(time.Hour))
		reason := errors.New("the user left")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(reason) })
		_, err := client.Run(ctx, RunRequest{App: "kv"})
		_, late := client.Run(ctx, RunRequest{App: "kv"})
		_, next := client.Sessions.StreamKeepalive("a").Next(ctx)
		for _, each := range []error{err, late, next} {
			if !errors.Is(each, reason) || !errors.Is(each, context.Canceled) || !errors.Is(each, ErrCancelled) {
				t.Error(each)
			}
		}
	})
}
