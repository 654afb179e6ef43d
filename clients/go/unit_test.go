package sessiongateway

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/sessiongateway/sessiongateway/clients/go/sessiongatewayv1"
)

func TestWaitsGrowUpToTheirMaximum(t *testing.T) {
	b := backoff{initial: 100 * time.Millisecond, maximum: time.Second, multiplier: 2}
	for attempt, want := range map[int]time.Duration{
		0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 3: 800 * time.Millisecond, 4: time.Second, 100_000: time.Second,
	} {
		if got := b.delay(attempt, 1); got != want {
			t.Errorf("attempt %d waits %v, not %v", attempt, got, want)
		}
		if got := b.delay(attempt, 0); got != want/2 {
			t.Errorf("attempt %d waits %v at least, not %v", attempt, got, want/2)
		}
	}
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if pause(over, time.Hour) || !pause(t.Context(), 0) {
		t.Error("a pause is not what its context says")
	}
}

func TestInputsAreSentAsJSONText(t *testing.T) {
	type point struct {
		X int64 `json:"x"`
	}
	for _, each := range []struct {
		input any
		want  string
	}{
		{nil, `{}`},
		{map[string]any(nil), `{}`},
		{point{math.MaxInt64}, `{"x":9223372036854775807}`},
		{map[string]any{"text": "<ß😀>", "n": json.Number("123456789012345678901234567890")}, `{"n":123456789012345678901234567890,"text":"<ß😀>"}`},
		{json.RawMessage(` {"as": "it is"} `), ` {"as": "it is"} `},
		{[]byte(`{"a":1}`), `{"a":1}`},
	} {
		message, err := RunRequest{App: "kv", Input: each.input}.message()
		if err != nil || string(message.GetInputJson()) != each.want {
			t.Errorf("%v is sent as %q, %v", each.input, message.GetInputJson(), err)
		}
	}
}

func TestWhatCannotBeSentIsAMistakeOfUsage(t *testing.T) {
	for name, request := range map[string]RunRequest{
		"no app":             {},
		"NaN":                {App: "kv", Input: map[string]any{"a": math.NaN()}},
		"NaN in text":        {App: "kv", Input: json.RawMessage(`{"a": NaN}`)},
		"a list":             {App: "kv", Input: []int{1}},
		"a number":           {App: "kv", Input: 5},
		"null":               {App: "kv", Input: json.RawMessage("null")},
		"not UTF-8":          {App: "kv", Input: json.RawMessage("{\"a\": \"\xff\"}")},
		"an app not UTF-8":   {App: "\xff"},
		"nothing":            {App: "kv", Input: json.RawMessage("")},
		"two values":         {App: "kv", Input: json.RawMessage("{} {}")},
		"half a second":      {App: "kv", SessionTimeout: Ptr(500 * time.Millisecond)},
		"too many seconds":   {App: "kv", SessionTimeout: Ptr(time.Duration(math.MaxInt64).Truncate(time.Second))},
		"a function in JSON": {App: "kv", Input: map[string]any{"f": func() {}}},
	} {
		message, err := request.message()
		if !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v, %v", name, message, err)
		}
	}
}

func TestAbsentFieldsAreAbsentAndZerosAreSent(t *testing.T) {
	message, err := RunRequest{App: "kv"}.message()
	if err != nil || message.SessionTimeout != nil || message.ExpectedCallCount != nil {
		t.Error(message, err)
	}
	message, err = RunRequest{App: "kv", SessionTimeout: new(time.Duration), ExpectedCallCount: new(int64)}.message()
	if err != nil || message.SessionTimeout == nil || message.ExpectedCallCount == nil {
		t.Error(message, err)
	}
}

func TestNumbersOfAnOutputAreExact(t *testing.T) {
	result, err := resultOf(&pb.RunResponse{Result: &pb.RunResponse_OutputJson{OutputJson: []byte(`{"n": 9007199254740993}`)}})
	if err != nil {
		t.Fatal(err)
	}
	var loose map[string]any
	var strict struct{ N int64 }
	if err := errors.Join(result.Decode(&loose), result.Decode(&strict)); err != nil {
		t.Fatal(err)
	}
	if loose["n"] != json.Number("9007199254740993") || strict.N != 9007199254740993 {
		t.Error(loose, strict)
	}
	if Unmarshal([]byte(`{} x`), &loose) == nil {
		t.Error("what stands behind the value was overlooked")
	}
}

