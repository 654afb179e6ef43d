package sessiongateway

import (
	"bytes"
	"encoding/json"
	"math"
	"time"
	"unicode/utf8"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

// NewSession is the session of a [RunRequest] that leases a fresh worker.
const NewSession = "new"

// RunRequest asks for one call. Only App is required.
type RunRequest struct {
	// App is "name" or "name@version"; a name may have a namespace, "acme/kv".
	App string
	// Function is which function of the app; empty: its default function.
	Function string
	// Input is a JSON object: JSON text as json.RawMessage or []byte, which is sent as it is, or anything that
	// encoding/json makes an object of. Nil, also a nil map or pointer, is the empty object.
	Input any
	// Session is empty for a plain call on a shared worker, [NewSession], or the id of a session.
	Session string
	// SessionTimeout is how long the new session may be idle: whole seconds, 1 to 3600. Nil: a minute. Only with NewSession.
	SessionTimeout *time.Duration
	// WorkerID, with NewSession, names the worker to lease; with an id, the worker that the session must still be on.
	WorkerID string
	// RequestID is an idempotency key: a repeat with the same content gets the first call's answer.
	RequestID string
	// ExpectedCallCount is how many calls the session must have had when this one's turn comes. Only with an id.
	ExpectedCallCount *int64
}

// Ptr returns a pointer to a value, for the optional fields of a [RunRequest].
func Ptr[T any](value T) *T { return &value }

// message builds what is sent. Without an input it sends the empty object rather than nothing: the answer comes in the
// form of the request, and only JSON text keeps integers exact.
func (r RunRequest) message() (*pb.RunRequest, error) {
	if r.App == "" {
		return nil, usage("a run needs an app")
	}
	input, err := encodeInput(r.Input)
	if err != nil {
		return nil, err
	}
	timeout, err := wholeSeconds(r.SessionTimeout)
	if err != nil {
		return nil, err
	}
	request := &pb.RunRequest{
		App:               r.App,
		Function:          r.Function,
		Payload:           &pb.RunRequest_InputJson{InputJson: input},
		Session:           r.Session,
		SessionTimeout:    timeout,
		WorkerId:          r.WorkerID,
		RequestId:         r.RequestID,
		ExpectedCallCount: r.ExpectedCallCount,
	}
	for _, text := range []string{r.App, r.Function, r.Session, r.WorkerID, r.RequestID} {
		if !utf8.ValidString(text) {
			return nil, usage("%q is not UTF-8", text)
		}
	}
	return request, nil
}

func encodeInput(value any) ([]byte, error) {
	var text []byte
	switch value := value.(type) {
	case nil:
		return []byte("{}"), nil
	case json.RawMessage:
		text = value
	case []byte:
		text = value
	default:
		var buffer bytes.Buffer
		encoder := json.NewEncoder(&buffer)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return nil, usage("the input cannot be sent as JSON: %v", err)
		}
		text = bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
		if string(text) == "null" {
			// A nil map or pointer.
			return []byte("{}"), nil
		}
	}
	switch {
	case !utf8.Valid(text):
		return nil, usage("the input is not UTF-8")
	case !json.Valid(text):
		return nil, usage("the input is not JSON")
	case !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")):
		return nil, usage("the input must be a JSON object")
	}
	return text, nil
}

func wholeSeconds(timeout *time.Duration) (*int32, error) {
	if timeout == nil {
		return nil, nil
	}
	seconds := *timeout / time.Second
	if *timeout%time.Second != 0 || seconds > math.MaxInt32 || seconds < math.MinInt32 {
		return nil, usage("a session timeout is a whole number of seconds, not %v", *timeout)
	}
	whole := int32(seconds)
	return &whole, nil
}
