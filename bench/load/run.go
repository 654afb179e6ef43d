package main

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
)

// run carries out a plan, once.
type run struct {
	plan   *Plan
	fields []hpack.HeaderField
	lanes  []*lane
	begun  time.Time
	// lastID is the highest id that a stream may have on a connection.
	lastID uint32
	phase  atomic.Pointer[phase]
	// progress is when something was settled last, since the run was made.
	progress atomic.Int64
	// alive is how many lanes may still answer.
	alive atomic.Int64
	// aborted says that nothing came for too long, closing that no more is wanted.
	aborted, closing atomic.Bool
	serving          sync.WaitGroup
}

// phase is a part of a run: the warm-up, the measurement, the end of streams.
type phase struct {
	// left is how many requests are not settled, budget how many of a closed loop are not yet given to a slot.
	left, budget atomic.Int64
	// line has the requests of an open loop; nil: the loop is closed.
	line *line
	// done is closed when none is left.
	done chan struct{}
}

func newPhase(requests int) *phase {
	p := &phase{done: make(chan struct{})}
	p.left.Store(int64(requests))
	return p
}

// take takes a request of a closed loop, if there is one.
func (p *phase) take() bool { return p.budget.Add(-1) >= 0 }

// abandon takes all requests that no slot has, and returns their number.
func (p *phase) abandon() int {
	if p.line != nil {
		return p.line.abandon()
	}
	return int(max(p.budget.Swap(0), 0))
}

func newRun(plan *Plan) *run {
	r := &run{plan: plan, fields: requestFields(plan), begun: time.Now(), lastID: 1<<31 - 1}
	for range min(plan.Connections, len(plan.Slots)) {
		r.lanes = append(r.lanes, &lane{run: r, tally: tally{errors: failures{}}})
	}
	for i, slotPlan := range plan.Slots {
		l := r.lanes[i%len(r.lanes)]
		l.slots = append(l.slots, newSlot(l, slotPlan, plan.Window))
	}
	r.phase.Store(newPhase(0))
	return r
}

// clock returns the time since the run was made.
func (r *run) clock() time.Duration { return time.Since(r.begun) }

// play connects, warms up, measures this many requests, and leaves nothing open.
func (r *run) play(requests int) *Report {
	r.connect()
	if r.plan.Warmup > 0 {
		warmup := newPhase(r.plan.Warmup)
		warmup.budget.Store(int64(r.plan.Warmup))
		r.carryOut(warmup)
	}
	report := r.measure(requests)
	if r.plan.Kind == bidi {
		r.endStreams()
	}
	r.close()
	for _, l := range r.lanes {
		for name, n := range l.errors {
			failures(report.Errors).add(name, n)
		}
	}
	return report
}

// connect opens all connections.
func (r *run) connect() {
	r.alive.Store(int64(len(r.lanes)))
	for _, l := range r.lanes {
		l.mu.Lock()
		if err := l.connect(); err != nil {
			l.die(err)
		} else {
			r.serving.Go(l.serve)
		}
		l.mu.Unlock()
	}
}

// carryOut starts a phase, and returns when all of it is settled.
func (r *run) carryOut(p *phase) {
	r.progress.Store(int64(r.clock()))
	r.phase.Store(p)
	for _, l := range r.lanes {
		l.mu.Lock()
		l.now = r.clock()
		for _, s := range l.slots {
			l.refill(s)
		}
		l.wake()
		l.mu.Unlock()
	}
	if r.alive.Load() == 0 {
		r.lanes[0].giveUp(p.abandon())
	}
	if p.line != nil {
		p.line.pace(r)
	}
	r.wait(p)
}

// giveUp counts n requests for which there is no connection.
func (l *lane) giveUp(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > 0 {
		l.errors.add("not sent", n)
		l.run.settled(n, l.run.clock())
	}
}

// wait returns when all of a phase is settled. If nothing is for too long, it breaks all connections, which settles it.
func (r *run) wait(p *phase) {
	for {
		patience := time.Duration(r.progress.Load()) + r.plan.timeout() - r.clock()
		if patience <= 0 {
			r.aborted.Store(true)
			r.closeAll()
			<-p.done
			return
		}
		timer := time.NewTimer(patience)
		select {
		case <-p.done:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// settled notes that n requests of the phase need no more care.
func (r *run) settled(n int, now time.Duration) {
	r.progress.Store(int64(now))
	p := r.phase.Load()
	if p.left.Add(-int64(n)) == 0 {
		close(p.done)
	}
}

// laneLost notes that a lane is dead. It returns how many requests are left to nobody.
func (r *run) laneLost() int {
	if r.alive.Add(-1) > 0 {
		return 0
	}
	return r.phase.Load().abandon()
}

// measure carries out the measurement of this many requests.
func (r *run) measure(requests int) *Report {
	for _, l := range r.lanes {
		l.mu.Lock()
		l.tally = tally{times: make([]time.Duration, 0, requests/len(r.lanes)+1), errors: l.errors}
		l.mu.Unlock()
	}
	p := newPhase(requests)
	before, begin := cpuTime(), r.clock()
	if r.plan.openLoop() {
		p.line = newLine(r, requests, begin)
	} else {
		p.budget.Store(int64(requests))
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
		l.mu.Lock()
		times = append(times, l.times...)
		last = max(last, l.last)
		report.BytesSent += l.sent
		report.BytesReceived += l.received
		report.Messages += l.messages
		l.mu.Unlock()
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
	// One more, so that the phase is not over before all have been told.
	p := newPhase(1)
	r.progress.Store(int64(r.clock()))
	r.phase.Store(p)
	for _, l := range r.lanes {
		l.mu.Lock()
		for _, s := range l.slots {
			if s.id != 0 && !l.dead {
				p.left.Add(1)
				s.ending = true
				l.enqueue(s)
			}
		}
		l.wake()
		l.mu.Unlock()
	}
	r.settled(1, r.clock())
	r.wait(p)
}

// close closes all connections, and returns when their goroutines have ended.
func (r *run) close() {
	r.closing.Store(true)
	r.closeAll()
	r.serving.Wait()
}

func (r *run) closeAll() {
	for _, l := range r.lanes {
		l.mu.Lock()
		if l.link != nil {
			l.link.conn.Close()
		}
		l.mu.Unlock()
	}
}

// cpuTime returns the user and system time that this process has taken.
func cpuTime() time.Duration {
	var usage unix.Rusage
	// It fails only for arguments that are not these.
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