func TestTheNilResultOfAFailedCallIsNoPanic(t *testing.T) {
	var failed *RunResult
	var output map[string]any
	if err := failed.Decode(&output); !errors.Is(err, ErrUsage) || output != nil {
		t.Error(output, err)
	}
}

func TestAnOutputInTheOtherFormIsReadToo(t *testing.T) {
	form, err := structpb.NewStruct(map[string]any{"a": true})
	if err != nil {
		t.Fatal(err)
	}
	result, err := resultOf(&pb.RunResponse{Result: &pb.RunResponse_Output{Output: form}})
	if err != nil || strings.ReplaceAll(string(result.Output), " ", "") != `{"a":true}` {
		t.Error(result, err)
	}
}

func TestAnOutputThatIsNotJSONIsAnError(t *testing.T) {
	_, err := resultOf(&pb.RunResponse{CallId: "c", Result: &pb.RunResponse_OutputJson{OutputJson: []byte(`{"n"`)}})
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != ErrInvalidResponse || failure.RunState != RunStateCompleted || failure.CallID != "c" {
		t.Errorf("%#v", err)
	}
}

func TestASessionIsDecodedWhole(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	got := sessionOf(&pb.Session{
		Id: "sess_a", App: "kv", Version: "1", Status: pb.SessionStatus_SESSION_STATUS_ENDED,
		EndReason: pb.EndReason_END_REASON_CALLER, WorkerId: "w", SessionTimeout: 60,
		CreatedAt: timestamppb.New(now), ExpiresAt: timestamppb.New(now), ExpiresIn: durationpb.New(time.Second),
		EndedAt: timestamppb.New(now), CallCount: 1 << 60,
		WorkerExit: &pb.WorkerExit{How: &pb.WorkerExit_ExitCode{ExitCode: 3}},
	})
	want := &SessionInfo{
		ID: "sess_a", App: "kv", Version: "1", Status: StatusEnded, EndReason: EndedByCaller, WorkerID: "w",
		SessionTimeout: time.Minute, CreatedAt: now, ExpiresAt: now, ExpiresIn: time.Second, EndedAt: now,
		CallCount: 1 << 60, WorkerExit: &WorkerExit{ExitCode: Ptr(3)},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, not %+v", got, want)
	}
	if newer := sessionOf(&pb.Session{Status: 42}); newer.Status != "unknown_42" || newer.EndReason != "" {
		t.Errorf("%+v", newer)
	}
	if exit := workerExitOf(&pb.WorkerExit{}); exit.String() != "unseen" {
		t.Error(exit)
	}
}

func TestAClientThatCannotWorkIsNotMade(t *testing.T) {
	for _, options := range [][]Option{
		{WithAddress("localhost")},
		{WithAddress("http://127.0.0.1:50151")},
		{WithAPIKey("a\n")},
		{WithAPIKey("ä")},
	} {
		if client, err := NewClient(options...); !errors.Is(err, ErrUsage) {
			t.Error(client, err)
		} else if strings.Contains(err.Error(), "ä") {
			t.Error("the message has the key in it")
		}
	}
}

func TestAnAddressThatIsAURLIsRefused(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:50151", "https://gateway:443/", "HTTP://gateway:1"} {
		t.Setenv("SGW_ADDRESS", address)
		_, err := NewClient()
		if !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "the address of a gateway is HOST:PORT, not a URL") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"http:1", "dns:///gateway:1", "unix:///run/sgw"} {
		if err := checkAddress(address); err != nil {
			t.Error(err)
		}
	}
}

func TestTheEnvironmentSaysWhereTheGatewayIs(t *testing.T) {
	t.Setenv("SGW_ADDRESS", "127.0.0.1:1")
	client, err := NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if target := client.transport.conn.Target(); target != "127.0.0.1:1" {
		t.Error(target)
	}
}
