package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// framed returns a message with gRPC's prefix.
func framed(flag byte, text string) []byte {
	return append([]byte{flag, 0, 0, 0, byte(len(text))}, text...)
}

func TestResponsesAreJudgedByWhatTheyAre(t *testing.T) {
	const begin = "begin"
	for name, response := range map[string]func(p *peer, id uint32){
		"": func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			for _, b := range framed(0, "good") {
				_ = p.WriteDataPadded(id, false, []byte{b}, make([]byte, 7))
			}
			p.head(id, true, "grpc-status", "0", "grpc-message", "", "x-more", begin)
		},
		"grpc-status 5: näher": func(p *peer, id uint32) {
			p.head(id, true, ":status", "200", "grpc-status", "5", "grpc-message", "n%C3%A4her")
		},
		"grpc-status 5: 7%": func(p *peer, id uint32) {
			p.head(id, true, ":status", "200", "grpc-status", "5", "grpc-message", "7%")
		},
		"grpc-status missing": func(p *peer, id uint32) {
			p.head(id, false, ":status", "200")
			_ = p.WriteData(id, true, framed(0, "good"))
		},
		"http-status 503": func(p *peer, id uint32) { p.head(id, true, ":status", "503") },
		"compressed message": func(p *peer, id uint32) {
			p.answer(id, framed(1, "good"))
		},
		"content":                 func(p *peer, id uint32) { p.answer(id, framed(0, "bad")) },
		"broken message":          func(p *peer, id uint32) { p.answer(id, framed(0, "good")[:8]) },
		"0 messages instead of 1": func(p *peer, id uint32) { p.answer(id, nil) },
		"2 messages instead of 1": func(p *peer, id uint32) {
			p.answer(id, append(framed(0, "good"), framed(0, "good")...))
		},
		"rst ENHANCE_YOUR_CALM": func(p *peer, id uint32) { _ = p.WriteRSTStream(id, http2.ErrCodeEnhanceYourCalm) },
	} {
		t.Run(name, func(t *testing.T) {
			target := frameServer(t, nil, func(p *peer) {
				for id, _, ok := p.next(); ok; id, _, ok = p.next() {
					response(p, id)
				}
			})
			result := playPlan(t, &Plan{Target: target, Slots: []SlotPlan{{Contains: []byte("good")}}, Requests: 3})
			if name == "" {
				result.want(t, 3, nil)
			} else {
				result.want(t, 0, map[string]int{name: 3})
			}
		})
	}
}

func TestAResponseOfSeveralMessages(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) {
		for id, _, ok := p.next(); ok; id, _, ok = p.next() {
			p.answer(id, append(framed(0, "good 1"), framed(0, "good 2")...))
		}
	})
	plan := &Plan{Target: target, Slots: []SlotPlan{{Contains: []byte("good")}}, Requests: 3, AnswersPerMessage: 2}
	playPlan(t, plan).want(t, 3, nil)
}

func TestPingsAreAnswered(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) {
		id, body, _ := p.next()
		p.barrier()
		p.answer(id, body)
		p.next()
	})
	playPlan(t, &Plan{Target: target, Slots: alike(1), Requests: 1}).want(t, 1, nil)
}

// The client learns what became of each of four requests: two answered, two not processed; the rest it cannot send.
func TestAGoawayLeavesWhatItDidNotProcess(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) {
		var ids []uint32
		var bodies [][]byte
		for range 4 {
			id, body, _ := p.next()
			ids, bodies = append(ids, id), append(bodies, body)
		}
		_ = p.WriteGoAway(ids[1], http2.ErrCodeNo, []byte("bye"))
		p.answer(ids[0], bodies[0])
		p.answer(ids[1], bodies[1])
		p.next()
	})
	result := playPlan(t, &Plan{Target: target, Slots: alike(4), Requests: 10})
	result.want(t, 2, map[string]int{"goaway NO_ERROR: bye": 1, "not processed": 2, "not sent": 6})
}

