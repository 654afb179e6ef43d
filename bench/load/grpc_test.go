package main

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestRightAnswersOverSeveralConnections(t *testing.T) {
	target := grpcServer(t, echo)
	result := playPlan(t, &Plan{Target: target, Connections: 3, Slots: alike(10), Requests: 300, Warmup: 20})
	result.want(t, 300, nil)
	l := result.LatencyMS
	if !(0 < l.Min && l.Min <= l.P50 && l.P50 <= l.P90 && l.P90 <= l.P99 && l.P99 <= l.P999 && l.P999 <= l.Max) {
		t.Errorf("latencies are out of order: %+v", l)
	}
	if l.Mean < l.Min || l.Mean > l.Max || l.Max > result.Seconds*1000 {
		t.Errorf("latencies do not fit into %v s: %+v", result.Seconds, l)
	}
	// From the second request on its header is but indices, in 9 bytes and those of the frames.
	if result.BytesSent > 300*60 {
		t.Errorf("%d bytes sent", result.BytesSent)
	}
	if result.Messages != 300 || result.BytesSent < 300*20 || result.BytesReceived < 300*20 || result.CPUSeconds <= 0 {
		t.Errorf("the warm-up is counted, or something is missing: %+v", result.Report)
	}
}

func TestAnAnswerWithoutTheContentIsAnError(t *testing.T) {
	slots := alike(2)
	slots[1].Contains = []byte("something else")
	result := playPlan(t, &Plan{Target: grpcServer(t, echo), Connections: 2, Slots: slots, Requests: 2})
	result.want(t, 1, map[string]int{"content": 1})
}

func TestErrorsOfTheWarmupCount(t *testing.T) {
	var once sync.Once
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		failure := error(nil)
		once.Do(func() { failure = status.Error(codes.Unavailable, "not yet") })
		if failure != nil {
			return failure
		}
		return echo(stream)
	})
	result := playPlan(t, &Plan{Target: target, Slots: alike(1), Requests: 5, Warmup: 2})
	result.want(t, 5, map[string]int{"grpc-status 14: not yet": 1})
}

func TestAnErrorStatusIsNamedWithItsTextDecoded(t *testing.T) {
	target := grpcServer(t, func(grpc.ServerStream) error {
		failure, err := status.New(codes.FailedPrecondition, "100 % für nichts").WithDetails(
			&errdetails.ErrorInfo{Reason: "SESSION_EXPIRED", Domain: "sessiongateway"})
		if err != nil {
			return err
		}
		return failure.Err()
	})
	result := playPlan(t, &Plan{Target: target, Slots: alike(4), Requests: 20})
	result.want(t, 0, map[string]int{"grpc-status 9: 100 % für nichts": 20})
}

func TestMetadataAreSentWithEveryRequest(t *testing.T) {
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		fields, _ := metadata.FromIncomingContext(stream.Context())
		if keys := fields.Get("authorization"); len(keys) != 1 || keys[0] != "Bearer k" {
			return status.Error(codes.Unauthenticated, "no key")
		}
		return echo(stream)
	})
	plan := &Plan{Target: target, Slots: alike(2), Requests: 20, Metadata: map[string]string{"authorization": "Bearer k"}}
	playPlan(t, plan).want(t, 20, nil)
}

// Windows that never grow beyond their defaults have to be granted again and again, by both sides.
func TestLongMessagesPassBothWays(t *testing.T) {
	const megabyte = 1 << 20
	target := grpcServer(t, echo, grpc.StaticStreamWindowSize(65535), grpc.StaticConnWindowSize(65535))
	for name, length := range map[string]int{"shorter than the windows": megabyte, "longer": 5 * megabyte} {
		t.Run(name, func(t *testing.T) {
			message := bytes.Repeat([]byte("0123456789abcdef"), length/16)
			slots := []SlotPlan{{Request: message, Contains: message}, {Request: message, Contains: message}}
			result := playPlan(t, &Plan{Target: target, Slots: slots, Requests: 4, Warmup: 1})
			result.want(t, 4, nil)
			if result.BytesSent < 4*int64(length) || result.BytesReceived < 4*int64(length) {
				t.Errorf("%d bytes sent and %d received", result.BytesSent, result.BytesReceived)
			}
		})
	}
}

