package main

import (
	"fmt"

	"golang.org/x/net/http2"
)

// onSettings applies the server's settings and confirms them.
func (l *lane) onSettings(frame *http2.SettingsFrame) error {
	if frame.IsAck() {
		return nil
	}
	if err := frame.ForeachSetting(l.onSetting); err != nil {
		return err
	}
	if !l.link.ready {
		l.greeted()
	}
	return l.link.framer.WriteSettingsAck()
}

func (l *lane) onSetting(setting http2.Setting) error {
	if err := setting.Valid(); err != nil {
		return err
	}
	k := l.link
	switch setting.ID {
	case http2.SettingInitialWindowSize:
		// Streams that are open are changed by the difference (RFC 9113, 6.9.2).
		change := int64(setting.Val) - k.initialWindow
		k.initialWindow += change
		for _, s := range k.streams {
			l.widen(s, change)
		}
	case http2.SettingMaxFrameSize:
		k.maxFrame = min(int(setting.Val), writeAtOnce)
	case http2.SettingMaxConcurrentStreams:
		k.maxStreams = setting.Val
	case http2.SettingHeaderTableSize:
		k.headers.limit(setting.Val)
	}
	return nil
}

// widen changes how much the server takes on a slot's stream, which may go on now.
func (l *lane) widen(s *slot, change int64) {
	s.window += change
	if s.waits == window && s.window > 0 {
		s.waits = turn
		l.sending.push(s)
	}
}

func (l *lane) onWindowUpdate(k *link, frame *http2.WindowUpdateFrame) {
	if frame.StreamID == 0 {
		k.window += int64(frame.Increment)
	} else if s := k.streams[frame.StreamID]; s != nil {
		l.widen(s, int64(frame.Increment))
	}
}

// onGoAway takes leave: what the server says it has not begun is settled, the rest may still be answered.
func (l *lane) onGoAway(k *link, frame *http2.GoAwayFrame) {
	if !k.goaway {
		l.errors.add(fmt.Sprintf("goaway %s: %s", frame.ErrCode, frame.DebugData()), 1)
	}
	k.goaway = true
	for id, s := range k.streams {
		if id > frame.LastStreamID {
			s.halfClosed = true
			l.endStream(k, s, "not processed")
		}
	}
	for l.opening.len() > 0 {
		s := l.opening.pop()
		s.waits, s.unsent = nothing, 0
		for s.starts.count > 0 {
			l.settle(s, "not sent")
		}
	}
}
