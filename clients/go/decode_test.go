package sessiongateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	rpccode "google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

var gatewayCodes = []Code{
	ErrSessionNotFound, ErrSessionExpired, ErrSessionEnded, ErrWorkerLeased, ErrAppMismatch, ErrVersionMismatch,
	ErrInvalidRequest, ErrInvalidInput, ErrAppNotFound, ErrVersionNotFound, ErrFunctionNotFound, ErrWorkerNotFound,
	ErrRequestIDReused, ErrSessionBusy, ErrNoWorkerAvailable, ErrQuotaExceeded, ErrAppError, ErrAppStartFailed,
	ErrWorkerLost, ErrUnauthenticated, ErrPermissionDenied, ErrGatewayDraining, ErrInternal, ErrCallCountMismatch,
	ErrCallInterrupted, ErrStoreUnavailable, ErrCallTimedOut,
}

func TestEachCodeOfTheProtoIsAnErrorToCompareWith(t *testing.T) {
	for number, name := range pb.ErrorCode_name {
		if number == 0 {
			continue
		}
		short := strings.TrimPrefix(name, "ERROR_CODE_")
		if !slices.Contains(gatewayCodes, Code(short)) {
			t.Errorf("there is no constant for %s", short)
		}
		err := fmt.Errorf("wrapped: %w", fromDetail(&pb.ErrorDetail{Code: pb.ErrorCode(number)}))
		if !errors.Is(err, Code(short)) || errors.Is(err, ErrUnavailable) {
			t.Errorf("%s is decoded as %v", short, err)
		}
	}
	if len(gatewayCodes) != len(pb.ErrorCode_name)-1 {
		t.Error("there is a constant that is no code of the proto")
	}
}

func TestEachEndReasonOfTheProtoHasAConstant(t *testing.T) {
	constants := []EndReason{
		EndedByCaller, EndedIdle, EndedWorkerLost, EndedFirstCallFailed, EndedGatewayRestarted, EndedMaxLifetime,
		EndedCallTimedOut, EndedMemoryLimit, EndedProcessLimit, EndedDiskLimit, "",
	}
	for number := range pb.EndReason_name {
		if reason := endReasonOf(pb.EndReason(number)); !slices.Contains(constants, reason) {
			t.Errorf("there is no constant for %s", reason)
		}
	}
}

func TestAnErrorTellsAllThatTheGatewayTold(t *testing.T) {
	detail := &pb.ErrorDetail{
		Code:         pb.ErrorCode_ERROR_CODE_SESSION_ENDED,
		Message:      "it was ended",
		HttpStatus:   410,
		RunState:     pb.RunState_RUN_STATE_COMPLETED,
		SessionId:    "sess_a",
		EndReason:    pb.EndReason_END_REASON_WORKER_LOST,
		CallId:       "call_a",
		AppFailure:   &pb.AppFailure{Type: "ValueError", Message: "no", Traceback: "line 1"},
		WorkerExit:   &pb.WorkerExit{How: &pb.WorkerExit_Signal{Signal: 9}},
		SessionApp:   &pb.AppVersion{App: "kv", Version: "1"},
		RequestedApp: &pb.AppVersion{App: "sql"},
		ErrorId:      "error_a",
	}
	err := refusal(t, codes.FailedPrecondition, detail,
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: "SESSION_ENDED", Domain: domain, Metadata: map[string]string{"endReason": "x"}}),
		protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)}),
		protoadapt.MessageV1Of(&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "app", Description: "is empty"},
		}}),
	)
	e := fromStatus(status.Convert(err), RunStateUnknown)
	e.Detail, e.status = nil, nil
	want := &Error{
		Code:            ErrSessionEnded,
		Message:         "it was ended",
		SessionID:       "sess_a",
		RunState:        RunStateCompleted,
		RetryAfter:      1500 * time.Millisecond,
		HTTPStatus:      410,
		EndReason:       EndedWorkerLost,
		FieldViolations: []FieldViolation{{"app", "is empty"}},
		AppFailure:      &AppFailure{"ValueError", "no", "line 1"},
		WorkerExit:      &WorkerExit{Signal: Ptr(9)},
		CallID:          "call_a",
		SessionApp:      "kv@1",
		RequestedApp:    "sql",
		ErrorID:         "error_a",
		Metadata:        map[string]string{"endReason": "x"},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("%+v, not %+v", e, want)
	}
	if e.Error() != "SESSION_ENDED: it was ended" || e.WorkerExit.String() != "signal 9" {
		t.Error(e, e.WorkerExit)
	}
}

