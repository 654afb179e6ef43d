package main

import (
	"errors"
	"fmt"
	"time"
)

// lane is the part of a run that goes over one connection: some slots, and a link that is replaced when its stream ids
// run out.
type lane struct {
	run *run
	// number is the lane's place among those of the run.
	number int
	slots  []*slot
	// now is when the bytes that are being handled were read, since the run was made.
	now time.Duration
	// link is nil while there is no connection.
	link *link
	// opening has slots that need a stream, sending those that may have something to send on theirs.
	opening, sending queue
	// resting has the slots whose turn it is not yet, in order, and busy is how many others have a request, where the plan
	// says how many may be in flight.
	resting queue
	busy    int
	// dead says that there will be no connection any more.
	dead bool
	tally
}

// tally is what a lane counts. All but the errors begins anew with the measurement.
type tally struct {
	times          []time.Duration
	last           time.Duration
	messages       int64
	sent, received int64
	errors         failures
}

var (
	errSpent  = errors.New("stream ids ran out")
	errGone   = errors.New("the server said goodbye")
	errSilent = errors.New("no answer")
)

// connect opens the lane's connection and says hello. If that fails, the lane is dead.
func (l *lane) connect() {
	socket, err := dial(l.run.plan)
	if err == nil {
		err = l.run.poller.add(socket, l.number)
		if err != nil {
			closeSocket(socket)
		}
	}
	if err != nil {
		l.refused(err)
		return
	}
	l.link = newLink(socket, l.run.fields)
	l.link.hello()
	l.flush()
}

// refused gives up a lane that could not connect.
func (l *lane) refused(err error) {
	l.errors.add("connect: "+err.Error(), 1)
	l.die(errGone)
}

// greeted lets streams be opened, now that the server's settings are known.
func (l *lane) greeted() {
	l.link.ready = true
	surplus := len(l.slots) - int(min(l.link.maxStreams, 1<<30))
	if l.run.plan.Kind == bidi && surplus > 0 {
		l.errors.add(fmt.Sprintf("max concurrent streams %d", l.link.maxStreams), surplus)
		l.slots = l.slots[:len(l.slots)-surplus]
	}
	if !l.run.connected {
		l.run.settled(1, l.now)
	}
}

// turn handles what has come, and then sends what can be sent: one call of the system for each, mostly.
func (l *lane) turn() {
	if l.link == nil {
		return
	}
	if err := l.receive(l.link); err != nil {
		l.hangUp()
		if errors.Is(err, errSpent) {
			l.connect()
		} else {
			l.lose(err)
		}
		return
	}
	l.flush()
}

// lose gives up a lane whose connection failed.
func (l *lane) lose(err error) {
	if !l.run.connected {
		l.refused(err)
		return
	}
	l.die(err)
}

// hangUp closes the connection, if there is one.
func (l *lane) hangUp() {
	if l.link != nil {
		closeSocket(l.link.socket)
		l.link = nil
	}
}

// die gives up the lane: what is unanswered will not be answered.
func (l *lane) die(err error) {
	l.dead = true
	name := "connection lost: " + err.Error()
	if errors.Is(err, errSilent) {
		name = err.Error()
	}
	if lost := l.writeOff(name); lost == 0 && l.run.connected && !errors.Is(err, errGone) {
		l.errors.add(name, 1)
	}
	if !l.run.connected {
		l.run.settled(1, l.now)
	}
	if l.run.alive--; l.run.alive == 0 {
		l.giveUp(l.run.phase.abandon())
	}
}

// writeOff settles all that the slots have under way, and returns how much that was.
func (l *lane) writeOff(name string) int {
	lost := 0
	for _, s := range l.slots {
		wrong := name
		if s.id == 0 {
			wrong = "not sent"
		}
		for ; s.starts.count > 0; lost++ {
			l.settle(s, wrong)
		}
		if s.ending && s.id != 0 {
			l.errors.add(name, 1)
			l.run.settled(1, l.now)
			lost++
		}
	}
	return lost
}

// giveUp settles n requests for which there is no connection.
func (l *lane) giveUp(n int) {
	if n > 0 {
		l.errors.add("not sent", n)
		l.run.settled(n, l.run.clock())
	}
}
