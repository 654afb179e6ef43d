package main

import (
	"errors"

	"golang.org/x/net/http2"
)

// receive handles what the socket has. It returns an error when the connection is lost or no longer of use.
func (l *lane) receive(k *link) error {
	n, err := k.input.fill(k.socket)
	if err != nil {
		return err
	}
	l.now = l.run.clock()
	l.received += int64(n)
	for k.input.whole() {
		frame, err := k.framer.ReadFrame()
		if err == nil {
			err = l.handle(k, frame)
		}
		if err != nil {
			return errors.Join(err, k.framer.ErrorDetail())
		}
	}
	return l.use(k)
}

// use returns why the link is no longer of use, nil if it is.
func (l *lane) use(k *link) error {
	switch {
	case len(k.streams) > 0:
		return nil
	case k.goaway:
		return errGone
	case k.nextID > l.run.lastID:
		return errSpent
	}
	return nil
}

// handle does what a frame asks for. It returns an error if the connection cannot be used any longer.
func (l *lane) handle(k *link, frame http2.Frame) error {
	if _, ok := frame.(*http2.SettingsFrame); !ok && !k.ready {
		return errors.New("the server did not begin with its settings")
	}
	switch frame := frame.(type) {
	case *http2.DataFrame:
		l.onData(k, frame)
	case *http2.HeadersFrame:
		k.replies.begin(frame)
		return l.onHeaders(k, frame.HeaderBlockFragment(), frame.HeadersEnded())
	case *http2.ContinuationFrame:
		return l.onHeaders(k, frame.HeaderBlockFragment(), frame.HeadersEnded())
	case *http2.RSTStreamFrame:
		if s := k.streams[frame.StreamID]; s != nil {
			// The server has closed the stream: nothing is to be sent on it, not even that it is over.
			s.halfClosed = true
			l.endStream(k, s, "rst "+frame.ErrCode.String())
		}
	case *http2.SettingsFrame:
		return l.onSettings(frame)
	case *http2.PingFrame:
		if !frame.IsAck() {
			_ = k.framer.WritePing(true, frame.Data)
		}
	case *http2.GoAwayFrame:
		l.onGoAway(k, frame)
	case *http2.WindowUpdateFrame:
		l.onWindowUpdate(k, frame)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

// onData grants the server the bytes anew, and takes the messages that they complete.
func (l *lane) onData(k *link, frame *http2.DataFrame) {
	length := int(frame.Length)
	if k.unread += length; k.unread >= linkWindow/2 {
		_ = k.framer.WriteWindowUpdate(0, uint32(k.unread))
		k.unread = 0
	}
	s := k.streams[frame.StreamID]
	if s == nil {
		return
	}
	if s.unread += length; s.unread >= streamWindow/2 && !frame.StreamEnded() {
		_ = k.framer.WriteWindowUpdate(s.id, uint32(s.unread))
		s.unread = 0
	}
	for body, rest, ok := s.body.next(frame.Data()); ok; body, rest, ok = s.body.next(rest) {
		l.onMessage(s, body)
	}
	if frame.StreamEnded() {
		l.endStream(k, s, "grpc-status missing")
	}
}

// onMessage judges a message. On a bidirectional stream it may be the last that answers a request, or several.
func (l *lane) onMessage(s *slot, body []byte) {
	l.messages++
	if l.run.plan.Kind == bidi && s.starts.count == 0 {
		l.errors.add("unasked message", 1)
		return
	}
	s.judge(body, l.run.plan.Joined)
	if l.run.plan.Kind != bidi {
		return
	}
	wrong := s.wrong
	for s.messages >= l.run.plan.AnswersPerMessage {
		if s.starts.count == 0 {
			l.errors.add("unasked answer", 1)
			s.messages = 0
			return
		}
		s.messages -= l.run.plan.AnswersPerMessage
		l.settle(s, wrong)
		s.wrong = ""
	}
	l.refill(s)
}

// onHeaders takes a fragment of a header block; ended says that it is the last.
func (l *lane) onHeaders(k *link, fragment []byte, ended bool) error {
	if err := k.replies.write(fragment, ended); err != nil || !ended {
		return err
	}
	s := k.streams[k.replies.stream]
	if s == nil {
		return nil
	}
	if status := k.replies.httpStatus; status != "" && status != "200" {
		s.httpStatus = status
	}
	if k.replies.last {
		l.endStream(k, s, k.replies.failure())
	}
	return nil
}

// endStream ends the stream of a slot, whose status is failure or, if that is empty, 0.
func (l *lane) endStream(k *link, s *slot, failure string) {
	delete(k.streams, s.id)
	l.dequeue(s)
	if !s.halfClosed {
		_ = k.framer.WriteRSTStream(s.id, http2.ErrCodeCancel)
	}
	if l.run.plan.Kind == unary {
		failure = s.verdict(failure, l.run.plan.AnswersPerMessage)
		s.forget()
		l.settle(s, failure)
	} else {
		l.endConversation(s, failure)
	}
	l.refill(s)
}

// endConversation settles what a bidirectional stream has left unanswered.
func (l *lane) endConversation(s *slot, failure string) {
	if s.httpStatus != "" {
		failure = "http-status " + s.httpStatus
	}
	s.forget()
	if s.ending {
		if failure != "" {
			l.errors.add(failure, 1)
		}
		l.run.settled(1, l.now)
		return
	}
	if failure == "" {
		failure = "stream ended"
	}
	for s.starts.count > 0 {
		l.settle(s, failure)
	}
}

// settle closes the books on the oldest request of a slot; wrong is empty if it was answered rightly.
func (l *lane) settle(s *slot, wrong string) {
	start := s.starts.pop()
	if wrong == "" {
		l.times = append(l.times, l.now-start)
		l.last = l.now
	} else {
		l.errors.add(wrong, 1)
	}
	l.run.settled(1, l.now)
}

// refill gives a slot the requests that it has room for and that are its to send.
func (l *lane) refill(s *slot) {
	if l.dead || l.link == nil || l.link.goaway || s.ending {
		return
	}
	phase := l.run.phase
	if phase.line != nil {
		if start, ok := phase.line.release(s); ok {
			l.submit(s, start)
		}
		return
	}
	if l.run.plan.InFlight > 0 {
		l.rotate(s)
		return
	}
	for !s.starts.full() && phase.take() {
		l.submit(s, l.now)
	}
}

// rotate has a slot rest that has no request, and gives one to the slot that has rested for longest.
func (l *lane) rotate(s *slot) {
	l.resting.push(s)
	l.busy--
	for l.busy < l.run.plan.InFlight/len(l.run.lanes) && l.run.phase.take() {
		l.busy++
		l.submit(l.resting.pop(), l.now)
	}
}
