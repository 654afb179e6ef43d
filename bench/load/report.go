package main

import (
	"math"
	"slices"
	"time"
)

// Report is what came of a plan.
type Report struct {
	// Answers is how many requests of the measurement were answered in full and rightly.
	Answers int `json:"answers"`
	// Errors counts what went wrong, in the warm-up too, by what it was; docs of [failures] has the names.
	Errors map[string]int `json:"errors"`
	// Seconds is the time from the first request of the measurement to its last right answer.
	Seconds float64 `json:"seconds"`
	// Rate is Answers by Seconds.
	Rate float64 `json:"rate"`
	// LatencyMS has the times of right answers, in milliseconds.
	LatencyMS Latency `json:"latency_ms"`
	// BytesSent and BytesReceived count what the connections carried during the measurement, frames and headers too.
	BytesSent     int64 `json:"bytes_sent"`
	BytesReceived int64 `json:"bytes_received"`
	// Messages is how many messages were received during the measurement.
	Messages int64 `json:"messages"`
	// CPUSeconds is the user and system time that this program itself took for the measurement.
	CPUSeconds float64 `json:"cpu_seconds"`
}

// Latency describes times in milliseconds; all are 0 if there are none. In a closed loop a time counts from when the
// slot was free to send, in an open loop from when the request was due; both end when its last byte could be read.
type Latency struct {
	Min  float64 `json:"min"`
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// describe sums up times, which it sorts. A percentile is the smallest time that so many of all do not exceed.
func describe(times []time.Duration) Latency {
	if len(times) == 0 {
		return Latency{}
	}
	slices.Sort(times)
	sum := 0.0
	for _, t := range times {
		sum += float64(t)
	}
	at := func(share float64) float64 {
		rank := int(math.Ceil(share*float64(len(times)) - 1e-9))
		return milliseconds(times[max(rank, 1)-1])
	}
	return Latency{
		Min:  milliseconds(times[0]),
		Mean: milliseconds(time.Duration(sum / float64(len(times)))),
		P50:  at(0.50), P90: at(0.90), P99: at(0.99), P999: at(0.999),
		Max: milliseconds(times[len(times)-1]),
	}
}

func milliseconds(t time.Duration) float64 { return math.Round(float64(t)/100) / 1e4 }

// ok says whether every one of the requests was answered rightly.
func (r *Report) ok(requests int) bool { return len(r.Errors) == 0 && r.Answers == requests }

// failures counts errors by name. For a request:
//
//	grpc-status 14: TEXT      the server's status, with its text decoded
//	grpc-status missing       the response ended without one
//	http-status 502           the response was not one of gRPC
//	content                   a message lacks what it must contain
//	nothing learned           the answer to an opening lacks what the slot's requests need
//	2 messages instead of 1   a response of another length
//	compressed message        which was not asked for
//	broken message            the response ended within one
//	stream ended              a bidirectional stream ended, with status 0, before it answered
//	rst CANCEL                the server reset the stream
//	not processed             a GOAWAY says so
//	no answer                 nothing was answered for too long
//	connection lost: TEXT     while it was under way
//	not sent                  no connection was left
//
// For a connection or stream, besides the requests that it cost:
//
//	connect: TEXT             it could not be opened
//	goaway NAME: TEXT         the server closes it
//	unasked message           a bidirectional stream answered more than it was asked
//	max concurrent streams N  the server does not allow the streams of a bidirectional plan
type failures map[string]int

const (
	// maxFailureText is how many bytes of a server's text are kept.
	maxFailureText = 300
	// maxFailureNames is how many names are told apart: texts may hold ids.
	maxFailureNames = 50
)

// add counts n errors of one name.
func (f failures) add(name string, n int) {
	if len(name) > maxFailureText {
		name = name[:maxFailureText] + "..."
	}
	if _, known := f[name]; !known && len(f) >= maxFailureNames {
		name = "others"
	}
	f[name] += n
}
