//! Runs: what is asked for, and what comes back.

use std::{fmt, future::Future, time::Duration};

use serde::Serialize;

use crate::{
    error::{Error, Result},
    model::{RunState, SessionInfo},
    output::{Output, encode_input, unreadable},
    pacing::Deadline,
    transport::Transport,
    v1,
};

/// A call of one function, for [`Session::call`](crate::Session::call) and [`Run`].
#[derive(Clone, Default)]
#[must_use = "a call does nothing before it is made"]
pub struct Call {
    function: String,
    input: Option<Result<Vec<u8>>>,
    request_id: String,
    expected_call_count: Option<i64>,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    /// Calls the app's default function.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls a function by its name.
    pub fn to(function: impl Into<String>) -> Self {
        Self { function: function.into(), ..Self::default() }
    }

    /// Gives the input, whatever serializes to a JSON object; left out: the empty object.
    ///
    /// What cannot be sent is an [`Error::Usage`] when the call is made. That includes NaN and infinities: the input is
    /// serialized twice, first to look for them, because `serde_json` writes them as null.
    pub fn input<T: Serialize + ?Sized>(mut self, input: &T) -> Self {
        self.input = Some(encode_input(input));
        self
    }

    /// Makes a repeat safe: one with the same id and content gets the first call's answer and does not run again.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = id.into();
        self
    }

    /// Runs only if the session has had exactly this many calls when this one's turn comes.
    pub fn expected_call_count(mut self, count: i64) -> Self {
        self.expected_call_count = Some(count);
        self
    }

    /// Limits the time of the call with all its attempts; of a stream, up to its result.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub(crate) fn into_request(self, app: String) -> Result<v1::RunRequest> {
        // An input that is left out is sent as an empty object rather than as none: the answer comes in the form of the
        // request, and only JSON text keeps integers exact.
        let input = self.input.unwrap_or_else(|| Ok(b"{}".to_vec()))?;
        Ok(v1::RunRequest {
            app,
            function: self.function,
            payload: Some(v1::run_request::Payload::InputJson(input)),
            request_id: self.request_id,
            expected_call_count: self.expected_call_count,
            ..v1::RunRequest::default()
        })
    }
}

impl From<&str> for Call {
    fn from(function: &str) -> Self {
        Self::to(function)
    }
}

impl From<String> for Call {
    fn from(function: String) -> Self {
        Self::to(function)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("function", &self.function).finish_non_exhaustive()
    }
}

/// A run, for [`Client::run`](crate::Client::run) and [`Client::run_stream`](crate::Client::run_stream).
#[derive(Clone, Debug)]
#[must_use = "a run does nothing before it is sent"]
pub struct Run {
    app: String,
    call: Call,
    session: String,
    session_timeout: Option<i32>,
    worker_id: String,
}

impl Run {
    /// Calls the default function of an app, `name` or `name@version`, on any worker.
    pub fn new(app: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            call: Call::new(),
            session: String::new(),
            session_timeout: None,
            worker_id: String::new(),
        }
    }

    /// Makes this call instead of one of the default function without an input.
    pub fn call(mut self, call: impl Into<Call>) -> Self {
        self.call = call.into();
        self
    }

    /// Calls in a session: `"new"`, or the id of one.
    pub fn session(mut self, session: impl Into<String>) -> Self {
        self.session = session.into();
        self
    }

    /// Sets the idle timeout of a new session in whole seconds, 1 to 3600.
    pub fn session_timeout(mut self, seconds: i32) -> Self {
        self.session_timeout = Some(seconds);
        self
    }

    /// With a new session, leases this worker; with the id of one, insists that it is still there.
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.worker_id = id.into();
        self
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.call.timeout
    }

    pub(crate) fn into_request(self) -> Result<v1::RunRequest> {
        let request = self.call.into_request(self.app)?;
        let Self { session, session_timeout, worker_id, .. } = self;
        Ok(v1::RunRequest { session, session_timeout, worker_id, ..request })
    }
}

/// The answer of one run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunResult {
    /// The session that the call was in; `None` for a run without one.
    pub session_id: Option<String>,
    /// What the function returned.
    pub output: Output,
    /// Names the call in the gateway's log.
    pub call_id: String,
    /// The session after the call; `None` for a run without one.
    pub session: Option<SessionInfo>,
}

impl RunResult {
    pub(crate) fn from_answer(answer: v1::RunResponse) -> Result<Self> {
        let output = match answer.result {
            Some(v1::run_response::Result::OutputJson(text)) => Output::from_answer(&text, RunState::Completed),
            None => Ok(Output::empty()),
            Some(v1::run_response::Result::Output(_)) => {
                Err(unreadable("the output has not the form of the input", RunState::Completed))
            }
        };
        let session_id = Some(answer.session_id).filter(|id| !id.is_empty());
        match output {
            Ok(output) => {
                Ok(Self { session_id, output, call_id: answer.call_id, session: answer.session.map(Into::into) })
            }
            Err(mut error) => {
                let failure = error.failure_mut();
                failure.session_id = session_id;
                failure.call_id = Some(answer.call_id).filter(|id| !id.is_empty());
                Err(error)
            }
        }
    }
}

/// Sends a run, and sends it again when the gateway says that it took nothing. The only place that repeats a run.
pub(crate) async fn send_run<T, F>(transport: &Transport, deadline: Deadline, send: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let pacing = &transport.pacing;
    let mut attempt = 0;
    loop {
        let error: Error = match send().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = pacing.run.jittered(attempt).max(error.retry_after().unwrap_or_default());
        attempt += 1;
        let took_nothing = error.is_told_to_wait() && error.run_state().is_none_or(|it| it == RunState::NotStarted);
        if !took_nothing || attempt >= pacing.run_attempts || !deadline.allows(pause) {
            return Err(error);
        }
        transport.pause(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::{error::Failure, pacing::Pacing};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_closed_waits_for_no_further_attempt() {
        let transport = Transport::new(Endpoint::from_static("http://localhost:1"), None, None, Pacing::default());
        let draining = || {
            Error::new(Failure {
                code: "GATEWAY_DRAINING".into(),
                retry_after: Some(Duration::from_secs(3600)),
                ..Failure::default()
            })
        };
        let began = Instant::now();
        let attempts = std::cell::Cell::new(0);
        let send = || {
            attempts.set(attempts.get() + 1);
            let error = if attempts.get() == 1 { draining() } else { Transport::closed_error() };
            std::future::ready(Err::<(), _>(error))
        };
        let (outcome, ()) =
            tokio::join!(send_run(&transport, Deadline::after(None), send), async { transport.close() });
        assert!(matches!(outcome, Err(Error::Cancelled(_))));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
