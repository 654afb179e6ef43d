package main

import (
	"time"

	"golang.org/x/net/http2"
)

// Frames are written into memory here, so that the framer's errors could only be mistakes in this program: ids and
// lengths come from what it keeps itself. They are dropped.

// submit gives a slot one more request, whose time counts from start. There must be room for it in the slot.
func (l *lane) submit(s *slot, start time.Duration) {
	s.starts.push(start)
	s.unsent++
	l.enqueue(s)
}

// enqueue puts a slot that has something to send into a queue, unless it waits already.
func (l *lane) enqueue(s *slot) {
	if s.waits != nothing {
		return
	}
	if s.id == 0 {
		s.waits = stream
		l.opening.push(s)
		return
	}
	s.waits = turn
	l.sending.push(s)
}

// dequeue takes a slot out of its queue.
func (l *lane) dequeue(s *slot) {
	switch s.waits {
	case stream:
		l.opening.remove(s)
	case turn:
		l.sending.remove(s)
	}
	s.waits = nothing
}

// flush writes what can be sent now, until the socket takes no more or nothing is left.
func (l *lane) flush() {
	for k := l.link; k != nil && !k.broken; {
		if k.written == len(k.out) {
			k.out, k.written = k.out[:0], 0
		}
		l.assemble(k)
		if k.written == len(k.out) {
			l.await(k, false)
			return
		}
		n, err := write(k.socket, k.out[k.written:])
		k.written += n
		l.sent += int64(n)
		if k.broken = err != nil; k.broken {
			// What the server has said before it closed is still to be read, and then why.
			l.await(k, false)
			return
		}
		if k.written < len(k.out) {
			l.await(k, true)
			return
		}
	}
}

// await has the poller tell when the socket takes more, if it is full.
func (l *lane) await(k *link, full bool) {
	if k.full != full {
		k.full = full
		// It fails only for descriptors that are not polled.
		_ = l.run.poller.writing(k.socket, l.number, full)
	}
}

// assemble puts down what may be sent now, as far as windows allow. The slots take turns, one frame each.
func (l *lane) assemble(k *link) {
	for len(k.out) < writeAtOnce && (l.open(k) || l.sendNext(k)) {
	}
}

// open opens a stream for the next slot that needs one, and says whether it did.
func (l *lane) open(k *link) bool {
	if l.opening.len() == 0 || !k.mayOpen(l.run.lastID) {
		return false
	}
	s := l.opening.pop()
	s.id, s.window = k.nextID, k.initialWindow
	k.streams[s.id] = s
	k.nextID += 2
	_ = k.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: k.headers.next(), EndHeaders: true,
	})
	s.waits = turn
	l.transmit(k, s)
	return true
}

// sendNext lets the next slot send a frame, and says whether there was one that could.
func (l *lane) sendNext(k *link) bool {
	return l.sending.len() > 0 && l.transmit(k, l.sending.pop())
}

// transmit sends one frame of a slot that is in no queue, and puts it where it has to wait next. It returns false if
// the server takes no more on the connection.
func (l *lane) transmit(k *link, s *slot) bool {
	if s.unsent == 0 {
		s.waits, s.halfClosed = nothing, true
		_ = k.framer.WriteData(s.id, true, nil)
		return true
	}
	n := min(len(s.message)-s.offset, k.maxFrame, int(s.window))
	if n <= 0 {
		s.waits = window
		return true
	}
	if n = min(n, int(k.window)); n <= 0 {
		l.sending.push(s)
		return false
	}
	l.sendData(k, s, n)
	if s.unsent > 0 || s.ending && !s.halfClosed {
		l.sending.push(s)
	} else {
		s.waits = nothing
	}
	return true
}

// sendData sends n bytes of the slot's message, at least one.
func (l *lane) sendData(k *link, s *slot, n int) {
	end := s.offset + n
	complete := end == len(s.message)
	s.halfClosed = complete && l.run.plan.Kind == unary
	_ = k.framer.WriteData(s.id, s.halfClosed, s.message[s.offset:end])
	k.window -= int64(n)
	s.window -= int64(n)
	s.offset = end
	if complete {
		s.offset = 0
		s.unsent--
	}
}
