//! A session as a thing to hold: it opens with its first call and ends with its handle.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::stream;
use tokio::sync::watch;

use crate::{
    client::Client,
    error::{Error, Result},
    model::SessionInfo,
    recall::Recallable,
    run::{Call, RunResult},
    session_state::{Shared, Turn},
    stream::{Part, Parts, RunStream, parts},
};

/// Hears why a session was lost.
pub(crate) type OnLost = Box<dyn Fn(&Error) + Send + Sync>;

/// What a session handle is made with.
#[must_use]
pub struct SessionOptions {
    pub(crate) app: String,
    pub(crate) session_timeout: Option<i32>,
    pub(crate) keepalive: bool,
    pub(crate) on_lost: Option<OnLost>,
}

impl SessionOptions {
    /// For a session of this app, `name` or `name@version`.
    pub fn new(app: impl Into<String>) -> Self {
        Self { app: app.into(), session_timeout: None, keepalive: false, on_lost: None }
    }

    /// Sets the idle timeout in whole seconds, 1 to 3600; left out: 60.
    pub fn session_timeout(mut self, seconds: i32) -> Self {
        self.session_timeout = Some(seconds);
        self
    }

    /// Renews the session by itself for as long as the handle lives. A client renews up to 10,000 sessions; one more
    /// counts as lost, for an [`Error::Usage`].
    pub fn keepalive(mut self, keepalive: bool) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Is called once, with the reason, when keepalive finds that the session is gone. Must not block.
    pub fn on_lost(mut self, hear: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_lost = Some(Box::new(hear));
        self
    }
}

impl From<&str> for SessionOptions {
    fn from(app: &str) -> Self {
        Self::new(app)
    }
}

impl From<String> for SessionOptions {
    fn from(app: String) -> Self {
        Self::new(app)
    }
}

impl fmt::Debug for SessionOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionOptions").field("app", &self.app).finish_non_exhaustive()
    }
}

/// One session, made by [`Client::session`].
///
/// The first call opens it; calls that arrive meanwhile wait for that. If the first call fails there is no session, and
/// the next call is the first again. A stream is a call too, and opens the session with its result. From then on every
/// call goes to the session's own app and version, also when a newer one has been deployed. A session that has finished
/// is never replaced: its calls fail.
///
/// [`end`](Self::end) ends it, and cancels a stream that is opening it. A handle that is dropped without that ends it
/// too, in the background of the runtime on which it was opened. A runtime that stops at once may not get to it, and
/// then the session expires by itself: [`Client::close`] waits for it.
#[must_use = "the session ends with its handle"]
pub struct Session {
    client: Client,
    shared: Arc<Shared>,
}

impl Session {
    pub(crate) fn new(client: Client, options: SessionOptions) -> Self {
        Self { client, shared: Shared::new(options) }
    }

    /// The session's id; `None` before the first call has succeeded.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        self.shared.id()
    }

    /// The session as it was in the newest answer; `None` before the first.
    #[must_use]
    pub fn info(&self) -> Option<SessionInfo> {
        self.shared.info()
    }

    /// Makes a call in the session; the name of a function alone is a call without input.
    ///
    /// # Errors
    ///
    /// What [`Client::run`] fails with; with keepalive, why the session is known to be lost. [`Error::Usage`] if the
    /// handle has been ended, or the session is being opened by a stream that the calling task itself has not read to
    /// its end: it would wait for itself. A task that reads the stream and calls at the same time, as with `join!`, is
    /// taken for one that waits if it calls after an output and before it reads on; spawn one of the two.
    pub async fn call(&self, call: impl Into<Call> + Send) -> Result<RunResult> {
        let call = call.into();
        let timeout = call.timeout.or(self.client.timeout());
        let deadline = self.client.deadline(timeout);
        let request = self.shared.request(call)?;
        let turn = self.shared.turn(deadline).await?;
        let request = turn.addressed(request);
        let transport = &self.client.transport;
        let answer = crate::run::send_run(transport, deadline, || transport.run(request.clone(), deadline)).await?;
        let result = RunResult::from_answer(answer)?;
        settle(&self.client, &self.shared, turn, &result);
        Ok(result)
    }

    /// Makes a call as [`call`](Self::call) does, and returns a stream of its partial outputs with the result at its
    /// end.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the input cannot be sent. What `call` fails with comes on the stream.
    pub fn stream(&self, call: impl Into<Call>) -> Result<RunStream> {
        let call = call.into();
        let timeout = call.timeout.or(self.client.timeout());
        let request = self.shared.request(call)?;
        let caller = Caller { client: self.client.clone(), shared: Arc::clone(&self.shared), timeout };
        let parts = Recallable::parts(|own| {
            let unsent = Step::Unsent(Box::new(request));
            Box::pin(stream::try_unfold((caller, unsent), move |(caller, step)| {
                let own = own.clone();
                async move { Ok(caller.next(step, own).await?.map(|(part, step)| (part, (caller, step)))) }
            }))
        });
        Ok(RunStream::new(parts))
    }

    /// Waits until keepalive finds that the session is gone, and returns why; `None` once the handle was ended, or the
    /// client closed.
    pub async fn lost(&self) -> Option<Error> {
        tokio::select! {
            biased;
            lost = self.shared.lost() => lost,
            () = self.client.transport.closed() => None,
        }
    }

    /// Ends the session, if it was opened, and returns it as it then is. A stream that is opening it is cancelled, and
    /// fails with [`Error::Cancelled`]. May be called twice.
    ///
    /// # Errors
    ///
    /// The session could not be ended; it will expire by itself.
    pub async fn end(&self) -> Result<Option<SessionInfo>> {
        end(&self.client, &self.shared).await
    }
}

