package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
)

// played is what came of a plan.
type played struct {
	Report
	code int
}

// playPlan plays a plan, whose absent fields get values that fit the servers here, as the program does.
func playPlan(t *testing.T, plan *Plan) played {
	t.Helper()
	text, err := json.Marshal(complete(plan))
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	code := play(bytes.NewReader(text), &out, &problems)
	if problems.Len() > 0 {
		t.Fatal(problems.String())
	}
	result := played{code: code}
	if err := json.Unmarshal(out.Bytes(), &result.Report); err != nil {
		t.Fatal(err)
	}
	return result
}

// path is what complete makes the path of a plan, and all that a peer accepts.
const path = "/test.Service/Method"

func complete(plan *Plan) *Plan {
	if plan.Kind == "" {
		plan.Kind = unary
	}
	plan.Path = path
	plan.Connections = max(plan.Connections, 1)
	plan.Window = max(plan.Window, 1)
	plan.AnswersPerMessage = max(plan.AnswersPerMessage, 1)
	if plan.Timeout == 0 {
		plan.Timeout = 10
	}
	return plan
}

// alike returns n slots that send a message of their own and want it back.
func alike(n int) []SlotPlan {
	var slots []SlotPlan
	for i := range n {
		text := fmt.Appendf(nil, "slot %d", i)
		slots = append(slots, SlotPlan{Request: append([]byte("from "), text...), Contains: text})
	}
	return slots
}

// want compares the answers and errors with what they must be.
func (p played) want(t *testing.T, answers int, errors map[string]int) {
	t.Helper()
	if errors == nil {
		errors = map[string]int{}
	}
	if got, wanted := fmt.Sprint(p.Answers, p.Errors), fmt.Sprint(answers, errors); got != wanted {
		t.Errorf("answers and errors are %s, not %s", got, wanted)
	}
	if wanted := min(len(errors), 1); p.code != wanted {
		t.Errorf("the exit code is %d, not %d", p.code, wanted)
	}
}

// plain takes messages as they are.
type plain struct{}

func (plain) Name() string                      { return "proto" }
func (plain) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }
func (plain) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = bytes.Clone(data)
	return nil
}

// grpcServer serves all methods, and returns its target.
func grpcServer(t *testing.T, serve func(grpc.ServerStream) error, options ...grpc.ServerOption) string {
	t.Helper()
	options = append(options, grpc.ForceServerCodec(plain{}), grpc.MaxRecvMsgSize(8<<20),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return serve(stream) }))
	server := grpc.NewServer(options...)
	listener := listen(t, "tcp", "127.0.0.1:0", server.Stop)
	go server.Serve(listener)
	return listener.Addr().String()
}

// listen returns a listener; when the test ends it is closed and stop is called.
func listen(t *testing.T, network, address string, stop func()) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		listener.Close()
		stop()
	})
	return listener
}

// echo answers each message with itself.
func echo(stream grpc.ServerStream) error {
	for {
		var message []byte
		if err := stream.RecvMsg(&message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

// peer is the server's end of a connection whose frames a test writes by itself.
type peer struct {
	*http2.Framer
	conn    net.Conn
	decoder *hpack.Decoder
	fields  map[string]string
	bodies  map[uint32][]byte
	// onData sees each DATA frame.
	onData func(*http2.DataFrame)
}

// frameServer accepts connections on a Unix socket, one goroutine each, and returns its target. It waits at the end of
// the test for all of them to end.
func frameServer(t *testing.T, settings []http2.Setting, serve func(*peer)) string {
	t.Helper()
	var serving sync.WaitGroup
	socket := filepath.Join(t.TempDir(), "socket")
	listener := listen(t, "unix", socket, serving.Wait)
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				serve(newPeer(conn, settings))
			})
		}
	})
	return "unix:" + socket
}

func newPeer(conn net.Conn, settings []http2.Setting) *peer {
	p := &peer{
		Framer: http2.NewFramer(conn, conn), conn: conn, fields: map[string]string{}, bodies: map[uint32][]byte{},
		onData: func(*http2.DataFrame) {},
	}
	p.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) { p.fields[field.Name] = field.Value })
	_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	_ = p.WriteSettings(settings...)
	return p
}

// next returns the next request that is complete, ok false when the connection is closed or not as it should be.
func (p *peer) next() (id uint32, body []byte, ok bool) {
	for {
		frame, err := p.ReadFrame()
		if err != nil {
			return 0, nil, false
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			clear(p.fields)
			if _, err := p.decoder.Write(frame.HeaderBlockFragment()); err != nil || p.fields[":path"] != path {
				return 0, nil, false
			}
		case *http2.DataFrame:
			p.onData(frame)
			p.bodies[frame.StreamID] = append(p.bodies[frame.StreamID], frame.Data()...)
			if frame.StreamEnded() {
				body = p.bodies[frame.StreamID]
				delete(p.bodies, frame.StreamID)
				return frame.StreamID, body, true
			}
		}
	}
}

// barrier returns when the client has read all that was written so far. It returns how many streams were opened
// meanwhile.
func (p *peer) barrier() int32 {
	_ = p.WritePing(false, [8]byte{1, 2, 3})
	for opened := int32(0); ; {
		frame, err := p.ReadFrame()
		if err != nil {
			return opened
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			opened++
		case *http2.PingFrame:
			if frame.IsAck() && frame.Data == [8]byte{1, 2, 3} {
				return opened
			}
		}
	}
}

// head writes a header block, in two frames: name, value, name, value.
func (p *peer) head(id uint32, end bool, fields ...string) {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		// Sensitive fields leave the table as it is: each block has an encoder of its own.
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	half := block.Len() / 2
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes()[:half], EndStream: end})
	_ = p.WriteContinuation(id, true, block.Bytes()[half:])
}

// answer writes a whole response with these data.
func (p *peer) answer(id uint32, data []byte) {
	p.head(id, false, ":status", "200", "content-type", "application/grpc")
	_ = p.WriteData(id, false, data)
	p.head(id, true, "grpc-status", "0")
}

// echoes answers all requests rightly.
func echoes(p *peer) {
	for id, body, ok := p.next(); ok; id, body, ok = p.next() {
		p.answer(id, body)
	}
}
