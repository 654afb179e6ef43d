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
