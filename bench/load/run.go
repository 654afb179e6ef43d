package main

import (
	"fmt"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// run carries out a plan, once, in one goroutine.
type run struct {
	plan   *Plan
	fields []hpack.HeaderField
	lanes  []*lane
	poller *poller
	begun  time.Time
	// lastID is the highest id that a stream may have on a connection.
	lastID uint32
	phase  *phase
	// progress is when something was settled last, since the run was made.
	progress time.Duration
	// alive is how many lanes may still answer.
	alive int
	// connected says that all lanes were connected, or could not be.
	connected bool
}

// phase is a part of a run: connecting, the openings, the warm-up, the measurement, the end of streams.
type phase struct {
	// left is how many requests (connections, streams) are not settled, budget how many requests of a closed loop are not
	// yet given to a slot.
	left, budget int
	// line has the requests of an open loop; nil: the loop is closed.
	line *line
}

// take takes a request of a closed loop, if there is one.
func (p *phase) take() bool {
	if p.budget == 0 {
		return false
	}
	p.budget--
	return true
}

// abandon takes all requests that no slot has, and returns their number.
func (p *phase) abandon() int {
	n := p.budget
	p.budget = 0
	if p.line != nil {
		n += p.line.abandon()
	}
	return n
}

// newRun prepares a run. It returns an error if the system has no poller left for it.
func newRun(plan *Plan) (*run, error) {
	poller, err := newPoller()
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	r := &run{
		plan: plan, fields: requestFields(plan), poller: poller, phase: &phase{},
		begun: time.Now(), lastID: 1<<31 - 1,
	}
	for i := range plan.lanes() {
		r.lanes = append(r.lanes, &lane{run: r, number: i, tally: tally{errors: failures{}}})
	}
	for i, slotPlan := range plan.Slots {
		l := r.lanes[i%len(r.lanes)]
		l.slots = append(l.slots, newSlot(l, slotPlan, plan.Window))
	}
	return r, nil
}

// clock returns the time since the run was made.
func (r *run) clock() time.Duration { return time.Since(r.begun) }

// play connects, opens the slots, warms up, measures this many requests, and leaves nothing open.
func (r *run) play(requests int) *Report {
	r.connect()
	r.openSlots()
	if r.plan.Warmup > 0 {
		r.carryOut(&phase{left: r.plan.Warmup, budget: r.plan.Warmup})
	}
	report := r.measure(requests)
	if r.plan.Kind == bidi {
		r.endStreams()
	}
	for _, l := range r.lanes {
		l.hangUp()
		for name, n := range l.errors {
			failures(report.Errors).add(name, n)
		}
	}
	closeSocket(r.poller.epoll)
	return report
}

// connect opens all connections.
func (r *run) connect() {
	r.phase = &phase{left: len(r.lanes)}
	r.alive = len(r.lanes)
	for _, l := range r.lanes {
		l.connect()
	}
	r.progress = r.clock()
	r.turns()
	r.connected = true
}

// carryOut starts a phase, and returns when all of it is settled.
func (r *run) carryOut(p *phase) {
	r.phase, r.progress = p, r.clock()
	if r.alive == 0 {
		r.lanes[0].giveUp(p.abandon())
	}
	for _, l := range r.lanes {
		l.now = r.clock()
		l.resting, l.busy = queue{}, len(l.slots)
		for _, s := range l.slots {
			l.refill(s)
		}
		l.flush()
	}
	r.turns()
}

// turns handles events until all of the phase is settled. If nothing is for too long, it closes all connections, which
// settles the rest.
func (r *run) turns() {
	for r.phase.left > 0 {
		patience := r.progress + r.plan.timeout() - r.clock()
		if patience <= 0 {
			r.giveUp(errSilent)
			return
		}
		events, err := r.poller.wait(patience)
		if err != nil {
			panic(fmt.Sprintf("epoll: %v", err))
		}
		for _, event := range events {
			if event.Fd == tickerNumber {
				r.phase.line.tick()
			} else {
				r.lanes[event.Fd].turn()
			}
		}
	}
}

// giveUp breaks all connections.
func (r *run) giveUp(reason error) {
	for _, l := range r.lanes {
		if !l.dead {
			l.hangUp()
			l.lose(reason)
		}
	}
}

// settled notes that n requests of the phase need no more care.
func (r *run) settled(n int, now time.Duration) {
	r.progress = max(r.progress, now)
	r.phase.left -= n
}

// measure carries out the measurement of this many requests.
func (r *run) measure(requests int) *Report {
	for _, l := range r.lanes {
		l.tally = tally{times: make([]time.Duration, 0, requests/len(r.lanes)+1), errors: l.errors}
	}
	p := &phase{left: requests}
	before, begin := cpuTime(), r.clock()
	if r.plan.openLoop() {
		p.line = newLine(r, requests, begin)
		defer p.line.close()
	} else {
		p.budget = requests
	}
	r.carryOut(p)
	return r.report(begin, cpuTime()-before)
}

// report sums up the measurement that began at begin, without errors.
func (r *run) report(begin, cpu time.Duration) *Report {
	report := &Report{Errors: map[string]int{}, CPUSeconds: cpu.Seconds()}
	var times []time.Duration
	last := begin
	for _, l := range r.lanes {
		times = append(times, l.times...)
		last = max(last, l.last)
		report.BytesSent += l.sent
		report.BytesReceived += l.received
		report.Messages += l.messages
	}
	report.Answers = len(times)
	report.Seconds = (last - begin).Seconds()
	if report.Seconds > 0 {
		report.Rate = float64(report.Answers) / report.Seconds
	}
	report.LatencyMS = describe(times)
	return report
}

// endStreams ends the streams that are open, and waits for their status.
func (r *run) endStreams() {
	r.phase, r.progress = &phase{}, r.clock()
	for _, l := range r.lanes {
		for _, s := range l.slots {
			if s.id != 0 && !l.dead {
				r.phase.left++
				s.ending = true
				l.enqueue(s)
			}
		}
		l.flush()
	}
	r.turns()
}

// cpuTime returns the user and system time that this process has taken.
func cpuTime() time.Duration {
	var usage unix.Rusage
	// It fails only for arguments that are not these.
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