// The server answers only when it has as many messages as the window allows: with fewer in flight it would never.
func TestAsManyMessagesOfAStreamAreInFlightAsTheWindowAllows(t *testing.T) {
	const window, answers = 4, 3
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		for {
			for range window {
				var message []byte
				if err := stream.RecvMsg(&message); err != nil {
					return nil
				}
			}
			for range window * answers {
				if err := stream.SendMsg(&[]byte{'o', 'k'}); err != nil {
					return err
				}
			}
		}
	})
	slots := []SlotPlan{{Request: []byte("a"), Contains: []byte("ok")}}
	result := playPlan(t, &Plan{
		Target: target, Kind: bidi, Slots: slots, Window: window, AnswersPerMessage: answers, Requests: 40, Warmup: 4,
	})
	result.want(t, 40, nil)
	if result.Messages != 40*answers {
		t.Errorf("%d messages were counted", result.Messages)
	}
}

// Three messages are answered by two: one with an answer, and one with two.
func TestJoinedAnswersAreCountedByWhatTheyContain(t *testing.T) {
	for begins, errors := range map[string]map[string]int{"ok": nil, "no": {"content": 30}} {
		target := grpcServer(t, func(stream grpc.ServerStream) error {
			for {
				for range 3 {
					var message []byte
					if err := stream.RecvMsg(&message); err != nil {
						return nil
					}
				}
				for _, answer := range []string{"ok", "okok"} {
					message := []byte(answer)
					if err := stream.SendMsg(&message); err != nil {
						return err
					}
				}
			}
		})
		slots := []SlotPlan{{Request: []byte("a"), Contains: []byte("ok"), Begins: []byte(begins)}}
		result := playPlan(t, &Plan{Target: target, Kind: bidi, Slots: slots, Window: 3, Joined: true, Requests: 30})
		right := 30
		if errors != nil {
			right = 0
		}
		result.want(t, right, errors)
	}
}

func TestConversationsOnSeveralConnections(t *testing.T) {
	result := playPlan(t, &Plan{
		Target: grpcServer(t, echo), Kind: bidi, Connections: 2, Slots: alike(5), Window: 8, Requests: 1000, Warmup: 50,
	})
	result.want(t, 1000, nil)
}

func TestAStreamsStatusCountsAtItsEndToo(t *testing.T) {
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		_ = echo(stream)
		return status.Error(codes.Internal, "after all")
	})
	result := playPlan(t, &Plan{Target: target, Kind: bidi, Slots: alike(2), Window: 2, Requests: 10})
	result.want(t, 10, map[string]int{"grpc-status 13: after all": 2})
}

func TestAMessageThatNobodyAskedForIsAnError(t *testing.T) {
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		_ = stream.SendMsg(&[]byte{})
		return echo(stream)
	})
	result := playPlan(t, &Plan{Target: target, Kind: bidi, Slots: []SlotPlan{{}}, Requests: 1})
	result.want(t, 1, map[string]int{"unasked message": 1})
}

func TestAStreamThatEndsEarlyLeavesItsMessagesUnanswered(t *testing.T) {
	target := grpcServer(t, func(stream grpc.ServerStream) error {
		var message []byte
		_ = stream.RecvMsg(&message)
		return stream.SendMsg(&message)
	})
	result := playPlan(t, &Plan{Target: target, Kind: bidi, Slots: alike(1), Window: 2, Requests: 2})
	result.want(t, 1, map[string]int{"stream ended": 1})
}

// All requests are due at once, nearly, and the only slot has to wait with the first of them for the gate.
func TestAnOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	const requests, rate = 20, 100_000.0
	var first sync.Once
	var held atomic.Int64
	target := grpcServer(t, echo)
	stalling := grpcServer(t, func(stream grpc.ServerStream) error {
		first.Do(func() {
			begin := time.Now()
			playPlan(t, &Plan{Target: target, Slots: alike(1), Requests: 100})
			held.Store(int64(time.Since(begin)))
		})
		return echo(stream)
	})
	result := playPlan(t, &Plan{Target: stalling, Slots: alike(1), Rate: rate, Seconds: requests / rate})
	result.want(t, requests, nil)
	least := milliseconds(time.Duration(held.Load())) - 1000*requests/rate
	if least <= 0 || result.LatencyMS.Min < least {
		t.Errorf("the shortest time is %v ms, though all had to wait for %v ms", result.LatencyMS.Min, least)
	}
}

func TestAnOpenLoopKeepsItsRate(t *testing.T) {
	result := playPlan(t, &Plan{
		Target: grpcServer(t, echo), Connections: 2, Slots: alike(8), Rate: 1000, Seconds: 0.1, Warmup: 8,
	})
	result.want(t, 100, nil)
	if last := 0.099; result.Seconds < last {
		t.Errorf("the last request was answered after %v s, and due after %v s", result.Seconds, last)
	}
}
