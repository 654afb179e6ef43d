package sessiongateway_test

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestTheBareStubIsEnoughToReadAnErrorsDetails(t *testing.T) {
	_, ctx := connected(t)
	conn, err := grpc.NewClient(shared.gateway.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sessions := pb.NewSessionServiceClient(conn)

	response, err := sessions.Run(ctx, &pb.RunRequest{App: "kv", Payload: &pb.RunRequest_InputJson{InputJson: []byte(`{"a":1}`)}})
	if err != nil || len(response.GetOutputJson()) == 0 {
		t.Fatal(response, err)
	}

	_, err = sessions.Run(ctx, &pb.RunRequest{App: "no name", Session: "abc"})
	st := status.Convert(err)
	if st.Code() != codes.InvalidArgument {
		t.Fatal(err)
	}
	seen := 0
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *pb.ErrorDetail:
			seen++
			if detail.GetCode() != pb.ErrorCode_ERROR_CODE_INVALID_REQUEST || detail.GetRunState() != pb.RunState_RUN_STATE_NOT_STARTED {
				t.Error(detail)
			}
		case *errdetails.ErrorInfo:
			seen++
			if detail.GetReason() != "INVALID_REQUEST" || detail.GetDomain() != "sessiongateway" || detail.GetMetadata()["httpStatus"] != "400" {
				t.Error(detail)
			}
		case *errdetails.BadRequest:
			seen++
			if len(detail.GetFieldViolations()) != 2 {
				t.Error(detail)
			}
		}
	}
	if seen != 3 {
		t.Errorf("%d of three details were seen in %v", seen, st.Details())
	}
}
