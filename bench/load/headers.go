package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// requestFields returns the header of every request of a plan.
func requestFields(plan *Plan) []hpack.HeaderField {
	authority := plan.Target
	if strings.HasPrefix(authority, unixPrefix) {
		authority = "localhost"
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: plan.Path},
		{Name: ":authority", Value: authority}, {Name: "te", Value: "trailers"},
		{Name: "content-type", Value: "application/grpc"}, {Name: "user-agent", Value: "sessiongateway-bench-load"},
	}
	for _, name := range slices.Sorted(maps.Keys(plan.Metadata)) {
		fields = append(fields, hpack.HeaderField{Name: name, Value: plan.Metadata[name]})
	}
	return fields
}

// headerWriter encodes the same fields again and again for one connection. As clients do, it puts them into the
// server's table with the first request; from then on their encoding is a few bytes that no longer change, and is only
// copied.
type headerWriter struct {
	fields  []hpack.HeaderField
	encoder *hpack.Encoder
	buffer  bytes.Buffer
	block   []byte
	settled bool
}

func newHeaderWriter(fields []hpack.HeaderField) *headerWriter {
	w := &headerWriter{fields: fields}
	w.encoder = hpack.NewEncoder(&w.buffer)
	return w
}

// next returns the header block of the next request, valid until the next call. Blocks must be sent in this order.
func (w *headerWriter) next() []byte {
	if w.settled {
		return w.block
	}
	w.buffer.Reset()
	for _, field := range w.fields {
		// Writing to a bytes.Buffer does not fail.
		_ = w.encoder.WriteField(field)
	}
	w.settled = bytes.Equal(w.block, w.buffer.Bytes())
	w.block = append(w.block[:0], w.buffer.Bytes()...)
	return w.block
}

// limit heeds SETTINGS_HEADER_TABLE_SIZE.
func (w *headerWriter) limit(size uint32) {
	w.encoder.SetMaxDynamicTableSizeLimit(size)
	w.settled = false
}

// headerReader decodes the header blocks of one connection, which may be spread over frames. It keeps the three fields
// that matter.
type headerReader struct {
	decoder *hpack.Decoder
	// stream has sent the block that is being read; last says that the stream ends with it.
	stream uint32
	last   bool
	// httpStatus, grpcStatus and grpcMessage are those of the newest block; empty: it has none.
	httpStatus, grpcStatus, grpcMessage string
}

func newHeaderReader() *headerReader {
	r := &headerReader{}
	r.decoder = hpack.NewDecoder(4096, r.take)
	return r
}

func (r *headerReader) take(field hpack.HeaderField) {
	switch field.Name {
	case ":status":
		r.httpStatus = field.Value
	case "grpc-status":
		r.grpcStatus = field.Value
	case "grpc-message":
		r.grpcMessage = field.Value
	}
}

// begin starts the block of a HEADERS frame.
func (r *headerReader) begin(frame *http2.HeadersFrame) {
	r.stream, r.last = frame.StreamID, frame.StreamEnded()
	r.httpStatus, r.grpcStatus, r.grpcMessage = "", "", ""
}

// write decodes a fragment of the block; end says that it is the last. An error leaves the connection unusable.
func (r *headerReader) write(fragment []byte, end bool) error {
	if _, err := r.decoder.Write(fragment); err != nil {
		return err
	}
	if end {
		return r.decoder.Close()
	}
	return nil
}

// failure names what the status in the newest block says, empty for 0.
func (r *headerReader) failure() string {
	switch r.grpcStatus {
	case "0":
		return ""
	case "":
		return "grpc-status missing"
	}
	text, err := url.PathUnescape(r.grpcMessage)
	if err != nil {
		text = r.grpcMessage
	}
	return fmt.Sprintf("grpc-status %s: %s", r.grpcStatus, text)
}
