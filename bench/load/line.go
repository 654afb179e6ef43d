package main

import (
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// line has the requests of an open loop. Request i is due at begin plus i intervals, whatever became of those before;
// the slot that has been free for longest takes it, or the next one that becomes free.
//
// Its mutex may be taken while that of a lane is held, never the other way round.
type line struct {
	run      *run
	begin    time.Duration
	interval float64 // in nanoseconds
	total    int

	mu   sync.Mutex
	free queue
	// due is how many requests were due so far, sent how many of them a slot has.
	due, sent int
}

// appointment is a request that a slot is to send.
type appointment struct {
	slot  *slot
	start time.Duration
}

func newLine(r *run, total int, begin time.Duration) *line {
	return &line{run: r, begin: begin, interval: float64(time.Second) / r.plan.Rate, total: total}
}

// start returns when request i is due.
func (n *line) start(i int) time.Duration { return n.begin + time.Duration(float64(i)*n.interval) }

// release takes back a slot that is free, or gives it the request that waits for longest.
func (n *line) release(s *slot) (start time.Duration, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sent < n.due {
		n.sent++
		return n.start(n.sent - 1), true
	}
	n.free.push(s)
	return 0, false
}

// claim appends to found the requests that are due by now and the free slots that take them. It says whether more will
// be due.
func (n *line) claim(now time.Duration, found []appointment) ([]appointment, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.total-int(n.run.phase.Load().left.Load()) == n.sent {
		// Nobody is waited for: that nothing is answered says nothing of the server.
		n.run.progress.Store(int64(now))
	}
	for n.due < n.total && n.start(n.due) <= now {
		n.due++
	}
	for n.sent < n.due && n.free.len() > 0 {
		found = append(found, appointment{n.free.pop(), n.start(n.sent)})
		n.sent++
	}
	return found, n.due < n.total
}

// abandon takes all requests that no slot has, and returns their number.
func (n *line) abandon() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	rest := n.total - n.sent
	n.due, n.sent = n.total, n.total
	return rest
}

// accept sends a request through a slot.
func (l *lane) accept(a appointment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead || l.link != nil && l.link.goaway {
		l.errors.add("not sent", 1)
		l.run.settled(1, l.run.clock())
		return
	}
	l.submit(a.slot, a.start)
	l.wake()
}

// shortestTick is how often the line is looked at, at most: requests that are due sooner go together.
const shortestTick = 50 * time.Microsecond

// pace lets requests be sent when they are due, in a goroutine that ends with the last of them.
func (n *line) pace(r *run) {
	ticks := newTicker(max(time.Duration(n.interval), shortestTick))
	r.serving.Go(func() {
		defer ticks.Close()
		var found []appointment
		for more := true; more; {
			found, more = n.claim(r.clock(), found[:0])
			for _, a := range found {
				a.slot.lane.accept(a)
			}
			if more {
				ticks.wait()
			}
		}
	})
}

// ticker is a timer of the kernel. Sleeping is not exact enough: the runtime rounds it up to a millisecond when nothing
// else is to be done.
type ticker struct{ *os.File }

// newTicker returns a ticker. It panics if the kernel has no timer left for this process.
func newTicker(interval time.Duration) ticker {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err == nil {
		every := unix.NsecToTimespec(int64(interval))
		err = unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil)
	}
	if err != nil {
		panic(err)
	}
	return ticker{os.NewFile(uintptr(fd), "timer")}
}

// wait returns at the next tick, or at once if there was one since the last call. It returns how many there were.
func (t ticker) wait() uint64 {
	var count [8]byte
	if _, err := t.Read(count[:]); err != nil {
		panic(err)
	}
	return binary.NativeEndian.Uint64(count[:])
}
