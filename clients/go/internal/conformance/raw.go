package main

import (
	"strings"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// rawError is the error of a bare stub.
type rawError struct{ error }

// show tells what the details of its status say, without the client's help.
func (r rawError) show() object {
	st := status.Convert(r.error)
	name := rpccode.Code(st.Code()).String()
	shown := object{"code": name, "grpc_status": name, "message": st.Message(), "class": "*status.Status", "metadata": object{}}
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			shown["code"] = detail.GetReason()
			shown["metadata"] = detail.GetMetadata()
		case *errdetails.RetryInfo:
			shown["retry_after"] = detail.GetRetryDelay().AsDuration().Seconds()
		case *errdetails.BadRequest:
			violations := [][2]string{}
			for _, each := range detail.GetFieldViolations() {
				violations = append(violations, [2]string{each.GetField(), each.GetDescription()})
			}
			shown["field_violations"] = violations
		case *pb.ErrorDetail:
			shown["http_status"] = detail.GetHttpStatus()
			shown["session_id"] = orNull(detail.GetSessionId())
			shown["call_id"] = orNull(detail.GetCallId())
			if state := detail.GetRunState(); state != pb.RunState_RUN_STATE_UNSPECIFIED {
				shown["run_state"] = strings.ToLower(strings.TrimPrefix(state.String(), "RUN_STATE_"))
			}
		}
	}
	return shown
}
