package sessiongateway

import (
	"context"
	"errors"
	"time"
)

// resend sends a run, and sends it again when the gateway answers that it took nothing: a few times, with growing
// waits, within the deadline. Nothing else repeats a run.
func resend[Answer any](ctx context.Context, t *transport, send func() (Answer, error)) (Answer, error) {
	for attempt := 0; ; attempt++ {
		answer, err := send()
		var failure *Error
		if err == nil || !errors.As(err, &failure) || !tookNothing(failure) || failure.RunState != RunStateNotStarted {
			return answer, err
		}
		wait := max(failure.RetryAfter, t.pacing.resend.delay(attempt, t.pacing.random()))
		if deadline, has := ctx.Deadline(); attempt+1 >= t.pacing.sendAttempts || has && time.Until(deadline) <= wait {
			return answer, err
		}
		inner, cancel := t.within(ctx)
		waited := pause(inner, wait)
		cancel()
		if !waited {
			return answer, ofContext(ctx, "the run was cancelled before it was sent again", RunStateNotStarted)
		}
	}
}
