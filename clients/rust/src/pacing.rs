//! When to wait, and for how long.

use std::time::Duration;

use tokio::time::Instant;

/// Waiting times that grow: `initial`, then `multiplier` times more with each attempt, up to `maximum`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first wait at its longest.
    pub initial: Duration,
    /// What no wait exceeds.
    pub maximum: Duration,
    /// By how much each step is longer than the one before.
    pub multiplier: f64,
}

impl Backoff {
    const fn doubling(initial: Duration, maximum: Duration) -> Self {
        Self { initial, maximum, multiplier: 2.0 }
    }

    /// Returns the wait after attempt 0, 1, …: between half and all of its step, as `random` (0 to 1) says.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        // Bounded because a stream may reconnect for weeks, and a float overflows some day.
        let exponent = f64::from(attempt.min(64));
        let step = (self.initial.as_secs_f64() * self.multiplier.powf(exponent)).min(self.maximum.as_secs_f64());
        Duration::from_secs_f64(step * (0.5 + random / 2.0))
    }

    pub(crate) fn jittered(&self, attempt: u32) -> Duration {
        self.delay(attempt, fastrand::f64())
    }
}

/// Every wait that the client takes by itself. The defaults suit programs; tests bring their own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pacing {
    /// How often a run is sent at most, when every answer is that the gateway took nothing.
    pub run_attempts: u32,
    /// Between these, if the gateway does not ask for more.
    pub run: Backoff,
    /// How often a request that is safe to repeat is sent at most, when every answer is UNAVAILABLE.
    pub safe_attempts: u32,
    /// Between these, if the gateway does not ask for more.
    pub safe: Backoff,
    /// Before a broken stream is opened again; its maximum is far below the usual session timeout of 60 s.
    pub reconnect: Backoff,
    /// For how long a connection may be in the making.
    pub connect_timeout: Duration,
    /// After which a keepalive stream without an answer counts as broken: a host that vanished says nothing.
    pub reply_timeout: Duration,
    /// After which a silent watch counts as broken: a gateway sends something every 30 s at least.
    pub watch_timeout: Duration,
    /// For how long the end of a session may take where no timeout was given.
    pub end_timeout: Duration,
}

impl Default for Pacing {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            run_attempts: 4,
            run: Backoff::doubling(millis(200), millis(5_000)),
            safe_attempts: 4,
            safe: Backoff::doubling(millis(100), millis(2_000)),
            reconnect: Backoff::doubling(millis(100), millis(5_000)),
            connect_timeout: millis(10_000),
            reply_timeout: millis(10_000),
            watch_timeout: millis(100_000),
            end_timeout: millis(10_000),
        }
    }
}

/// A moment by which a request, with all its attempts, must be over; or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Starts counting now. A time beyond what a clock can show never ends.
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time that is left, zero when it has passed.
    pub(crate) fn remaining(self) -> Option<Duration> {
        self.0.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    /// Returns when it has passed.
    pub(crate) async fn passed(self) {
        match self.0 {
            Some(moment) => tokio::time::sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }

    /// Whether a wait of so long leaves time for another attempt.
    pub(crate) fn allows(self, wait: Duration) -> bool {
        self.remaining().is_none_or(|remaining| wait < remaining)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: Backoff = Backoff::doubling(Duration::from_millis(100), Duration::from_secs(5));

    #[test]
    fn waits_double_up_to_their_maximum() {
        let waits: Vec<_> = (0..8).map(|attempt| STEPS.delay(attempt, 1.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }

    #[test]
    fn a_wait_is_at_least_half_of_its_step() {
        assert_eq!(STEPS.delay(0, 0.0), Duration::from_millis(50));
    }

    #[test]
    fn a_stream_may_reconnect_for_ever() {
        assert_eq!(STEPS.delay(u32::MAX, 1.0), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_counts_from_its_start() {
        let deadline = Deadline::after(Some(Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(deadline.remaining(), Some(Duration::from_secs(2)));
        assert!(deadline.allows(Duration::from_secs(1)));
        assert!(!deadline.allows(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(deadline.remaining(), Some(Duration::ZERO));
    }

    #[tokio::test]
    async fn a_time_that_no_clock_can_show_never_ends() {
        assert_eq!(Deadline::after(Some(Duration::MAX)).remaining(), None);
    }
}
