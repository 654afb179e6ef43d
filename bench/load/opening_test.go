package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	origin "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// rooms is a server with sessions: "new" opens one and tells its id, which calls must name over the same connection.
type rooms struct {
	lock sync.Mutex
	// owners has the connection that opened each session.
	owners map[string]string
	calls  int
	// answer is what "new" is answered with, of which %s is the id; empty: with an error.
	answer string
}

func (r *rooms) serve(stream grpc.ServerStream) error {
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	from, _ := origin.FromContext(stream.Context())
	answer, err := r.reply(string(message), from.Addr.String())
	if err != nil {
		return err
	}
	out := []byte(answer)
	return stream.SendMsg(&out)
}

func (r *rooms) reply(message, from string) (string, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	if text, ok := strings.CutPrefix(message, "new "); ok {
		if r.answer == "" {
			return "", status.Error(codes.ResourceExhausted, "full")
		}
		id := fmt.Sprintf("%04d", len(r.owners))
		r.owners[id] = from
		return strings.ReplaceAll(r.answer, "%s", id) + text, nil
	}
	r.calls++
	_, call, _ := strings.Cut(message, "in ")
	id, text, _ := strings.Cut(call, ":")
	if r.owners[id] != from {
		return "", status.Error(codes.NotFound, "not here")
	}
	return text, nil
}

// counts returns how many sessions were opened, and how many calls came.
func (r *rooms) counts() (sessions, calls int) {
	r.lock.Lock()
	defer r.lock.Unlock()
	return len(r.owners), r.calls
}

// guests returns n slots, each of which opens a session and calls in it.
func guests(n int, placeholder string) []SlotPlan {
	slots := alike(n)
	for i, slot := range slots {
		slots[i].Request = append([]byte("in "+placeholder+":"), slot.Request...)
		slots[i].Opening = &OpeningPlan{
			Request: append([]byte("new "), slot.Request...), Placeholder: []byte(placeholder), After: []byte("id="),
		}
	}
	return slots
}

func TestASlotCallsWithWhatItsOpeningWasTold(t *testing.T) {
	for name, plan := range map[string]Plan{
		"a closed loop": {Slots: guests(7, "????"), Requests: 200, Warmup: 20},
		"an open loop":  {Slots: guests(7, "????"), Rate: 20_000, Seconds: 0.01},
		// As gRPC's prefix begins.
		"a placeholder of zeros": {Slots: guests(7, "\x00\x00\x00\x00"), Requests: 200},
	} {
		t.Run(name, func(t *testing.T) {
			server := &rooms{owners: map[string]string{}, answer: "room id=%s and not id=9999 "}
			plan.Target, plan.Connections = grpcServer(t, server.serve), 3
			result := playPlan(t, &plan)
			result.want(t, 200, nil)
			if sessions, calls := server.counts(); sessions != 7 || calls != 200+plan.Warmup || result.Messages != 200 {
				t.Errorf("%d sessions, %d calls, %d messages", sessions, calls, result.Messages)
			}
		})
	}
}

// Those without an opening have nothing to wait for, and are told nothing.
func TestSlotsWithAndWithoutAnOpeningShareAConnection(t *testing.T) {
	server := &rooms{owners: map[string]string{}, answer: "id=%s "}
	slots := append(guests(2, "????"), guests(2, "????")...)
	for i := range 2 {
		slots[i] = SlotPlan{Request: []byte("new guest"), Contains: []byte("guest")}
	}
	playPlan(t, &Plan{Target: grpcServer(t, server.serve), Slots: slots, Requests: 40}).want(t, 40, nil)
	if sessions, calls := server.counts(); calls == 0 || sessions != 2+40-calls {
		t.Errorf("%d sessions, %d calls", sessions, calls)
	}
}

func TestNothingIsCalledWhenAnOpeningFails(t *testing.T) {
	for answer, says := range map[string]string{
		"":       "grpc-status 8: full",
		"no %s ": "nothing learned",
		"id=":    "nothing learned",
	} {
		server := &rooms{owners: map[string]string{}, answer: answer}
		plan := &Plan{Target: grpcServer(t, server.serve), Slots: guests(1, "????"), Requests: 30, Warmup: 5}
		if answer == "id=" {
			// The answer ends before it has told as many bytes as are to be replaced.
			plan.Slots[0].Opening.Request, plan.Slots[0].Contains = []byte("new abc"), nil
		}
		playPlan(t, plan).want(t, 0, map[string]int{says: 1, "not sent": 35})
		if _, calls := server.counts(); calls > 0 {
			t.Errorf("%q: %d calls", answer, calls)
		}
	}
}

func TestAWrongAnswerToAnOpeningIsAnError(t *testing.T) {
	server := &rooms{owners: map[string]string{}, answer: "id=%s "}
	slots := guests(2, "????")
	slots[1].Opening.Request = []byte("new something else")
	result := playPlan(t, &Plan{Target: grpcServer(t, server.serve), Slots: slots, Requests: 10})
	if result.code != 1 || result.Errors["content"] != 1 {
		t.Errorf("the exit code is %d, the errors are %v", result.code, result.Errors)
	}
}

func TestOpeningsWithoutAConnectionAreNotSent(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0", func() {})
	listener.Close()
	result := playPlan(t, &Plan{Target: listener.Addr().String(), Slots: guests(2, "????"), Requests: 10})
	if result.code != 1 || result.Answers != 0 || result.Errors["not sent"] != 12 {
		t.Errorf("the exit code is %d, %d answers, the errors are %v", result.code, result.Answers, result.Errors)
	}
}

// What is learned is what the first of them tells.
func TestAnOpeningMayBeAnsweredBySeveralMessages(t *testing.T) {
	var told atomic.Value
	target := frameServer(t, nil, func(p *peer) {
		for id, body, ok := p.next(); ok; id, body, ok = p.next() {
			if bytes.HasSuffix(body, []byte("new")) {
				p.answer(id, append(framed(0, "id=1"), framed(0, "id=2")...))
			} else {
				told.Store(string(body[prefixLength:]))
				p.answer(id, append(body, body...))
			}
		}
	})
	slot := SlotPlan{
		Request: []byte("id=?"), Contains: []byte("id="),
		Opening: &OpeningPlan{Request: []byte("new"), Placeholder: []byte("?"), After: []byte("id=")},
	}
	plan := &Plan{Target: target, Slots: []SlotPlan{slot}, Requests: 3, AnswersPerMessage: 2}
	playPlan(t, plan).want(t, 3, nil)
	if told := told.Load(); told != "id=1" {
		t.Errorf("the requests say %q", told)
	}
}
