package sessiongateway

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestPagesAreFetchedAsTheWalkGetsToThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens []string
		client := (&fakeGateway{list: func(_ context.Context, request *pb.ListSessionsRequest) (*pb.ListSessionsResponse, error) {
			tokens = append(tokens, request.GetPageToken())
			switch request.GetPageToken() {
			case "":
				return &pb.ListSessionsResponse{Sessions: []*pb.Session{{Id: "a"}, {Id: "b"}}, NextPageToken: "2"}, nil
			case "2": // A page may be empty and not be the last.
				return &pb.ListSessionsResponse{NextPageToken: "3"}, nil
			default:
				return nil, refusal(t, codes.InvalidArgument, &pb.ErrorDetail{Code: pb.ErrorCode_ERROR_CODE_INVALID_REQUEST})
			}
		}}).client(t)
		var ids []string
		var last error
		for info, err := range client.Sessions.List(t.Context(), ListSessionsOptions{Status: StatusActive}) {
			if last = err; err == nil {
				ids = append(ids, info.ID+fmt.Sprint(len(tokens)))
			}
		}
		if fmt.Sprint(ids, tokens) != "[a1 b1] [ 2 3]" || !errors.Is(last, ErrInvalidRequest) {
			t.Error(ids, tokens, last)
		}
		for _, err := range client.Sessions.List(t.Context(), ListSessionsOptions{Status: "lost"}) {
			if !errors.Is(err, ErrUsage) {
				t.Error(err)
			}
		}
	})
}
