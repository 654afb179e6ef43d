package main

import (
	"bufio"
	"io"
	"math"
	"net"

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
	// readAtOnce is how many bytes one turn of the reader takes.
	readAtOnce = 64 << 10
	// writeAtOnce is how many bytes are put together before they are written.
	writeAtOnce = 256 << 10
)

// link is one connection and what HTTP/2 keeps for it. The mutex of its lane guards it.
type link struct {
	conn   net.Conn
	framer *http2.Framer
	// out is what is to be written next; spare is the buffer that is being written.
	out, spare []byte
	// wake tells the writer to look; closed, it ends it, and then written is closed.
	wake    chan struct{}
	written chan struct{}

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

// newLink returns a link that reads its bytes from source, which reads conn.
func newLink(conn net.Conn, source io.Reader, fields []hpack.HeaderField) *link {
	k := &link{
		conn: conn, wake: make(chan struct{}, 1), written: make(chan struct{}),
		streams: map[uint32]*slot{}, nextID: 1, maxStreams: math.MaxUint32,
		window: defaultWindow, initialWindow: defaultWindow, maxFrame: defaultFrame,
		headers: newHeaderWriter(fields), replies: newHeaderReader(),
	}
	k.framer = http2.NewFramer(k, bufio.NewReaderSize(source, readAtOnce))
	k.framer.SetMaxReadFrameSize(defaultFrame)
	k.framer.SetReuseFrames()
	return k
}

// Write takes the frames that the framer writes.
func (k *link) Write(p []byte) (int, error) {
	k.out = append(k.out, p...)
	return len(p), nil
}

// hello sends what a client begins with.
func (k *link) hello() error {
	k.out = append(k.out, http2.ClientPreface...)
	_ = k.framer.WriteSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
	)
	_ = k.framer.WriteWindowUpdate(0, linkWindow-defaultWindow)
	_, err := k.conn.Write(k.out)
	k.out = k.out[:0]
	return err
}

// mayOpen says whether the server takes one more stream, and an id is left for it.
func (k *link) mayOpen(lastID uint32) bool {
	return !k.goaway && k.nextID <= lastID && len(k.streams) < int(k.maxStreams)
}
