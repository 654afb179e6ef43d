package main

import "encoding/binary"

// prefixLength is the length of what precedes a message of gRPC: a flag and four bytes of length.
const prefixLength = 5

// assembler cuts the bytes of a stream into messages, however frames divide them. The zero value is ready.
type assembler struct {
	// compressed is the flag of the message that next returned last.
	compressed bool
	prefix     [prefixLength]byte
	havePrefix int
	body       []byte
}

// next takes data and returns the first message that they complete, which is valid until the next call, and the data
// behind it. complete is false when all data are taken and no message is complete.
func (a *assembler) next(data []byte) (body, rest []byte, complete bool) {
	if a.havePrefix == 0 && len(data) >= prefixLength {
		end := prefixLength + int(binary.BigEndian.Uint32(data[1:]))
		if end <= len(data) {
			a.compressed = data[0] != 0
			return data[prefixLength:end], data[end:], true
		}
	}
	if a.havePrefix < prefixLength {
		n := copy(a.prefix[a.havePrefix:], data)
		a.havePrefix += n
		data = data[n:]
		a.body = a.body[:0]
		if a.havePrefix < prefixLength {
			return nil, nil, false
		}
	}
	n := min(int(binary.BigEndian.Uint32(a.prefix[1:]))-len(a.body), len(data))
	a.body = append(a.body, data[:n]...)
	if len(a.body) < int(binary.BigEndian.Uint32(a.prefix[1:])) {
		return nil, nil, false
	}
	a.havePrefix, a.compressed = 0, a.prefix[0] != 0
	return a.body, data[n:], true
}

// inside says whether the data so far end within a message.
func (a *assembler) inside() bool { return a.havePrefix > 0 }

// reset forgets a message that has begun.
func (a *assembler) reset() { a.havePrefix = 0 }
