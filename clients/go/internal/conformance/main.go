// Command conformance is the conformance executor of the Go client: commands on standard input, answers on standard
// output, one JSON object a line each. The protocol stands in clients/conformance/README.md.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// beginWait is how long the next command waits for a run to be on its way, so that runs arrive in the order in which
// they were told. A run that waits for something else does not keep the others back.
const beginWait = 50 * time.Millisecond

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// executor begins commands in the order in which they come, and answers each when it is done.
type executor struct {
	commands *commands
	running  sync.WaitGroup

	mu      sync.Mutex
	out     *json.Encoder
	pending map[int64]context.CancelFunc
}

// serve serves until the end of the input, then cancels what is pending and closes all.
func serve(in io.Reader, out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	e := &executor{commands: newCommands(), out: encoder, pending: make(map[int64]context.CancelFunc)}
	lines := bufio.NewReaderSize(in, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			e.begin(line)
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	e.cancelAll()
	e.running.Wait()
	e.commands.closeAll()
	return nil
}

func (e *executor) begin(line []byte) {
	var command struct {
		ID     *int64 `json:"id"`
		Op     string `json:"op"`
		Target int64  `json:"target"`
	}
	// A malformed command has no operation that is known, and is answered so.
	err := json.Unmarshal(line, &command)
	if err != nil || command.ID == nil {
		e.answer(command.ID, nil, errUnsupported)
		return
	}
	if command.Op == "cancel" {
		e.cancel(command.Target)
		e.answer(command.ID, object{}, nil)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ctx, begun := withBeginning(ctx)
	e.mu.Lock()
	e.pending[*command.ID] = cancel
	e.mu.Unlock()
	done := make(chan struct{})
	e.running.Go(func() {
		defer close(done)
		defer cancel()
		result, err := e.commands.do(ctx, command.Op, line, begun)
		e.mu.Lock()
		delete(e.pending, *command.ID)
		e.mu.Unlock()
		e.answer(command.ID, result, err)
	})
	timer := time.NewTimer(beginWait)
	defer timer.Stop()
	select {
	case <-begun.done:
	case <-done:
	case <-timer.C:
	}
}

func (e *executor) cancel(id int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if cancel := e.pending[id]; cancel != nil {
		cancel()
	}
}

func (e *executor) cancelAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, cancel := range e.pending {
		cancel()
	}
}

func (e *executor) answer(id *int64, result object, err error) {
	answer := object{"id": id, "ok": result}
	if err != nil {
		answer = object{"id": id, "error": errorOf(err)}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.out.Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "conformance: cannot answer:", err)
	}
}
