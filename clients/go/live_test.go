package sessiongateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	sg "github.com/sessiongateway/sessiongateway/clients/go"
)

func failureOf(t *testing.T, err error, code sg.Code) *sg.Error {
	t.Helper()
	var failure *sg.Error
	if !errors.As(err, &failure) || !errors.Is(err, code) {
		t.Fatalf("%v is not %s", err, code)
	}
	return failure
}

func TestAPlainRunHasNoSession(t *testing.T) {
	client, ctx := connected(t)
	result, err := client.Run(ctx, sg.RunRequest{App: "kv", Input: map[string]any{"action": "look"}})
	if err != nil || result.SessionID != "" || result.Session != nil || result.CallID == "" {
		t.Error(result, err)
	}
}

func TestASessionKeepsItsStateExactly(t *testing.T) {
	client, ctx := connected(t)
	session := client.Session("kv", sg.WithSessionTimeout(5*time.Minute))
	defer session.End(ctx)
	value := json.RawMessage(`{"n": 9007199254740993, "text": "ß€😀", "big": 123456789012345678901234567890}`)
	if _, err := session.Call(ctx, "set_value", map[string]any{"key": "k", "value": value}); err != nil {
		t.Fatal(err)
	}
	result, err := session.Call(ctx, "get_value", map[string]string{"key": "k"})
	if err != nil {
		t.Fatal(err)
	}
	var output struct{ Value map[string]any }
	if err := result.Decode(&output); err != nil {
		t.Fatal(err)
	}
	want := "map[big:123456789012345678901234567890 n:9007199254740993 text:ß€😀]"
	if fmt.Sprint(output.Value) != want || result.Session.CallCount != 2 || result.Session.SessionTimeout != 5*time.Minute {
		t.Error(output.Value, result.Session)
	}
	info, err := session.End(ctx)
	if err != nil || info.Status != sg.StatusEnded || info.EndReason != sg.EndedByCaller || info.EndedAt.IsZero() {
		t.Error(info, err)
	}
}

func TestSessionsAreReadListedRenewedAndEnded(t *testing.T) {
	client, ctx := connected(t)
	opened := make(map[string]bool)
	for range 3 {
		result, err := client.Run(ctx, sg.RunRequest{App: "kv", Session: sg.NewSession})
		if err != nil {
			t.Fatal(err)
		}
		opened[result.SessionID] = true
	}
	for info, err := range client.Sessions.List(ctx, sg.ListSessionsOptions{Status: sg.StatusActive, App: "kv", PageSize: 1}) {
		if err != nil || !opened[info.ID] {
			t.Fatal(info, err)
		}
		delete(opened, info.ID)
		renewed, err := client.Sessions.Keepalive(ctx, info.ID)
		if err != nil || renewed.ExpiresAt.Before(info.ExpiresAt) {
			t.Error(renewed, err)
		}
		if read, err := client.Sessions.Get(ctx, info.ID); err != nil || !read.ExpiresAt.Equal(renewed.ExpiresAt) {
			t.Error(read, err)
		}
		if ended, err := client.Sessions.End(ctx, info.ID); err != nil || ended.Status != sg.StatusEnded {
			t.Error(ended, err)
		}
		_, err = client.Sessions.Keepalive(ctx, info.ID)
		if failure := failureOf(t, err, sg.ErrSessionEnded); failure.EndReason != sg.EndedByCaller || failure.SessionID != info.ID {
			t.Errorf("%+v", failure)
		}
	}
	if len(opened) != 0 {
		t.Error("not listed:", opened)
	}
}

func TestAppsTellWhatCanBeCalled(t *testing.T) {
	client, ctx := connected(t)
	var names []string
	for app, err := range client.Apps.List(ctx, sg.ListAppsOptions{PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, app.Name)
	}
	if fmt.Sprint(names) != "[interpreter kv sql]" {
		t.Error(names)
	}
	app, err := client.Apps.Get(ctx, "sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, function := range app.Functions {
		if streams := function.Name == "rows"; function.Streams != streams || (function.PartialSchema != nil) != streams {
			t.Errorf("%+v", function)
		}
	}
	if app.Version != app.CurrentVersion || app.DefaultFunction != "query" || len(app.Functions) < 3 {
		t.Errorf("%+v", app)
	}
	_, err = client.Apps.Get(ctx, "nothing")
	failureOf(t, err, sg.ErrAppNotFound)
}

