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

// write writes what there is each time it is woken, until the link's wake is closed or the connection fails, which the
// reader sees, too.
func (l *lane) write(k *link) {
	defer close(k.written)
	for range k.wake {
		for {
			l.mu.Lock()
			frames := l.assemble(k)
			l.mu.Unlock()
			if len(frames) == 0 {
				break
			}
			if _, err := k.conn.Write(frames); err != nil {
				return
			}
		}
	}
}

// assemble returns what can be written now, as far as windows allow, valid until the next call. The slots take turns,
// one frame each.
func (l *lane) assemble(k *link) []byte {
	for len(k.out) < writeAtOnce && (l.open(k) || l.sendNext(k)) {
	}
	k.out, k.spare = k.spare[:0], k.out
	l.sent += int64(len(k.spare))
	return k.spare
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
