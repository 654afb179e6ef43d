package sessiongateway

// Code says why a request failed. Each is an error value for errors.Is, and a case for a switch over [Error.Code].
//
// A gateway that is newer than this client may send codes that are not among the constants; they have the gateway's
// name for them. A status that does not come from a gateway has the gRPC name, such as "UNIMPLEMENTED". A few of these
// names are also a gateway's codes: errors.Is with [ErrInternal], [ErrUnauthenticated] or [ErrPermissionDenied] is true
// only if a gateway said so, and a switch asks [Error.FromGateway].
type Code string

// Error returns the name of the code.
func (c Code) Error() string { return string(c) }

// The gateway's codes. What each says about the session and the call stands in docs/errors.md.
const (
	// ErrSessionNotFound: no session has this id, or it belongs to another caller.
	ErrSessionNotFound Code = "SESSION_NOT_FOUND"
	// ErrSessionExpired: the session was idle for longer than its timeout; its state is gone.
	ErrSessionExpired Code = "SESSION_EXPIRED"
	// ErrSessionEnded: the session was ended, [Error.EndReason] says by what; its state is gone.
	ErrSessionEnded Code = "SESSION_ENDED"
	// ErrWorkerLeased: the worker that was asked for is leased to another session.
	ErrWorkerLeased Code = "WORKER_LEASED"
	// ErrAppMismatch: the session belongs to another app; compare [Error.SessionApp] with [Error.RequestedApp].
	ErrAppMismatch Code = "APP_MISMATCH"
	// ErrVersionMismatch: the session belongs to another version of the app.
	ErrVersionMismatch Code = "VERSION_MISMATCH"
	// ErrInvalidRequest: fields of the request are wrong; [Error.FieldViolations] names every one.
	ErrInvalidRequest Code = "INVALID_REQUEST"
	// ErrInvalidInput: the app's input type refuses the input; [Error.FieldViolations] names each place in it.
	ErrInvalidInput Code = "INVALID_INPUT"
	// ErrAppNotFound: no app of this name is deployed.
	ErrAppNotFound Code = "APP_NOT_FOUND"
	// ErrVersionNotFound: the app is deployed, but not in this version.
	ErrVersionNotFound Code = "VERSION_NOT_FOUND"
	// ErrFunctionNotFound: the app has no such function, or none was named and it has no default.
	ErrFunctionNotFound Code = "FUNCTION_NOT_FOUND"
	// ErrWorkerNotFound: no worker of the app has this id, or it is not the session's worker.
	ErrWorkerNotFound Code = "WORKER_NOT_FOUND"
	// ErrRequestIDReused: the request id was used before for a request with another content.
	ErrRequestIDReused Code = "REQUEST_ID_REUSED"
	// ErrSessionBusy: too many calls wait for the session, or the call's turn did not come in time.
	ErrSessionBusy Code = "SESSION_BUSY"
	// ErrNoWorkerAvailable: no worker became free in time.
	ErrNoWorkerAvailable Code = "NO_WORKER_AVAILABLE"
	// ErrQuotaExceeded: a limit of this caller is reached.
	ErrQuotaExceeded Code = "QUOTA_EXCEEDED"
	// ErrAppError: the function raised, see [Error.AppFailure]. The session lives on, unless this call opened it.
	ErrAppError Code = "APP_ERROR"
	// ErrAppStartFailed: the app could not be started, see [Error.AppFailure].
	ErrAppStartFailed Code = "APP_START_FAILED"
	// ErrWorkerLost: the worker process died during the call, see [Error.WorkerExit]; its session has ended.
	ErrWorkerLost Code = "WORKER_LOST"
	// ErrUnauthenticated: the API key is missing or not valid.
	ErrUnauthenticated Code = "UNAUTHENTICATED"
	// ErrPermissionDenied: the API key does not allow this.
	ErrPermissionDenied Code = "PERMISSION_DENIED"
	// ErrGatewayDraining: the gateway is shutting down and took nothing. The client has tried again a few times.
	ErrGatewayDraining Code = "GATEWAY_DRAINING"
	// ErrInternal: the gateway failed in a way that it did not foresee; [Error.ErrorID] finds it in its log.
	ErrInternal Code = "INTERNAL"
	// ErrCallCountMismatch: the session has had another number of calls than expected: somebody else used it.
	ErrCallCountMismatch Code = "CALL_COUNT_MISMATCH"
	// ErrCallInterrupted: the gateway was stopped while the call ran. The worker goes on with it, and the session
	// lives on.
	ErrCallInterrupted Code = "CALL_INTERRUPTED"
	// ErrStoreUnavailable: the gateway cannot use its records and took nothing. The client has tried again.
	ErrStoreUnavailable Code = "STORE_UNAVAILABLE"
	// ErrCallTimedOut: the call took longer than its app allows; [Error.EndReason] tells whether the session has
	// ended with it.
	ErrCallTimedOut Code = "CALL_TIMED_OUT"
)

// Codes that no gateway sends: those of the transport and of this client.
const (
	// ErrUnavailable: the gateway cannot be reached, or the connection broke.
	ErrUnavailable Code = "UNAVAILABLE"
	// ErrDeadlineExceeded: the deadline of the context has passed. Such errors are context.DeadlineExceeded, too.
	ErrDeadlineExceeded Code = "DEADLINE_EXCEEDED"
	// ErrCancelled: the context was cancelled, or the client, session or stream was closed meanwhile. Such errors are
	// context.Canceled, too.
	ErrCancelled Code = "CANCELLED"
	// ErrUsage: a mistake that shows before anything is sent, such as an input that is not a JSON object.
	ErrUsage Code = "USAGE"
	// ErrInvalidResponse: the gateway's answer cannot be read.
	ErrInvalidResponse Code = "INVALID_RESPONSE"
)
