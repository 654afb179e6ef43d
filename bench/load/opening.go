package main

import (
	"bytes"
	"errors"
	"fmt"
)

// OpeningPlan is the request with which a slot begins, over its own connection and before the warm-up. The slot fails
// unless it learns from the answer what it puts into all its other requests.
type OpeningPlan struct {
	// Request is the protobuf message, without gRPC's prefix. What answers it is judged as all answers of the slot are.
	// In JSON: base64.
	Request []byte `json:"request"`
	// Placeholder is in the slot's request once. As many bytes of the answer take its place, so that no length in the
	// request changes. In JSON: base64.
	Placeholder []byte `json:"placeholder"`
	// After are the bytes of the answer that stand right before those, where they occur first. In JSON: base64.
	After []byte `json:"after"`
}

// check returns an error unless something can be learned for this request.
func (o *OpeningPlan) check(request []byte) error {
	switch {
	case len(o.Placeholder) == 0:
		return errors.New("placeholder: missing")
	case len(o.After) == 0:
		return errors.New("after: missing")
	}
	if n := bytes.Count(request, o.Placeholder); n != 1 {
		return fmt.Errorf("placeholder: must be in the slot's request once, not %d times", n)
	}
	return nil
}

// lesson is what a slot that has an opening waits for.
type lesson struct {
	// request is what the slot sends from then on, with gRPC's prefix; gap is the part of it that is to be learned.
	request, gap []byte
	after        []byte
	learned      bool
}

// newLesson prepares what is to be learned for a request that has gRPC's prefix.
func newLesson(plan *OpeningPlan, request []byte) *lesson {
	// The placeholder might be in the prefix as well, which is not the request.
	at := prefixLength + bytes.Index(request[prefixLength:], plan.Placeholder)
	return &lesson{request: request, gap: request[at : at+len(plan.Placeholder)], after: plan.After}
}

// take learns from a message that answers the opening, unless there is nothing to learn from it.
func (l *lesson) take(body []byte) {
	_, rest, found := bytes.Cut(body, l.after)
	if found && len(rest) >= len(l.gap) && !l.learned {
		copy(l.gap, rest)
		l.learned = true
	}
}

// openSlots has the slots send their openings. If one of them learns nothing, it closes all connections: the requests of
// that slot would be wrong, so that none is sent.
func (r *run) openSlots() {
	r.phase, r.progress = &phase{}, r.clock()
	for _, l := range r.lanes {
		l.now = r.clock()
		for _, s := range l.slots {
			if s.lesson != nil {
				r.phase.left++
				l.accept(s, l.now)
			}
		}
		l.flush()
	}
	r.turns()
	for _, l := range r.lanes {
		for _, s := range l.slots {
			if s.lesson != nil && !s.graduate() {
				// It says nothing of the connections: only the requests count as not sent.
				r.giveUp(errGone)
				return
			}
		}
	}
}

// graduate has a slot send its own requests from now on, and says whether it has learned what they need.
func (s *slot) graduate() bool {
	learned := s.lesson.learned
	s.message, s.lesson = s.lesson.request, nil
	return learned
}
