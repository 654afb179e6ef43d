package main

import (
	"sync"
	"testing"

	"google.golang.org/grpc"
)

// gate answers requests only when as many as it waits for are there, and counts what comes.
type gate struct {
	lock    sync.Mutex
	opens   *sync.Cond
	size    int
	waiting int
	round   int
	most    int
	bodies  map[string]int
}

func newGate(size int) *gate {
	g := &gate{size: size, bodies: map[string]int{}}
	g.opens = sync.NewCond(&g.lock)
	return g
}

func (g *gate) serve(stream grpc.ServerStream) error {
	var message []byte
	if err := stream.RecvMsg(&message); err != nil {
		return err
	}
	g.pass(string(message))
	return stream.SendMsg(&message)
}

func (g *gate) pass(body string) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.bodies[body]++
	g.waiting++
	g.most = max(g.most, g.waiting)
	round := g.round
	if g.waiting == g.size {
		g.waiting = 0
		g.round++
		g.opens.Broadcast()
	}
	for round == g.round {
		g.opens.Wait()
	}
}

func TestSlotsTakeTurns(t *testing.T) {
	g := newGate(1)
	plan := &Plan{Target: grpcServer(t, g.serve), Slots: alike(10), InFlight: 1, Requests: 120, Warmup: 20}
	playPlan(t, plan).want(t, 120, nil)
	g.lock.Lock()
	defer g.lock.Unlock()
	for _, slot := range plan.Slots {
		if calls := g.bodies[string(slot.Request)]; calls != 14 {
			t.Errorf("%q was sent %d times, not 14", slot.Request, calls)
		}
	}
}

func TestAsManyRequestsAreInFlightAsThePlanSays(t *testing.T) {
	for _, connections := range []int{1, 3} {
		g := newGate(6)
		plan := &Plan{
			Target: grpcServer(t, g.serve), Connections: connections, Slots: alike(11), InFlight: 6, Requests: 120, Warmup: 12,
		}
		playPlan(t, plan).want(t, 120, nil)
		g.lock.Lock()
		if g.most != 6 || len(g.bodies) != 11 {
			t.Errorf("%d slots were heard of, and %d requests at a time", len(g.bodies), g.most)
		}
		g.lock.Unlock()
	}
}

func TestSlotsOpenTogetherAndThenTakeTurns(t *testing.T) {
	server := &rooms{owners: map[string]string{}, answer: "id=%s "}
	plan := &Plan{
		Target: grpcServer(t, server.serve), Slots: guests(9, "????"), Connections: 2, InFlight: 2, Requests: 90, Warmup: 9,
	}
	playPlan(t, plan).want(t, 90, nil)
	if sessions, calls := server.counts(); sessions != 9 || calls != 99 {
		t.Errorf("%d sessions, %d calls", sessions, calls)
	}
}
