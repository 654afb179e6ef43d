package sessiongateway

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// RunState says whether the function of a run was applied. It is empty for requests that are no runs.
type RunState string

const (
	// RunStateNotStarted: no function was run, and sending the same again is safe.
	RunStateNotStarted RunState = "not_started"
	// RunStateUnknown: the function may have had effects, and nobody saw its end.
	RunStateUnknown RunState = "unknown"
	// RunStateCompleted: the function ran to its end, and only a usable answer is missing.
	RunStateCompleted RunState = "completed"
)

// EndReason says why a session is no longer active; empty while it is. One that only a newer gateway knows is
// "unknown_NUMBER".
type EndReason string

// The reasons for which a session is over.
const (
	EndedByCaller         EndReason = "caller"
	EndedIdle             EndReason = "idle_timeout"
	EndedWorkerLost       EndReason = "worker_lost"
	EndedFirstCallFailed  EndReason = "first_call_failed"
	EndedGatewayRestarted EndReason = "gateway_restarted"
	EndedMaxLifetime      EndReason = "max_lifetime"
	EndedCallTimedOut     EndReason = "call_timed_out"
	EndedMemoryLimit      EndReason = "memory_limit"
	EndedProcessLimit     EndReason = "process_limit"
	EndedDiskLimit        EndReason = "disk_limit"
)

// Error is what every request of this package returns when it fails. Fields that do not apply are zero.
type Error struct {
	// Code says why. Compare it with errors.Is(err, ErrSessionExpired), or switch over it.
	Code Code
	// Message is the same for people.
	Message string
	// SessionID names the session in question; also one that was opened and ended again by its first call.
	SessionID string
	// RunState says whether the function of a run was applied.
	RunState RunState
	// RetryAfter is how long to wait before sending again, where that may help.
	RetryAfter time.Duration
	// HTTPStatus is the HTTP status that goes with the code.
	HTTPStatus int
	// EndReason says why the session is no longer active.
	EndReason EndReason
	// FieldViolations names each wrong field of the request or place in the input.
	FieldViolations []FieldViolation
	// AppFailure is what the app's code raised, for ErrAppError and ErrAppStartFailed.
	AppFailure *AppFailure
	// WorkerExit says how the worker died; nil if it did not.
	WorkerExit *WorkerExit
	// CallID names the call in the gateway's log.
	CallID string
	// SessionApp is the app and version that the session is bound to, as "app@version".
	SessionApp string
	// RequestedApp is the app and version that the request meant, as "app@version".
	RequestedApp string
	// ErrorID finds the entry of an ErrInternal in the gateway's log.
	ErrorID string
	// Metadata has every variable word of the message by its key.
	Metadata map[string]string
	// Detail is the gateway's own message; nil when the error does not come from a gateway.
	Detail *pb.ErrorDetail

	status *status.Status
	cause  error
}

// FieldViolation is one wrong field of a request.
type FieldViolation struct {
	// Field is its path, such as "session_timeout" or "input.words[0]".
	Field string
	// Description says what is wrong with it.
	Description string
}

// AppFailure is what the app's code raised.
type AppFailure struct {
	// Type is the exception's type, such as "ValueError".
	Type string
	// Message is the exception's text.
	Message string
	// Traceback is the end of its traceback.
	Traceback string
}

// WorkerExit says how a worker process ended. Both fields are nil when nobody saw it.
type WorkerExit struct {
	// ExitCode is the exit code, 0 to 255.
	ExitCode *int
	// Signal is the number of the signal that killed it, such as 9.
	Signal *int
}

// String returns "exit code 3", "signal 9" or "unseen".
func (w WorkerExit) String() string {
	switch {
	case w.ExitCode != nil:
		return fmt.Sprintf("exit code %d", *w.ExitCode)
	case w.Signal != nil:
		return fmt.Sprintf("signal %d", *w.Signal)
	default:
		return "unseen"
	}
}

// Error returns the code and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Message
}

// FromGateway tells whether a gateway answered this, as against a proxy on the way, gRPC or this client.
func (e *Error) FromGateway() bool {
	return e.Detail != nil || e.status != nil && detailsOf(e.status).fromGateway()
}

// Is makes errors.Is compare with a [Code], and with context.Canceled and context.DeadlineExceeded. A gateway's code is
// not that of a status which no gateway made, even if it has the same name.
func (e *Error) Is(target error) bool {
	switch target {
	case context.Canceled:
		return e.Code == ErrCancelled
	case context.DeadlineExceeded:
		return e.Code == ErrDeadlineExceeded
	}
	code, ok := target.(Code)
	isForeign := e.status != nil && !e.FromGateway()
	return ok && code == e.Code && !(isForeign && code.isGateways())
}

// Unwrap returns the cause of the context that ended the request, see [context.Cause]; nil if none did.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status that the error was made of, for status.Code and interceptors. An error that no status
// was received for has one with the nearest code.
func (e *Error) GRPCStatus() *status.Status {
	if e.status != nil {
		return e.status
	}
	switch e.Code {
	case ErrCancelled:
		return status.New(codes.Canceled, e.Message)
	case ErrDeadlineExceeded:
		return status.New(codes.DeadlineExceeded, e.Message)
	case ErrUnavailable:
		return status.New(codes.Unavailable, e.Message)
	case ErrUsage:
		return status.New(codes.InvalidArgument, e.Message)
	default:
		return status.New(codes.Unknown, e.Message)
	}
}

// usage returns the error of a mistake that was found before anything was sent.
func usage(format string, values ...any) *Error {
	return &Error{Code: ErrUsage, Message: fmt.Sprintf(format, values...)}
}

// ofContext returns the error of a context that is over.
func ofContext(ctx context.Context, message string, state RunState) *Error {
	code := ErrCancelled
	if ctx.Err() == context.DeadlineExceeded {
		code = ErrDeadlineExceeded
	}
	return &Error{Code: code, Message: message, RunState: state, cause: context.Cause(ctx)}
}

func clientClosed(state RunState) *Error {
	return &Error{Code: ErrCancelled, Message: "the client was closed", RunState: state}
}

// incomplete returns the error of an answer that lacks what it is for.
func incomplete(what string) *Error {
	return &Error{Code: ErrInvalidResponse, Message: "the answer has no " + what}
}