/// Makes the call of a stream.
struct Caller {
    client: Client,
    shared: Arc<Shared>,
    timeout: Option<Duration>,
}

impl Caller {
    /// Returns the next part, and what to do after it; `None` after the result.
    async fn next(&self, step: Step, stream: Weak<Recallable>) -> Result<Option<(Part, Step)>> {
        let (mut parts, turn): (Parts, Turn) = match step {
            Step::Unsent(request) => {
                let deadline = self.client.deadline(self.timeout);
                let turn = self.shared.turn(deadline).await?;
                turn.held_by(stream)?;
                let request = turn.addressed(*request);
                (parts(Arc::clone(&self.client.transport), request, deadline.remaining()), turn)
            }
            Step::Reading(parts, turn) => {
                turn.reads_on();
                (parts, turn)
            }
            Step::Done => return Ok(None),
        };
        match futures_util::StreamExt::next(&mut parts).await.transpose()? {
            None => Ok(None),
            Some(Part::Result(result)) => {
                settle(&self.client, &self.shared, turn, &result);
                Ok(Some((Part::Result(result), Step::Done)))
            }
            Some(partial) => {
                turn.read_by_this_task();
                Ok(Some((partial, Step::Reading(parts, turn))))
            }
        }
    }
}

enum Step {
    Unsent(Box<crate::v1::RunRequest>),
    Reading(Parts, Turn),
    Done,
}

/// Takes note of an answer, and begins what follows from an opened session.
fn settle(client: &Client, shared: &Arc<Shared>, turn: Turn, result: &RunResult) {
    let opened = turn.is_opening();
    shared.take(result, turn);
    if !opened {
        return;
    }
    if shared.is_closed() {
        // The handle was ended while this call ran, and could not end what it did not know.
        end_later(client, shared);
    } else {
        shared.keep_alive(&client.renewer);
    }
}

async fn end(client: &Client, shared: &Arc<Shared>) -> Result<Option<SessionInfo>> {
    shared.close();
    let Some(id) = shared.to_be_ended() else {
        return Ok(shared.info());
    };
    shared.forget(&client.renewer, &id);
    let timeout = client.timeout().unwrap_or(client.transport.pacing.end_timeout);
    match client.with_timeout(timeout).sessions().end(&id).await {
        Ok(info) => shared.ended(Some(info)),
        // Its record has been purged, so it was over long ago.
        Err(Error::SessionNotFound(_)) => shared.ended(None),
        Err(error) => return Err(error),
    }
    Ok(shared.info())
}

fn end_later(client: &Client, shared: &Arc<Shared>) {
    let Some(runtime) = shared.runtime() else { return };
    let (client, shared) = (client.clone(), Arc::clone(shared));
    let pending = client.ends.begin();
    runtime.spawn(async move {
        // Nobody is there to be told; the session expires by itself.
        let _ = end(&client, &shared).await;
        drop(pending);
    });
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(id) = self.shared.to_be_ended() {
            self.shared.forget(&self.client.renewer, &id);
            end_later(&self.client, &self.shared);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Counts the sessions that are being ended in the background.
#[derive(Clone, Debug)]
pub(crate) struct Ends(Arc<watch::Sender<usize>>);

impl Default for Ends {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Ends {
    fn begin(&self) -> Pending {
        self.0.send_modify(|count| *count += 1);
        Pending(self.clone())
    }

    /// Waits until none is left, but no longer than this.
    pub(crate) async fn settle(&self, patience: Duration) {
        let mut changes = self.0.subscribe();
        let _ = tokio::time::timeout(patience, changes.wait_for(|count| *count == 0)).await;
    }
}

struct Pending(Ends);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