func TestErrorsTellWhatHappenedAndWhetherTheCallRan(t *testing.T) {
	client, ctx := connected(t)
	_, err := client.Run(ctx, sg.RunRequest{App: "kv", Session: "abc", SessionTimeout: sg.Ptr(0 * time.Second)})
	failure := failureOf(t, err, sg.ErrInvalidRequest)
	if len(failure.FieldViolations) != 3 || failure.RunState != sg.RunStateNotStarted || failure.HTTPStatus != 400 {
		t.Errorf("%+v", failure)
	}

	_, err = client.Run(ctx, sg.RunRequest{App: "kv", Function: "get_value", Input: map[string]int{"key": 5}})
	failure = failureOf(t, err, sg.ErrInvalidInput)
	if len(failure.FieldViolations) != 1 || failure.FieldViolations[0].Field != "input.key" || failure.Metadata["app"] != "kv" {
		t.Errorf("%+v", failure)
	}

	_, err = client.Run(ctx, sg.RunRequest{App: "interpreter", Function: "read_file", Input: map[string]string{"path": "none"}})
	failure = failureOf(t, err, sg.ErrAppError)
	if failure.RunState != sg.RunStateCompleted || failure.AppFailure.Type != "FileNotFoundError" || failure.CallID == "" {
		t.Errorf("%+v", failure)
	}

	session := client.Session("interpreter")
	defer session.End(ctx)
	if _, err := session.Call(ctx, "", map[string]string{"code": "import os"}); err != nil {
		t.Fatal(err)
	}
	_, err = session.Call(ctx, "", map[string]string{"code": "os.kill(os.getpid(), 9)"})
	failure = failureOf(t, err, sg.ErrWorkerLost)
	if failure.RunState != sg.RunStateUnknown || *failure.WorkerExit.Signal != 9 || failure.SessionID != session.ID() {
		t.Errorf("%+v", failure)
	}
	_, err = session.Call(ctx, "", map[string]string{"code": "1"})
	failure = failureOf(t, err, sg.ErrSessionEnded)
	if failure.RunState != sg.RunStateNotStarted || failure.EndReason != sg.EndedWorkerLost {
		t.Errorf("%+v", failure)
	}

	other, err := client.Run(ctx, sg.RunRequest{App: "kv", Session: sg.NewSession})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Run(ctx, sg.RunRequest{App: "sql", Session: other.SessionID})
	failure = failureOf(t, err, sg.ErrAppMismatch)
	if failure.SessionApp == "" || failure.RequestedApp == "" || failure.SessionApp == failure.RequestedApp {
		t.Errorf("%+v", failure)
	}
}

func TestADeadlineCancelsTheFunctionAndTheSessionLivesOn(t *testing.T) {
	client, ctx := connected(t)
	session := client.Session("interpreter")
	defer session.End(ctx)
	if _, err := session.Call(ctx, "", map[string]string{"code": "import time; x = 5"}); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	_, err := session.Call(short, "", map[string]string{"code": "while True: time.sleep(0.01)"})
	if failure := failureOf(t, err, sg.ErrDeadlineExceeded); failure.RunState != sg.RunStateUnknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v", failure)
	}
	result, err := session.Call(ctx, "", map[string]string{"code": "x"})
	if err != nil {
		t.Fatal(err)
	}
	var output struct{ Result string }
	if err := result.Decode(&output); err != nil || output.Result != "5" {
		t.Error(string(result.Output), err)
	}
}

func TestARepeatWithTheSameRequestIDDoesNotRunAgain(t *testing.T) {
	client, ctx := connected(t)
	session := client.Session("kv")
	defer session.End(ctx)
	var outputs []string
	for range 2 {
		if _, err := session.Call(ctx, "keys", nil); err != nil {
			t.Fatal(err)
		}
		result, err := session.Call(ctx, "", nil, sg.WithRequestID("once"))
		if err != nil {
			t.Fatal(err)
		}
		outputs = append(outputs, string(result.Output))
	}
	if outputs[0] != outputs[1] {
		t.Error(outputs)
	}
	_, err := session.Call(ctx, "", nil, sg.WithExpectedCallCount(1))
	if failure := failureOf(t, err, sg.ErrCallCountMismatch); failure.RunState != sg.RunStateNotStarted {
		t.Errorf("%+v", failure)
	}
}