func TestALostConnectionLeavesItsRequestsUnanswered(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) {
		id, body, _ := p.next()
		p.answer(id, body)
		p.next()
		p.next()
	})
	result := playPlan(t, &Plan{Target: target, Slots: alike(2), Requests: 10})
	result.want(t, 1, map[string]int{"connection lost: EOF": 2, "not sent": 7})
}

func TestTheOtherConnectionsGoOnWhenOneIsLost(t *testing.T) {
	var connections atomic.Int32
	target := frameServer(t, nil, func(p *peer) {
		if connections.Add(1) > 1 {
			echoes(p)
		} else {
			p.next()
		}
	})
	result := playPlan(t, &Plan{Target: target, Connections: 2, Slots: alike(2), Requests: 10})
	result.want(t, 9, map[string]int{"connection lost: EOF": 1})
}

func TestALostConnectionEndsAnOpenLoop(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) { p.next() })
	result := playPlan(t, &Plan{Target: target, Slots: alike(1), Rate: 1000, Seconds: 0.05})
	result.want(t, 0, map[string]int{"connection lost: EOF": 1, "not sent": 49})
}

func TestSilenceEndsARun(t *testing.T) {
	target := frameServer(t, nil, func(p *peer) {
		for ok := true; ok; {
			_, _, ok = p.next()
		}
	})
	result := playPlan(t, &Plan{Target: target, Slots: alike(2), Requests: 10, Timeout: 0.05})
	result.want(t, 0, map[string]int{"no answer": 2, "not sent": 8})
}

func TestATargetThatDoesNotListen(t *testing.T) {
	path := t.TempDir() + "/nothing"
	result := playPlan(t, &Plan{Target: "unix:" + path, Slots: alike(1), Requests: 10})
	result.want(t, 0, map[string]int{
		fmt.Sprintf("connect: dial unix %s: connect: no such file or directory", path): 1, "not sent": 10,
	})
}

func TestNoMoreStreamsAreOpenedThanTheServerAllows(t *testing.T) {
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: 2}, {ID: http2.SettingHeaderTableSize, Val: 0},
	}
	var excess atomic.Int32
	target := frameServer(t, settings, func(p *peer) {
		p.decoder.SetMaxDynamicTableSize(0)
		p.decoder.SetAllowedMaxDynamicTableSize(0)
		for {
			first, firstBody, ok := p.next()
			if !ok {
				return
			}
			second, secondBody, _ := p.next()
			excess.Add(p.barrier())
			p.answer(first, firstBody)
			p.answer(second, secondBody)
		}
	})
	playPlan(t, &Plan{Target: target, Slots: alike(5), Requests: 40}).want(t, 40, nil)
	if n := excess.Load(); n > 0 {
		t.Errorf("%d streams were opened beyond the limit", n)
	}
}

func TestAConversationForWhichThereIsNoStream(t *testing.T) {
	settings := []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}
	target := frameServer(t, settings, func(p *peer) {
		// The stream is open until the client ends it: what came before is answered as it comes.
		p.onData = func(frame *http2.DataFrame) {
			if len(p.bodies[frame.StreamID]) == 0 && !frame.StreamEnded() {
				p.head(frame.StreamID, false, ":status", "200")
			}
			_ = p.WriteData(frame.StreamID, false, frame.Data())
		}
		for id, _, ok := p.next(); ok; id, _, ok = p.next() {
			p.head(id, true, "grpc-status", "0")
		}
	})
	result := playPlan(t, &Plan{Target: target, Kind: bidi, Slots: alike(3), Requests: 10})
	result.want(t, 10, map[string]int{"max concurrent streams 1": 2})
}

