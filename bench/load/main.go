package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

func main() {
	// All is done by one goroutine; the other processor is for the collector.
	runtime.GOMAXPROCS(2)
	// Little is allocated while requests run, so that the heap may grow before the collector takes time from them.
	debug.SetGCPercent(800)
	os.Exit(play(os.Stdin, os.Stdout, os.Stderr))
}

// play reads a plan, carries it out and writes the report. It returns the exit code.
func play(in io.Reader, out, problems io.Writer) int {
	plan, err := readPlan(in)
	if err != nil {
		fmt.Fprintf(problems, "the plan cannot be read: %v\n", err)
		return 2
	}
	requests := plan.Requests
	if plan.openLoop() {
		requests = plan.due()
	}
	r, err := newRun(plan)
	if err != nil {
		fmt.Fprintln(problems, err)
		return 1
	}
	report := r.play(requests)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(report); err != nil {
		fmt.Fprintf(problems, "the report cannot be written: %v\n", err)
		return 1
	}
	if !report.ok(requests) {
		return 1
	}
	return 0
}
