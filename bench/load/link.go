package main

import (
	"encoding/binary"
	"math"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// defaultWindow and defaultFrame hold until settings say otherwise (RFC 9113, 6.5.2).
	defaultWindow = 65535
	defaultFrame  = 16384
	// streamWindow and linkWindow are how many bytes the server may send ahead, on a stream and on a connection.
	streamWindow = 4 << 20
	linkWindow   = 16 << 20
	// readAtOnce is how many bytes one turn takes.
	readAtOnce = 256 << 10
	// writeAtOnce is how many bytes are put together before they are written.
	writeAtOnce = 256 << 10
)

// link is one connection and what HTTP/2 keeps for it.
type link struct {
	socket int
	framer *http2.Framer
	// input has the bytes that were read and are in no frame yet.
	input input
	// out is what is to be written, of which written bytes are; full says that the socket takes no more for now, and
	// broken that it never will.
	out          []byte
	written      int
	full, broken bool
	// ready says that the server has sent its settings.
	ready bool

	// streams are those that are open, nextID is the next one's.
	streams map[uint32]*slot
	nextID  uint32
	// goaway says that the server takes no new streams.
	goaway bool
	// What the server allows: window is what it takes on the connection, initialWindow on a new stream.
	window, initialWindow int64
	maxFrame              int
	maxStreams            uint32
	// unread is how many bytes were received and not yet granted anew.
	unread  int
	headers *headerWriter
	replies *headerReader
}

func newLink(socket int, fields []hpack.HeaderField) *link {
	k := &link{
		socket: socket, streams: map[uint32]*slot{}, nextID: 1, maxStreams: math.MaxUint32,
		window: defaultWindow, initialWindow: defaultWindow, maxFrame: defaultFrame,
		headers: newHeaderWriter(fields), replies: newHeaderReader(),
	}
	k.framer = http2.NewFramer(k, &k.input)
	k.framer.SetMaxReadFrameSize(defaultFrame)
	k.framer.SetReuseFrames()
	return k
}

// Write takes the frames that the framer writes.
func (k *link) Write(p []byte) (int, error) {
	k.out = append(k.out, p...)
	return len(p), nil
}

// hello puts down what a client begins with.
func (k *link) hello() {
	k.out = append(k.out, http2.ClientPreface...)
	_ = k.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
	)
	_ = k.framer.WriteWindowUpdate(0, linkWindow-defaultWindow)
}

// mayOpen says whether the server takes one more stream, and an id is left for it.
func (k *link) mayOpen(lastID uint32) bool {
	return k.ready && !k.goaway && k.nextID <= lastID && len(k.streams) < int(k.maxStreams)
}

// frameHeader is the length of what precedes the payload of each frame.
const frameHeader = 9

// input holds bytes from a socket until they make a frame. The zero value is ready.
type input struct {
	bytes []byte
	first int
}

// fill reads what the socket has, once. It returns how many bytes that were, and the error that ended the connection.
func (i *input) fill(socket int) (int, error) {
	if i.bytes == nil {
		i.bytes = make([]byte, 0, readAtOnce)
	}
	if i.first > 0 {
		i.bytes = i.bytes[:copy(i.bytes, i.bytes[i.first:])]
		i.first = 0
	}
	n, err := read(socket, i.bytes[len(i.bytes):cap(i.bytes)])
	i.bytes = i.bytes[:len(i.bytes)+n]
	return n, err
}

// whole says whether the next frame is here as a whole, or is longer than any may be.
func (i *input) whole() bool {
	rest := i.bytes[i.first:]
	if len(rest) < frameHeader {
		return false
	}
	length := int(binary.BigEndian.Uint32(rest) >> 8)
	return length > defaultFrame || len(rest) >= frameHeader+length
}

// Read gives the framer its bytes; they are there when it asks, because it is asked only for whole frames.
func (i *input) Read(p []byte) (int, error) {
	n := copy(p, i.bytes[i.first:])
	i.first += n
	return n, nil
}