// The server grants 8 bytes at a time, by window updates and by settings that narrow or widen all streams.
func TestTheServersWindowsOfStreamsAreHeeded(t *testing.T) {
	message := bytes.Repeat([]byte("x"), 100)
	var excess atomic.Int32
	initial := func(size uint32) http2.Setting {
		return http2.Setting{ID: http2.SettingInitialWindowSize, Val: size}
	}
	target := frameServer(t, []http2.Setting{initial(10)}, func(p *peer) {
		window := uint32(10)
		granted := int(window)
		p.onData = func(frame *http2.DataFrame) {
			if granted -= len(frame.Data()); granted < 0 {
				excess.Add(int32(-granted))
			}
			if granted <= 0 {
				window = 17 - window
				_ = p.WriteSettings(initial(window))
				_ = p.WriteWindowUpdate(frame.StreamID, map[uint32]uint32{7: 8 + 3, 10: 8 - 3}[window])
				granted = 8
			}
		}
		for id, body, ok := p.next(); ok; id, body, ok = p.next() {
			p.answer(id, body)
			granted = int(window)
		}
	})
	slots := []SlotPlan{{Request: message, Contains: message}}
	playPlan(t, &Plan{Target: target, Slots: slots, Requests: 5, Timeout: 2}).want(t, 5, nil)
	if n := excess.Load(); n > 0 {
		t.Errorf("%d bytes more than were granted", n)
	}
}

func TestTheServersWindowOfTheConnectionIsHeeded(t *testing.T) {
	message := bytes.Repeat([]byte("x"), 100_000)
	var excess atomic.Int32
	settings := []http2.Setting{
		{ID: http2.SettingInitialWindowSize, Val: 1 << 20}, {ID: http2.SettingMaxFrameSize, Val: 40_000},
	}
	target := frameServer(t, settings, func(p *peer) {
		granted := defaultWindow
		p.onData = func(frame *http2.DataFrame) {
			if granted -= len(frame.Data()); granted < 0 || len(frame.Data()) > 40_000 {
				excess.Add(1)
			}
			if granted <= 0 {
				_ = p.WriteWindowUpdate(0, 50_000)
				granted += 50_000
			}
		}
		for id, _, ok := p.next(); ok; id, _, ok = p.next() {
			p.answer(id, framed(0, "good"))
		}
	})
	slots := []SlotPlan{{Request: message}, {Request: message}}
	playPlan(t, &Plan{Target: target, Slots: slots, Requests: 5, Timeout: 2}).want(t, 5, nil)
	if n := excess.Load(); n > 0 {
		t.Errorf("%d frames exceeded what was granted", n)
	}
}

func TestAnotherConnectionIsOpenedWhenStreamIDsRunOut(t *testing.T) {
	var connections atomic.Int32
	target := frameServer(t, nil, func(p *peer) {
		connections.Add(1)
		echoes(p)
	})
	r, err := newRun(complete(&Plan{Target: target, Slots: alike(2), Requests: 23, Warmup: 1}))
	if err != nil {
		t.Fatal(err)
	}
	r.lastID = 9
	report := r.play(23)
	if report.Answers != 23 || len(report.Errors) > 0 || connections.Load() != 5 {
		t.Errorf("%d answers over %d connections, errors %v", report.Answers, connections.Load(), report.Errors)
	}
}

func TestAServerThatDoesNotSpeakHTTP2(t *testing.T) {
	var serving sync.WaitGroup
	socket := filepath.Join(t.TempDir(), "socket")
	listener := listen(t, "unix", socket, serving.Wait)
	serving.Go(func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			// Not even settings come first: with them the client would be connected, if it read them by themselves.
			fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	result := playPlan(t, &Plan{Target: "unix:" + socket, Slots: alike(1), Requests: 2})
	for name := range result.Errors {
		if name != "not sent" && !strings.HasPrefix(name, "connect: http2: ") {
			t.Errorf("unexpected: %q", name)
		}
	}
	if result.code != 1 || len(result.Errors) != 2 || result.Errors["not sent"] != 2 {
		t.Errorf("unexpected: %+v", result)
	}
}
