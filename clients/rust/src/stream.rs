//! A run that answers in parts, as its caller reads it.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tonic::Streaming;

use crate::{
    error::{Error, Result},
    model::RunState,
    output::{Output, unreadable},
    pacing::Deadline,
    run::{RunResult, send_run},
    transport::Transport,
    v1::{self, run_stream_response::Part as Message},
};

/// For the status behind a result. It usually comes along with it; without it the gateway would take the call for one
/// that its caller has left. Nobody who has the result waits longer.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// What comes on a stream: outputs, and last the result.
#[derive(Debug)]
pub(crate) enum Part {
    Partial(Output),
    Result(Box<RunResult>),
}

pub(crate) type Parts = Pin<Box<dyn Stream<Item = Result<Part>> + Send>>;

/// The partial outputs of one run; at the end, [`result`](Self::result) has its answer.
///
/// The run is sent when the stream is first polled, and its time counts from then. A reader that is slow slows the
/// function. Dropping the stream cancels the run on the gateway too.
///
/// Each item may be an error of a run, also after outputs have come; nothing comes after an error.
#[must_use = "nothing is sent before the stream is read"]
pub struct RunStream {
    parts: Option<Parts>,
    result: Option<RunResult>,
}

impl RunStream {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Some(parts), result: None }
    }

    /// Returns the next partial output, or `None` when the result is there. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What [`Client::run`](crate::Client::run) fails with.
    pub async fn next(&mut self) -> Option<Result<Output>> {
        StreamExt::next(self).await
    }

    /// The answer, as `run` returns it; `None` before the stream was read to its end, and if it has failed.
    #[must_use]
    pub fn result(&self) -> Option<&RunResult> {
        self.result.as_ref()
    }

    /// Passes over the partial outputs that are left, and returns the result.
    ///
    /// # Errors
    ///
    /// What [`Client::run`](crate::Client::run) fails with; [`Error::Usage`] if the stream has failed before.
    pub async fn finish(mut self) -> Result<RunResult> {
        while let Some(partial) = self.next().await {
            partial?;
        }
        self.result.take().ok_or_else(|| Error::usage("the stream has no result: it has failed"))
    }
}

impl Stream for RunStream {
    type Item = Result<Output>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(parts) = &mut self.parts else {
            return Poll::Ready(None);
        };
        let part = std::task::ready!(parts.as_mut().poll_next(context));
        if let Some(Ok(Part::Partial(output))) = part {
            return Poll::Ready(Some(Ok(output)));
        }
        // Nothing more is to come; what the stream holds, such as a session that is being opened, is free now.
        self.parts = None;
        match part {
            Some(Ok(Part::Result(result))) => {
                self.result = Some(*result);
                Poll::Ready(None)
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            _ => Poll::Ready(None),
        }
    }
}

impl fmt::Debug for RunStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunStream").field("result", &self.result).finish_non_exhaustive()
    }
}

/// Sends the request when it is first polled, and then yields what comes.
pub(crate) fn parts(transport: Arc<Transport>, request: v1::RunRequest, timeout: Option<Duration>) -> Parts {
    let reader = Reader { transport, deadline: Deadline::after(None), call: None };
    Box::pin(stream::try_unfold((reader, Some((request, timeout))), |(mut reader, unsent)| async move {
        let message = match unsent {
            Some((request, timeout)) => reader.begin(&request, timeout).await?,
            None => reader.read().await?,
        };
        Ok(reader.known(message).await?.map(|part| (part, (reader, None))))
    }))
}

struct Reader {
    transport: Arc<Transport>,
    deadline: Deadline,
    call: Option<Streaming<v1::RunStreamResponse>>,
}

impl Reader {
    async fn begin(
        &mut self,
        request: &v1::RunRequest,
        timeout: Option<Duration>,
    ) -> Result<Option<v1::RunStreamResponse>> {
        self.deadline = Deadline::after(timeout);
        let (transport, deadline) = (&self.transport, self.deadline);
        let (call, first) = send_run(transport, deadline, || async {
            let mut call = transport.run_stream(request.clone(), deadline).await?;
            let first = transport.read(&mut call, deadline).await?;
            Ok((call, first))
        })
        .await?;
        self.call = Some(call);
        Ok(first)
    }

    async fn read(&mut self) -> Result<Option<v1::RunStreamResponse>> {
        match &mut self.call {
            Some(call) => self.transport.read(call, self.deadline).await,
            None => Ok(None),
        }
    }

    /// Passes over kinds of parts that only a newer gateway knows. `None` after the result.
    async fn known(&mut self, mut message: Option<v1::RunStreamResponse>) -> Result<Option<Part>> {
        if self.call.is_none() {
            return Ok(None);
        }
        loop {
            let Some(response) = message else {
                return Err(unreadable("the stream ended without a result", RunState::Unknown));
            };
            match response.part {
                Some(Message::PartialJson(text)) => {
                    return Output::from_answer(&text, RunState::Unknown).map(|output| Some(Part::Partial(output)));
                }
                Some(Message::Result(answer)) => {
                    let result = RunResult::from_answer(answer)?;
                    self.see_off().await;
                    return Ok(Some(Part::Result(Box::new(result))));
                }
                Some(Message::Partial(_)) => {
                    return Err(unreadable("a partial output has not the form of the input", RunState::Unknown));
                }
                None => message = self.read().await?,
            }
        }
    }

    async fn see_off(&mut self) {
        if let Some(mut call) = self.call.take() {
            let _ = self.transport.read(&mut call, Deadline::after(Some(STATUS_WAIT))).await;
        }
    }
}
