package sessiongateway

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// backoff makes waits that grow with each attempt, up to a maximum.
type backoff struct {
	initial, maximum time.Duration
	multiplier       float64
}

// delay returns the wait after attempt 0, 1, ...: between half and all of its step, as random (0 to 1) says.
func (b backoff) delay(attempt int, random float64) time.Duration {
	// Compared as floats: a stream may reconnect for weeks, and the step of so many attempts is no duration.
	step := math.Min(float64(b.maximum), float64(b.initial)*math.Pow(b.multiplier, float64(attempt)))
	return time.Duration(step * (0.5 + random/2))
}

// pacing has every wait that the client takes by itself.
type pacing struct {
	// random returns a number from 0 to 1, which spreads the waits of many clients.
	random func() float64
	// sendAttempts is how often a run is sent at most, when every answer is that the gateway took nothing.
	sendAttempts int
	// resend is the wait between these, if the gateway does not ask for more.
	resend backoff
	// reconnect is the wait before a broken stream is opened again. Its maximum is far below the usual session
	// timeout of a minute.
	reconnect backoff
	// replyTimeout is the silence after which a keepalive stream counts as broken: a host that vanished says nothing.
	replyTimeout time.Duration
	// watchTimeout is the silence after which a watch counts as broken: a gateway sends something every 30 s at least.
	watchTimeout time.Duration
	// endTimeout is how long ending the session of a handle may take, if its context is over or has no deadline.
	endTimeout time.Duration
	// statusWait is how long to wait for the status behind a stream's result. It usually comes along with it; without
	// it the gateway would take the call for one that its caller has left. Nobody who has the result waits longer.
	statusWait time.Duration
	// wakeAttempts and wakeWait are how often and for how long a request waits for a fresh attempt to connect, when
	// the last one has failed: a gateway that has come back is found at once, and one that is still gone is reported
	// about as fast. More than one, since the first may be an attempt that was already on its way.
	wakeAttempts int
	wakeWait     time.Duration
	// wakeGap lies between two such attempts at least, however many requests there are. It is shorter than all the
	// waits of a request, so that each sees an attempt that began after it.
	wakeGap backoff
}

func defaultPacing() *pacing {
	return &pacing{
		random:       rand.Float64,
		sendAttempts: 4,
		resend:       backoff{initial: 200 * time.Millisecond, maximum: 5 * time.Second, multiplier: 2},
		reconnect:    backoff{initial: 100 * time.Millisecond, maximum: 5 * time.Second, multiplier: 2},
		replyTimeout: 10 * time.Second,
		watchTimeout: 100 * time.Second,
		endTimeout:   10 * time.Second,
		statusWait:   time.Second,
		wakeAttempts: 4,
		wakeWait:     50 * time.Millisecond,
		wakeGap:      backoff{initial: 100 * time.Millisecond, maximum: 100 * time.Millisecond, multiplier: 1},
	}
}

// pause waits, and reports whether it did: false when the context was over first.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
