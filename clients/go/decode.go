package sessiongateway

import (
	"fmt"
	"strconv"
	"strings"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// domain marks the ErrorInfo of a gateway.
const domain = "sessiongateway"

// details are the parts of a status that this client understands; each may be missing.
type details struct {
	info    *errdetails.ErrorInfo
	detail  *pb.ErrorDetail
	retry   *errdetails.RetryInfo
	request *errdetails.BadRequest
}

// fromStatus returns what the status of a failed RPC means. A status without a gateway's details becomes an error of
// the transport, with the run state given.
func fromStatus(st *status.Status, bare RunState) *Error {
	found := detailsOf(st)
	if !found.fromGateway() {
		return &Error{
			Code:     Code(rpccode.Code(st.Code()).String()),
			Message:  st.Message(),
			RunState: bare,
			status:   st,
		}
	}
	e := fromDetail(found.detail)
	e.status = st
	e.Code = codeOf(found.detail.GetCode(), found.info.GetReason())
	if st.Message() != "" {
		e.Message = st.Message()
	}
	e.Metadata = found.info.GetMetadata()
	if e.HTTPStatus == 0 {
		// An error here means that there is none: the number stays 0.
		e.HTTPStatus, _ = strconv.Atoi(e.Metadata["httpStatus"])
	}
	if delay := found.retry.GetRetryDelay(); delay != nil {
		e.RetryAfter = delay.AsDuration()
	}
	for _, each := range found.request.GetFieldViolations() {
		e.FieldViolations = append(e.FieldViolations, FieldViolation{each.GetField(), each.GetDescription()})
	}
	return e
}

// fromDetail returns what an error in the middle of a keepalive stream means.
func fromDetail(detail *pb.ErrorDetail) *Error {
	e := &Error{
		Code:         codeOf(detail.GetCode(), ""),
		Message:      detail.GetMessage(),
		SessionID:    detail.GetSessionId(),
		HTTPStatus:   int(detail.GetHttpStatus()),
		EndReason:    endReasonOf(detail.GetEndReason()),
		CallID:       detail.GetCallId(),
		WorkerExit:   workerExitOf(detail.GetWorkerExit()),
		SessionApp:   pinned(detail.GetSessionApp()),
		RequestedApp: pinned(detail.GetRequestedApp()),
		ErrorID:      detail.GetErrorId(),
		Detail:       detail,
	}
	if state := detail.GetRunState(); state != pb.RunState_RUN_STATE_UNSPECIFIED {
		e.RunState = RunState(word(pb.RunState_name, "RUN_STATE_", int32(state)))
	}
	if delay := detail.GetRetryAfter(); delay != nil {
		e.RetryAfter = delay.AsDuration()
	}
	if failure := detail.GetAppFailure(); failure != nil {
		e.AppFailure = &AppFailure{failure.GetType(), failure.GetMessage(), failure.GetTraceback()}
	}
	return e
}

func detailsOf(st *status.Status) details {
	var found details
	// What cannot be unpacked comes as an error value: a proxy's garbage must not hide the status itself.
	for _, each := range st.Details() {
		switch each := each.(type) {
		case *pb.ErrorDetail:
			found.detail = each
		case *errdetails.ErrorInfo:
			found.info = each
		case *errdetails.RetryInfo:
			found.retry = each
		case *errdetails.BadRequest:
			found.request = each
		}
	}
	return found
}

func (d details) fromGateway() bool {
	return d.detail != nil || (d.info.GetDomain() == domain && d.info.GetReason() != "")
}

// isGateways tells whether a code is one that gateways send.
func (c Code) isGateways() bool {
	_, known := pb.ErrorCode_value["ERROR_CODE_"+string(c)]
	return known
}

func codeOf(number pb.ErrorCode, reason string) Code {
	name, known := pb.ErrorCode_name[int32(number)]
	switch {
	case known && number != pb.ErrorCode_ERROR_CODE_UNSPECIFIED:
		return Code(strings.TrimPrefix(name, "ERROR_CODE_"))
	case reason != "":
		return Code(reason)
	case number != pb.ErrorCode_ERROR_CODE_UNSPECIFIED:
		return Code(fmt.Sprintf("UNKNOWN_%d", number))
	default:
		return "UNKNOWN"
	}
}

// final tells whether the same stream, opened again, would fail in the same way.
func final(code codes.Code) bool {
	switch code {
	case codes.InvalidArgument, codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied,
		codes.Unauthenticated, codes.Unimplemented:
		return true
	default:
		return false
	}
}

// tookNothing tells whether the error is one of the two after which a gateway asks to send the same again.
func tookNothing(e *Error) bool {
	return e.Code == ErrGatewayDraining || e.Code == ErrStoreUnavailable
}

func endReasonOf(reason pb.EndReason) EndReason {
	if reason == pb.EndReason_END_REASON_UNSPECIFIED {
		return ""
	}
	return EndReason(word(pb.EndReason_name, "END_REASON_", int32(reason)))
}

func workerExitOf(exit *pb.WorkerExit) *WorkerExit {
	if exit == nil {
		return nil
	}
	number := func(n int32) *int { i := int(n); return &i }
	switch how := exit.GetHow().(type) {
	case *pb.WorkerExit_ExitCode:
		return &WorkerExit{ExitCode: number(how.ExitCode)}
	case *pb.WorkerExit_Signal:
		return &WorkerExit{Signal: number(how.Signal)}
	default:
		return &WorkerExit{}
	}
}

func pinned(app *pb.AppVersion) string {
	if app.GetVersion() == "" {
		return app.GetApp()
	}
	return app.GetApp() + "@" + app.GetVersion()
}

// word returns the lower-case name of an enum's value, or "unknown_N" for one that only a newer gateway knows.
func word(names map[int32]string, prefix string, number int32) string {
	name, known := names[number]
	if !known {
		return fmt.Sprintf("unknown_%d", number)
	}
	return strings.ToLower(strings.TrimPrefix(name, prefix))
}
