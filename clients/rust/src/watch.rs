//! A watch of the caller's sessions that survives broken connections and gateways that come back.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::SystemTime,
};

use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tonic::Streaming;

use crate::{
    error::{Error, Result},
    model::{SessionEvent, SessionInfo, moment},
    pacing::Deadline,
    status::{broken_stream, from_status, is_final},
    transport::Transport,
    v1,
};

/// One thing that happened to a session.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WatchEvent {
    /// What happened.
    pub event: SessionEvent,
    /// The session as it was right after it; `None` for [`SessionEvent::Watching`].
    pub session: Option<SessionInfo>,
    /// When, by the gateway's clock.
    pub occurred_at: Option<SystemTime>,
    /// Continues a watch behind this event.
    pub resume_token: String,
}

/// What to watch, and from where; the default is all of the caller's sessions from now on.
#[must_use = "nothing is watched before the watch is opened"]
#[derive(Clone)]
pub struct WatchOptions {
    transport: Arc<Transport>,
    resume_token: String,
    app: String,
    show_watching: bool,
}

impl WatchOptions {
    pub(crate) fn new(transport: Arc<Transport>) -> Self {
        Self { transport, resume_token: String::new(), app: String::new(), show_watching: false }
    }

    /// Begins behind the event of this token, of this or another process: what has happened since comes first.
    pub fn resume(mut self, token: impl Into<String>) -> Self {
        self.resume_token = token.into();
        self
    }

    /// Only sessions of this app, `name` or `name@version`. A token is good for the same app only.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = app.into();
        self
    }

    /// Yields the events [`SessionEvent::Watching`], too. They are always taken note of in the watch's token.
    pub fn show_watching(mut self) -> Self {
        self.show_watching = true;
        self
    }

    /// Waits until the watch stands: what happens from then on is told, so that a list read after that leaves no gap.
    ///
    /// # Errors
    ///
    /// The gateway cannot be reached, or refuses the token or the app.
    pub async fn open(self) -> Result<Watch> {
        let token = Arc::new(Mutex::new(self.resume_token.clone()));
        let mut reader = Reader::new(self);
        let first = reader.next().await?;
        let first = reader.shown(first, &token);
        let state = (reader, first, Arc::clone(&token));
        let events = stream::try_unfold(state, |(mut reader, mut first, token)| async move {
            loop {
                if let Some(event) = first.take() {
                    return Ok(Some((event, (reader, None, token))));
                }
                let event = reader.next().await?;
                first = reader.shown(event, &token);
            }
        });
        Ok(Watch { events: Box::pin(events), token })
    }
}

impl fmt::Debug for WatchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchOptions").field("app", &self.app).finish_non_exhaustive()
    }
}

/// What happens to the caller's sessions, until it is dropped.
///
/// When the connection breaks or the gateway stops, the watch is opened again behind the last event that was read, as
/// often as it takes: nothing is left out and nothing comes twice. Nothing is read ahead: who reads slowly falls behind
/// at the gateway, which keeps events for as long as it keeps finished sessions.
///
/// It ends with an error that a new stream would meet as well: the gateway refuses the token or the key, or the client
/// was closed. Nothing comes after that; another watch may [`resume`](WatchOptions::resume) where this one has ended.
#[must_use = "nothing is read before the watch is"]
pub struct Watch {
    events: Pin<Box<dyn Stream<Item = Result<WatchEvent>> + Send>>,
    token: Arc<Mutex<String>>,
}

impl Watch {
    /// Returns the next event, or `None` after an error. Dropping the future, as a timeout does, loses nothing.
    ///
    /// # Errors
    ///
    /// The gateway refuses the watch: the token has grown too old, or the key is not valid any more. Or the client was
    /// closed.
    pub async fn next(&mut self) -> Option<Result<WatchEvent>> {
        StreamExt::next(self).await
    }

    /// Continues behind the last event that was read; good after a restart, too.
    #[must_use]
    pub fn resume_token(&self) -> String {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stream for Watch {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.events.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(event))) = &polled {
            remember(&self.token, event.resume_token.clone());
        }
        polled
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("resume_token", &self.resume_token()).finish_non_exhaustive()
    }
}

fn remember(token: &Mutex<String>, position: String) {
    *token.lock().unwrap_or_else(PoisonError::into_inner) = position;
}

/// Reads events over as many streams as it takes.
struct Reader {
    options: WatchOptions,
    position: String,
    call: Option<Streaming<v1::WatchSessionsResponse>>,
    attempt: u32,
    standing: bool,
}

impl Reader {
    fn new(options: WatchOptions) -> Self {
        Self { position: options.resume_token.clone(), options, call: None, attempt: 0, standing: false }
    }

    /// Returns the event unless it is hidden. Then its token is taken note of here: no event that was read is on its
    /// way to the caller meanwhile, since each step yields one.
    fn shown(&self, event: WatchEvent, token: &Mutex<String>) -> Option<WatchEvent> {
        if event.event == SessionEvent::Watching && !self.options.show_watching {
            remember(token, event.resume_token);
            return None;
        }
        Some(event)
    }

    async fn next(&mut self) -> Result<WatchEvent> {
        let transport = Arc::clone(&self.options.transport);
        loop {
            let read = tokio::select! {
                biased;
                () = transport.closed() => return Err(Transport::closed_error()),
                read = self.read() => read,
            };
            match read {
                Ok(message) => {
                    self.standing = true;
                    self.attempt = 0;
                    self.position.clone_from(&message.resume_token);
                    return Ok(WatchEvent {
                        event: SessionEvent::from_number(message.event),
                        session: message.session.map(Into::into),
                        occurred_at: message.occurred_at.and_then(moment),
                        resume_token: message.resume_token,
                    });
                }
                Err(error) => {
                    self.call = None;
                    let pause = self.recover(error)?;
                    transport.pause(pause).await;
                }
            }
        }
    }

    /// Returns the next message of the present stream, or of a new one.
    async fn read(&mut self) -> Result<v1::WatchSessionsResponse> {
        let transport = &self.options.transport;
        let silence = Deadline::after(Some(transport.pacing.watch_timeout));
        let read = async {
            if self.call.is_none() {
                let (resume_token, app) = (self.position.clone(), self.options.app.clone());
                let message = v1::WatchSessionsRequest { resume_token, app };
                let request = transport.request(message, Deadline::after(None));
                self.call = Some(transport.sessions().watch_sessions(request).await?.into_inner());
            }
            match &mut self.call {
                Some(call) => call.message().await,
                None => Ok(None),
            }
        };
        tokio::select! {
            read = read => match read {
                Ok(Some(message)) => Ok(message),
                Ok(None) => Err(broken_stream("the gateway closed the stream")),
                Err(status) => Err(from_status(&status, None)),
            },
            () = silence.passed() => Err(broken_stream("no word from the gateway in time")),
        }
    }

    /// Returns how long to wait before the stream may be opened again, or the failure when that is of no use.
    fn recover(&mut self, failure: Error) -> Result<std::time::Duration> {
        let pacing = &self.options.transport.pacing;
        let hopeful = self.standing || (failure.is_told_to_wait() && self.attempt + 1 < pacing.run_attempts);
        if is_final(&failure) || !hopeful {
            self.attempt = 0;
            return Err(failure);
        }
        let pause = pacing.reconnect.jittered(self.attempt).max(failure.retry_after().unwrap_or_default());
        self.attempt += 1;
        Ok(pause)
    }
}
