package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// line has the requests of an open loop. Request i is due at begin plus i intervals, whatever became of those before;
// the slot that has been free for longest takes it, or the next one that becomes free.
type line struct {
	run      *run
	begin    time.Duration
	interval float64 // in nanoseconds
	total    int
	free     queue
	// due is how many requests were due so far, sent how many of them a slot has.
	due, sent int
	ticker    int
}

// shortestTick is how often the line is looked at, at most: requests that are due sooner go together.
const shortestTick = 50 * time.Microsecond

// tickerNumber stands for the ticker in events.
const tickerNumber = -1

// newLine returns a line whose first request is due at begin. It panics if the kernel has no timer left.
func newLine(r *run, total int, begin time.Duration) *line {
	n := &line{run: r, begin: begin, interval: float64(time.Second) / r.plan.Rate, total: total}
	ticker, err := newTicker(max(time.Duration(n.interval), shortestTick))
	if err == nil {
		err = r.poller.add(ticker, tickerNumber)
	}
	if err != nil {
		panic(fmt.Sprintf("timer: %v", err))
	}
	n.ticker = ticker
	return n
}

func (n *line) close() { closeSocket(n.ticker) }

// start returns when request i is due.
func (n *line) start(i int) time.Duration { return n.begin + time.Duration(float64(i)*n.interval) }

// release takes back a slot that is free, or gives it the request that waits for longest.
func (n *line) release(s *slot) (start time.Duration, ok bool) {
	if n.sent < n.due {
		n.sent++
		return n.start(n.sent - 1), true
	}
	n.free.push(s)
	return 0, false
}

// tick sends the requests that are due by now, as far as there are free slots.
func (n *line) tick() {
	// What it reads is how many ticks there were; the clock says what is due.
	var ticks [8]byte
	_, _ = read(n.ticker, ticks[:])
	now := n.run.clock()
	if n.total-n.run.phase.left == n.sent {
		// Nobody is waited for: that nothing is answered says nothing of the server.
		n.run.progress = now
	}
	for n.due < n.total && n.start(n.due) <= now {
		n.due++
	}
	for n.sent < n.due && n.free.len() > 0 {
		s := n.free.pop()
		s.lane.accept(s, n.start(n.sent))
		n.sent++
	}
	for _, l := range n.run.lanes {
		l.flush()
	}
}

// abandon takes all requests that no slot has, and returns their number.
func (n *line) abandon() int {
	rest := n.total - n.sent
	n.due, n.sent = n.total, n.total
	return rest
}

// accept gives a free slot a request, which is lost if the lane takes leave.
func (l *lane) accept(s *slot, start time.Duration) {
	if l.dead || l.link != nil && l.link.goaway {
		l.giveUp(1)
		return
	}
	l.submit(s, start)
}

// newTicker returns a timer of the kernel as a descriptor that can be read with each tick. Waits of epoll are not exact
// enough: they take milliseconds.
func newTicker(interval time.Duration) (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	every := unix.NsecToTimespec(int64(interval))
	return fd, unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
}
