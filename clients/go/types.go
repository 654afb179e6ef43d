package sessiongateway

import (
	"bytes"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// Status says where a session stands. One that only a newer gateway knows is "unknown_NUMBER".
type Status string

// Only an active session ever changes, to one of the other two.
const (
	StatusActive  Status = "active"
	StatusEnded   Status = "ended"
	StatusExpired Status = "expired"
)

// SessionInfo is a session as it was when the gateway answered. Times are in UTC, by the gateway's clock, and zero where
// there is none.
type SessionInfo struct {
	// ID begins with "sess_".
	ID string
	// App is the app's name.
	App string
	// Version is the app's version; a session never changes it.
	Version string
	// Status says where the session stands.
	Status Status
	// EndReason says why it is no longer active; empty while it is.
	EndReason EndReason
	// WorkerID names the worker that is, or was, leased.
	WorkerID string
	// SessionTimeout is how long it may be idle.
	SessionTimeout time.Duration
	// CreatedAt is when it began.
	CreatedAt time.Time
	// ExpiresAt is when it expires if nothing more happens.
	ExpiresAt time.Time
	// ExpiresIn is the time that was left; it needs no comparison of clocks.
	ExpiresIn time.Duration
	// LastCallAt is when the newest call was admitted.
	LastCallAt time.Time
	// EndedAt is when it ended or expired.
	EndedAt time.Time
	// CallCount is how many calls were started.
	CallCount int64
	// WorkerExit says how the worker died; nil if it did not.
	WorkerExit *WorkerExit
}

// RunResult is the answer of one run.
type RunResult struct {
	// SessionID is empty for a run without a session.
	SessionID string
	// Output is the JSON object that the function returned, as the gateway sent it: integers are exact. It is text: print
	// it with %s, or read it with [RunResult.Decode].
	Output json.RawMessage
	// CallID names the call in the gateway's log.
	CallID string
	// Session is the session after the call; nil for a run without one.
	Session *SessionInfo
}

// Decode stores the output in the value that v points to, as [Unmarshal] does. The nil result of a call that failed
// gives ErrUsage.
func (r *RunResult) Decode(v any) error {
	if r == nil {
		return usage("there is no result to decode: look at the error of the call first")
	}
	return Unmarshal(r.Output, v)
}

// Unmarshal is json.Unmarshal, except that a number that goes into an any becomes a json.Number, which is exact.
func Unmarshal(data []byte, v any) error {
	if !json.Valid(data) {
		// Says what is wrong, and refuses what a decoder would leave unread behind the first value.
		return json.Unmarshal(data, v)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	return decoder.Decode(v)
}

func sessionOf(session *pb.Session) *SessionInfo {
	if session == nil {
		return nil
	}
	return &SessionInfo{
		ID:             session.GetId(),
		App:            session.GetApp(),
		Version:        session.GetVersion(),
		Status:         Status(word(pb.SessionStatus_name, "SESSION_STATUS_", int32(session.GetStatus()))),
		EndReason:      endReasonOf(session.GetEndReason()),
		WorkerID:       session.GetWorkerId(),
		SessionTimeout: time.Duration(session.GetSessionTimeout()) * time.Second,
		CreatedAt:      moment(session.GetCreatedAt()),
		ExpiresAt:      moment(session.GetExpiresAt()),
		ExpiresIn:      session.GetExpiresIn().AsDuration(),
		LastCallAt:     moment(session.GetLastCallAt()),
		EndedAt:        moment(session.GetEndedAt()),
		CallCount:      session.GetCallCount(),
		WorkerExit:     workerExitOf(session.GetWorkerExit()),
	}
}

func resultOf(response *pb.RunResponse) (*RunResult, error) {
	output, err := objectOf(response.GetOutputJson(), response.GetOutput())
	if err != nil {
		return nil, &Error{
			Code:      ErrInvalidResponse,
			Message:   "the output cannot be read: " + err.Error(),
			SessionID: response.GetSessionId(),
			CallID:    response.GetCallId(),
			RunState:  RunStateCompleted,
		}
	}
	return &RunResult{
		SessionID: response.GetSessionId(),
		Output:    output,
		CallID:    response.GetCallId(),
		Session:   sessionOf(response.GetSession()),
	}, nil
}

func partialOf(response *pb.RunStreamResponse) (json.RawMessage, error) {
	partial, err := objectOf(response.GetPartialJson(), response.GetPartial())
	if err != nil {
		message := "a partial output cannot be read: " + err.Error()
		return nil, &Error{Code: ErrInvalidResponse, Message: message, RunState: RunStateUnknown}
	}
	return partial, nil
}

// objectOf returns the JSON object of an answer, which has one of the two forms or none.
func objectOf(text []byte, form *structpb.Struct) (json.RawMessage, error) {
	if form != nil {
		return protojson.Marshal(form)
	}
	if len(text) == 0 {
		return json.RawMessage("{}"), nil
	}
	var object json.RawMessage
	err := json.Unmarshal(text, &object)
	return object, err
}

func moment(timestamp *timestamppb.Timestamp) time.Time {
	if timestamp == nil {
		return time.Time{}
	}
	return timestamp.AsTime()
}
