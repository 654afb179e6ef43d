package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"
)

// slot is one caller.
type slot struct {
	lane *lane
	// message is a request with gRPC's prefix: that of the opening until lesson, which only then is not nil, is over.
	message []byte
	lesson  *lesson
	// contains must be in each answering message; foundAt is where it was last.
	contains []byte
	foundAt  int
	// begins is what each answering message begins with.
	begins []byte

	// id is the stream that is open, 0 if none is.
	id uint32
	// window is how many bytes the server takes on the stream; below 0 when it has shrunk its windows.
	window int64
	// waits says which queue the slot is in.
	waits waits
	// unsent is how many requests are not sent in full, and offset how much of the first of them is.
	unsent, offset int
	// ending says that the stream ends once all is sent, halfClosed that the server was told so.
	ending, halfClosed bool

	// starts has the times from which unanswered requests count.
	starts times
	// messages is how many messages have answered the oldest request, and wrong what is wrong with them.
	messages int
	wrong    string
	// httpStatus is the response's :status unless it was 200.
	httpStatus string
	// unread is how many bytes were received on the stream and not yet granted anew.
	unread int
	body   assembler
}

// waits is what a slot waits for before more of it can be sent.
type waits int

const (
	// nothing: all is sent.
	nothing waits = iota
	// stream: it is in the queue of slots that need a stream.
	stream
	// turn: it is in the queue of slots that have something to send on theirs.
	turn
	// window: the server takes no more on the stream; it is in no queue.
	window
)

// newSlot prepares what the slot of a plan sends; window is how many requests it may have unanswered.
func newSlot(l *lane, plan SlotPlan, window int) *slot {
	s := &slot{
		lane: l, message: withPrefix(plan.Request), contains: plan.Contains, begins: plan.Begins,
		starts: times{ring: make([]time.Duration, window)},
	}
	if plan.Opening != nil {
		s.lesson = newLesson(plan.Opening, s.message)
		s.message = withPrefix(plan.Opening.Request)
	}
	return s
}

// withPrefix returns a message as gRPC sends it.
func withPrefix(message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// judge notes one answering message; joined says that it may answer many times.
func (s *slot) judge(body []byte, joined bool) {
	if joined {
		s.messages += max(1, bytes.Count(body, s.contains))
	} else {
		s.messages++
	}
	if s.lesson != nil {
		s.lesson.take(body)
	}
	switch {
	case s.body.compressed:
		s.wrong = "compressed message"
	case s.wrong == "" && !(bytes.HasPrefix(body, s.begins) && s.has(body)):
		s.wrong = "content"
	}
}

// has says whether a message has what it must contain. Answers of a slot are alike: it looks first where it was found
// before, which for long messages costs far less than a search.
func (s *slot) has(body []byte) bool {
	end := s.foundAt + len(s.contains)
	if end <= len(body) && bytes.Equal(body[s.foundAt:end], s.contains) {
		return true
	}
	at := bytes.Index(body, s.contains)
	s.foundAt = max(at, 0)
	return at >= 0
}

// verdict names what is wrong with the unary response that has ended, given what its status says; empty: nothing is.
func (s *slot) verdict(status string, expected int) string {
	switch {
	case s.httpStatus != "":
		return "http-status " + s.httpStatus
	case status != "":
		return status
	case s.wrong != "":
		return s.wrong
	case s.body.inside():
		return "broken message"
	case s.messages != expected:
		return fmt.Sprintf("%d messages instead of %d", s.messages, expected)
	case s.lesson != nil && !s.lesson.learned:
		return "nothing learned"
	}
	return ""
}

// forget drops what belongs to a stream that is over.
func (s *slot) forget() {
	s.id, s.unsent, s.offset, s.unread = 0, 0, 0, 0
	s.halfClosed, s.messages, s.wrong, s.httpStatus = false, 0, "", ""
	s.body.reset()
}

// times is a queue of bounded length.
type times struct {
	ring         []time.Duration
	first, count int
}

func (t *times) full() bool { return t.count == len(t.ring) }

// push appends a time; the queue must not be full.
func (t *times) push(at time.Duration) {
	i := t.first + t.count
	if i >= len(t.ring) {
		i -= len(t.ring)
	}
	t.ring[i] = at
	t.count++
}

// pop removes the oldest time; the queue must not be empty.
func (t *times) pop() time.Duration {
	at := t.ring[t.first]
	if t.first++; t.first == len(t.ring) {
		t.first = 0
	}
	t.count--
	return at
}
