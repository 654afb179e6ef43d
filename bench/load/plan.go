package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Plan says what to send, where, and how fast.
type Plan struct {
	// Target is "host:port", or "unix:/path". No TLS.
	Target string `json:"target"`
	// Connections is how many connections are opened, 1 if absent; those that no slot would use are not.
	Connections int `json:"connections"`
	// Path is the method as HTTP/2 sees it: "/package.Service/Method".
	Path string `json:"path"`
	// Metadata is sent with every request; its names are in lower case.
	Metadata map[string]string `json:"metadata"`
	// Kind is "unary", a stream for each request; or "bidi", a stream for each slot with a message for each request.
	Kind string `json:"kind"`
	// Slots are the callers. Slot i lives on connection i modulo the number of connections.
	Slots []SlotPlan `json:"slots"`
	// Requests is how many requests are sent in a closed loop, over all slots.
	Requests int `json:"requests"`
	// InFlight is how many requests of a closed loop are unanswered at a time, and the slots of each connection take turns
	// with them; 0, and absent: each slot has one. Only for "unary"; divided evenly among the connections.
	InFlight int `json:"in_flight"`
	// Rate is how many requests a second are due in an open loop, which lasts for Seconds. Not for "bidi".
	Rate    float64 `json:"rate"`
	Seconds float64 `json:"seconds"`
	// Window is how many requests of a bidirectional stream may be unanswered, 1 if absent.
	Window int `json:"window"`
	// AnswersPerMessage is how many messages answer a request, 1 if absent; unary responses too must have so many.
	AnswersPerMessage int `json:"answers_per_message"`
	// Joined says that a message answers as many times as it has Contains in it, rather than once. Only for "bidi".
	Joined bool `json:"joined"`
	// Warmup is how many requests come before the measurement, in a closed loop: their errors count, their times do not.
	Warmup int `json:"warmup"`
	// Timeout is for how many seconds nothing may be answered before the run has failed, 30 if absent. It also limits
	// how long connecting takes.
	Timeout float64 `json:"timeout"`
}

// SlotPlan is what one slot sends, and what must be in each message that answers it.
type SlotPlan struct {
	// Request is the protobuf message, without gRPC's prefix. In JSON: base64.
	Request []byte `json:"request"`
	// Contains are bytes that each answering message has somewhere; empty: anything is right. In JSON: base64.
	Contains []byte `json:"contains"`
	// Begins are bytes that each answering message begins with; empty: anything is right. In JSON: base64.
	Begins []byte `json:"begins"`
	// Opening, if there is one, comes first; its errors count, its time does not. Only for "unary".
	Opening *OpeningPlan `json:"opening"`
}

// The kinds of a plan.
const (
	unary = "unary"
	bidi  = "bidi"
)

// maxSeconds keeps times in range of a time.Duration, and a mistake in a plan from running for days.
const maxSeconds = 86400

// readPlan reads and checks a plan. The error says what is wrong with it, in one line.
func readPlan(source io.Reader) (*Plan, error) {
	plan := &Plan{Connections: 1, Window: 1, AnswersPerMessage: 1, Timeout: 30}
	decoder := json.NewDecoder(source)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(plan); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return plan, plan.check()
}

// check returns an error that names the first field which is missing or out of range.
func (p *Plan) check() error {
	for _, rule := range []struct {
		holds bool
		says  string
	}{
		{p.Target != "", "target: missing"},
		{strings.HasPrefix(p.Path, "/"), "path: must begin with a slash"},
		{p.Kind == unary || p.Kind == bidi, `kind: must be "unary" or "bidi"`},
		{len(p.Slots) > 0, "slots: at least one is needed"},
		{p.Connections >= 1, "connections: at least 1"},
		{p.Window >= 1, "window: at least 1"},
		{p.Kind == bidi || p.Window == 1, "window: only for bidi"},
		{p.Kind == bidi || !p.Joined, "joined: only for bidi"},
		{p.AnswersPerMessage >= 1, "answers_per_message: at least 1"},
		{p.Warmup >= 0, "warmup: not negative"},
		{p.InFlight == 0 || p.Kind == unary && p.Rate == 0, "in_flight: only for unary, and a closed loop"},
		{p.inTurn(), "in_flight: as many for each connection, and no more than it has slots"},
		{p.Timeout > 0 && p.Timeout <= maxSeconds, fmt.Sprintf("timeout: up to %d seconds", maxSeconds)},
	} {
		if !rule.holds {
			return errors.New(rule.says)
		}
	}
	if err := p.checkPace(); err != nil {
		return err
	}
	if err := p.checkOpenings(); err != nil {
		return err
	}
	return p.checkMetadata()
}

// checkOpenings returns an error that names the first slot whose opening cannot be carried out.
func (p *Plan) checkOpenings() error {
	for i, slot := range p.Slots {
		if slot.Opening == nil {
			continue
		}
		err := errors.New("only for unary")
		if p.Kind == unary {
			err = slot.Opening.check(slot.Request)
		}
		if err != nil {
			return fmt.Errorf("slots[%d].opening: %w", i, err)
		}
	}
	return nil
}

// maxMetadata is how many bytes of metadata a request may have: with the rest of its header they fit into a frame.
const maxMetadata = 8 << 10

// checkMetadata returns an error if HTTP/2 would not carry the metadata.
func (p *Plan) checkMetadata() error {
	length := 0
	for name, value := range p.Metadata {
		if name == "" || name[0] == ':' || name != strings.ToLower(name) {
			return fmt.Errorf("metadata: %q is no name in lower case", name)
		}
		length += len(name) + len(value)
	}
	if length > maxMetadata {
		return fmt.Errorf("metadata: up to %d bytes", maxMetadata)
	}
	return nil
}

// checkPace returns an error unless exactly one of the two loops is asked for.
func (p *Plan) checkPace() error {
	if p.Requests > 0 && p.Rate == 0 && p.Seconds == 0 {
		return nil
	}
	switch {
	case p.Requests != 0 || p.Rate <= 0 || p.Seconds <= 0:
		return errors.New(`"requests" alone, or "rate" and "seconds", above zero`)
	case p.Kind == bidi:
		return errors.New("rate: not for bidi")
	case p.Seconds > maxSeconds:
		return fmt.Errorf("seconds: up to %d", maxSeconds)
	case p.Rate > 1e6 || p.due() < 1:
		return errors.New("rate: up to 1000000 a second, and at least one request within the time")
	}
	return nil
}

// lanes is how many connections are opened.
func (p *Plan) lanes() int { return min(p.Connections, len(p.Slots)) }

// inTurn says whether the requests in flight can be shared among the connections, each of which has some slot for each.
func (p *Plan) inTurn() bool {
	lanes := p.lanes()
	return p.InFlight == 0 || lanes > 0 && p.InFlight > 0 && p.InFlight%lanes == 0 && p.InFlight/lanes <= len(p.Slots)/lanes
}

// openLoop says whether requests are due at a constant rate.
func (p *Plan) openLoop() bool { return p.Rate > 0 }

// due is how many requests an open loop has.
func (p *Plan) due() int { return int(math.Floor(p.Rate*p.Seconds + 1e-9)) }

// timeout is Timeout as a duration.
func (p *Plan) timeout() time.Duration { return time.Duration(p.Timeout * float64(time.Second)) }