func TestACodeOfANewerGatewayHasItsReasonForAName(t *testing.T) {
	detail := &pb.ErrorDetail{Code: 999, RunState: 77, EndReason: 88, Message: "new"}
	info := &errdetails.ErrorInfo{Reason: "NEWER_THAN_THIS", Domain: domain, Metadata: map[string]string{"httpStatus": "418"}}
	e := fromStatus(status.Convert(refusal(t, codes.Aborted, detail, protoadapt.MessageV1Of(info))), "")
	if e.Code != "NEWER_THAN_THIS" || e.RunState != "unknown_77" || e.EndReason != "unknown_88" || e.HTTPStatus != 418 {
		t.Errorf("%+v", e)
	}
	if e := fromDetail(&pb.ErrorDetail{Code: 999}); e.Code != "UNKNOWN_999" {
		t.Error(e.Code)
	}
	if e := fromDetail(&pb.ErrorDetail{}); e.Code != "UNKNOWN" {
		t.Error(e.Code)
	}
}

func TestAnErrorInfoAloneIsEnough(t *testing.T) {
	st, err := status.New(codes.NotFound, "gone").WithDetails(
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: "SESSION_NOT_FOUND", Domain: domain}))
	if err != nil {
		t.Fatal(err)
	}
	if e := fromStatus(st, ""); e.Code != ErrSessionNotFound || e.Message != "gone" || e.Detail != nil {
		t.Errorf("%+v", e)
	}
}

func TestAStatusOfSomebodyElseHasItsOwnName(t *testing.T) {
	for code, want := range map[codes.Code]Code{
		codes.Unavailable: ErrUnavailable, codes.Unimplemented: "UNIMPLEMENTED", codes.Canceled: ErrCancelled,
		codes.DeadlineExceeded: ErrDeadlineExceeded, codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	} {
		if e := fromStatus(status.New(code, "text"), RunStateUnknown); e.Code != want || e.RunState != RunStateUnknown || e.Detail != nil {
			t.Errorf("%+v", e)
		}
	}
	other, err := status.New(codes.NotFound, "no").WithDetails(
		protoadapt.MessageV1Of(&errdetails.ErrorInfo{Reason: "SESSION_NOT_FOUND", Domain: "example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	if e := fromStatus(other, ""); e.Code != "NOT_FOUND" {
		t.Error(e.Code)
	}
}

func TestAProxysStatusIsNotTheGatewaysCodeOfTheSameName(t *testing.T) {
	for _, code := range []Code{ErrInternal, ErrUnauthenticated, ErrPermissionDenied} {
		number := codes.Code(rpccode.Code_value[string(code)])
		foreign := fromStatus(status.New(number, "made by a proxy"), "")
		if foreign.Code != code || errors.Is(foreign, code) || foreign.FromGateway() {
			t.Errorf("%+v", foreign)
		}
		detail := &pb.ErrorDetail{Code: pb.ErrorCode(pb.ErrorCode_value["ERROR_CODE_"+string(code)])}
		own := fromStatus(status.Convert(refusal(t, number, detail)), "")
		if !errors.Is(own, code) || !own.FromGateway() || !errors.Is(&Error{Code: code}, code) {
			t.Errorf("%+v", own)
		}
	}
	if !errors.Is(fromStatus(status.New(codes.Unavailable, ""), ""), ErrUnavailable) || usage("mistake").FromGateway() {
		t.Error("an error of the transport is not what it was")
	}
}

func TestBrokenDetailsDoNotHideTheStatus(t *testing.T) {
	broken := &anypb.Any{TypeUrl: "type.googleapis.com/sessiongateway.v1.ErrorDetail", Value: []byte{0xff}}
	unknown := &anypb.Any{TypeUrl: "type.googleapis.com/example.Unknown"}
	st := status.FromProto(&spb.Status{Code: 5, Message: "no", Details: []*anypb.Any{broken, unknown}})
	if e := fromStatus(st, ""); e.Code != "NOT_FOUND" || e.Message != "no" {
		t.Errorf("%+v", e)
	}
}

func TestAnErrorIsAContextsErrorAndAStatusToo(t *testing.T) {
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	late := ofContext(over, "late", RunStateNotStarted)
	if !errors.Is(late, context.DeadlineExceeded) || errors.Is(late, context.Canceled) {
		t.Error(late)
	}
	for err, code := range map[error]codes.Code{
		late:                                codes.DeadlineExceeded,
		&Error{Code: ErrCancelled}:          codes.Canceled,
		&Error{Code: ErrUnavailable}:        codes.Unavailable,
		usage("mistake"):                    codes.InvalidArgument,
		&Error{Code: ErrInvalidResponse}:    codes.Unknown,
		fromStatus(status.New(3, "no"), ""): codes.InvalidArgument,
	} {
		if status.Code(err) != code {
			t.Errorf("%v is %v", err, status.Code(err))
		}
	}
}
