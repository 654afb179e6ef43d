package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// answersTo returns what a program of the protocol would read, by the ids of the commands.
func answersTo(t *testing.T, lines ...string) map[string]json.RawMessage {
	t.Helper()
	return answersToInput(t, strings.NewReader(strings.Join(lines, "\n")+"\n"))
}

func answersToInput(t *testing.T, in io.Reader) map[string]json.RawMessage {
	t.Helper()
	var out bytes.Buffer
	if err := serve(in, &out); err != nil {
		t.Fatal(err)
	}
	answers := make(map[string]json.RawMessage)
	decoder := json.NewDecoder(&out)
	for {
		var answer map[string]json.RawMessage
		if err := decoder.Decode(&answer); err == io.EOF {
			return answers
		} else if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"ok", "error"} {
			if body, has := answer[kind]; has {
				if answers[string(answer["id"])] != nil {
					t.Errorf("%s is answered twice", answer["id"])
				}
				answers[string(answer["id"])] = body
			}
		}
	}
}

func codeOf(t *testing.T, body json.RawMessage) string {
	t.Helper()
	var shown struct{ Code string }
	if err := json.Unmarshal(body, &shown); err != nil {
		t.Error(err)
	}
	return shown.Code
}

func TestEveryCommandIsAnsweredOnce(t *testing.T) {
	answers := answersTo(t,
		`{"id": 1, "op": "no such thing"}`,
		`not JSON`,
		``,
		`{"id": 2, "op": "connect", "client": "c", "address": "127.0.0.1:1"}`,
		`{"id": 3, "op": "run", "client": "c", "params": {"app": "kv"}, "input": "{\"a\": NaN}"}`,
		`{"id": 4, "op": "run", "client": "c", "params": {"app": "kv"}, "timeout": 10}`,
		`{"id": 5, "op": "run", "client": "unknown", "params": {"app": "kv"}}`,
		`{"id": 6, "op": "run", "client": "c", "params": {"app": 5}}`,
		`{"id": 7, "op": "close", "client": "c"}`,
	)
	for id, want := range map[string]string{
		"1": "UNSUPPORTED_COMMAND", "null": "UNSUPPORTED_COMMAND", "3": "USAGE", "5": "USAGE", "6": "USAGE",
	} {
		if code := codeOf(t, answers[id]); code != want {
			t.Errorf("%s is answered with %s", id, answers[id])
		}
	}
	if string(answers["2"]) != "{}" || string(answers["7"]) != "{}" || answers["4"] == nil || len(answers) != 8 {
		t.Error(answers)
	}
}

func TestWhatIsPendingIsCancelledByACommandAndByTheEndOfTheInput(t *testing.T) {
	lines := []string{
		`{"id": 1, "op": "connect", "client": "c", "address": "127.0.0.1:1"}`,
		`{"id": 2, "op": "handle_open", "client": "c", "handle": "h", "app": "kv"}`,
		`{"id": 3, "op": "handle_lost", "handle": "h", "timeout": 3600}`,
		`{"id": 4, "op": "handle_lost", "handle": "h"}`,
		`{"id": 5, "op": "cancel", "target": 3}`,
		`{"id": 6, "op": "handle_lost", "handle": "h", "timeout": 0}`,
	}
	synctest.Test(t, func(t *testing.T) {
		in, program := io.Pipe()
		go func() {
			for _, line := range lines {
				if _, err := io.WriteString(program, line+"\n"); err != nil {
					t.Error(err)
				}
				// The last command has its own answer before the end of the input cancels what is left.
				synctest.Wait()
			}
			_ = program.Close()
		}()
		answers := answersToInput(t, in)
		for _, id := range []string{"3", "4"} {
			if code := codeOf(t, answers[id]); code != "CANCELLED" {
				t.Errorf("%s is answered with %s", id, answers[id])
			}
		}
		if string(answers["5"]) != "{}" || string(answers["6"]) != `{"timeout":true}` {
			t.Error(answers)
		}
	})
}
