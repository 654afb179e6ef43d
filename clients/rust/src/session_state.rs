//! What a session handle knows, and how its calls take turns until one of them has opened the session.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, ThreadId},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedMutexGuard, watch},
    task,
};
use tonic::Code;

use crate::{
    error::{Error, Result},
    keepalive::{KeepaliveEvent, Listener, Renewer},
    model::{RunState, SessionInfo},
    pacing::Deadline,
    recall::Recallable,
    run::{Call, RunResult},
    session::SessionOptions,
    status::transport_error,
    v1,
};

/// Shared by the handle and the streams of its calls.
pub(crate) struct Shared {
    options: SessionOptions,
    opening: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
    /// Of no worth but to wake those who wait for a loss or the end.
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Known {
    id: Option<String>,
    info: Option<SessionInfo>,
    lost: Option<Error>,
    /// Nothing more will be heard of a loss.
    unheard: bool,
    /// The stream that opens the session.
    opener: Option<Weak<Recallable>>,
    /// The task to which a stream that opens the session has given an output, and which may be busy with it now.
    reader: Option<Reader>,
    /// Where the session was opened; whoever drops its handle may be elsewhere.
    runtime: Option<Handle>,
    closed: bool,
    ended: bool,
}

/// Who reads. What a runtime was entered with has no id, but stays on its thread.
#[derive(Debug, PartialEq)]
enum Reader {
    Task(task::Id),
    Thread(ThreadId),
}

impl Reader {
    fn current() -> Self {
        task::try_id().map_or_else(|| Self::Thread(thread::current().id()), Self::Task)
    }
}

impl Shared {
    pub(crate) fn new(options: SessionOptions) -> Arc<Self> {
        Arc::new(Self { options, opening: Arc::default(), known: Mutex::default(), changes: watch::Sender::new(()) })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id(&self) -> Option<String> {
        self.lock().id.clone()
    }

    pub(crate) fn info(&self) -> Option<SessionInfo> {
        self.lock().info.clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The request of a call, as it would open the session.
    pub(crate) fn request(&self, call: Call) -> Result<v1::RunRequest> {
        let request = call.into_request(self.options.app.clone())?;
        let session_timeout = self.options.session_timeout;
        Ok(v1::RunRequest { session: "new".to_owned(), session_timeout, ..request })
    }

    /// Waits until a call may be made: in the session, or as the one that opens it while others wait.
    pub(crate) async fn turn(self: &Arc<Self>, deadline: Deadline) -> Result<Turn> {
        self.refuse_finished()?;
        if self.lock().id.is_some() {
            return Ok(self.turn_in_session());
        }
        self.refuse_own_reader()?;
        let opening = tokio::select! {
            biased;
            opening = Arc::clone(&self.opening).lock_owned() => opening,
            () = deadline.passed() => {
                let message = "the session was not open in the time given";
                return Err(transport_error(Code::DeadlineExceeded, message, Some(RunState::NotStarted)));
            }
        };
        self.refuse_finished()?;
        if self.lock().id.is_some() {
            return Ok(self.turn_in_session());
        }
        Ok(Turn { shared: Arc::clone(self), opening: Some(opening) })
    }

    fn turn_in_session(self: &Arc<Self>) -> Turn {
        Turn { shared: Arc::clone(self), opening: None }
    }

    fn refuse_finished(&self) -> Result<()> {
        let known = self.lock();
        if known.closed {
            return Err(Error::usage("the session handle has been ended"));
        }
        match &known.lost {
            None => Ok(()),
            Some(reason) => {
                let mut error = reason.clone();
                error.failure_mut().run_state = Some(RunState::NotStarted);
                Err(error)
            }
        }
    }

    /// A task that waited for a stream which waits for this very task would wait for ever.
    fn refuse_own_reader(&self) -> Result<()> {
        if self.lock().reader == Some(Reader::current()) {
            let message =
                "the session is being opened by a stream: read it to its end, or drop it, before the next call";
            return Err(Error::usage(message));
        }
        Ok(())
    }

    /// Takes note of an answer.
    pub(crate) fn take(&self, result: &RunResult, turn: Turn) {
        let mut known = self.lock();
        if turn.is_opening() {
            known.id.clone_from(&result.session_id);
            known.runtime = Handle::try_current().ok();
        }
        if result.session.is_some() {
            known.info.clone_from(&result.session);
        }
        drop(known);
        drop(turn);
    }

    pub(crate) fn keep_alive(self: &Arc<Self>, renewer: &Arc<Renewer>) {
        if self.options.keepalive
            && let Some(id) = self.id()
        {
            let listener: Arc<dyn Listener> = self.clone();
            renewer.add(&id, Arc::downgrade(&listener));
            // Whoever ended the handle before that has found nothing to forget.
            if self.is_closed() {
                self.forget(renewer, &id);
            }
        }
    }

    pub(crate) fn forget(self: &Arc<Self>, renewer: &Renewer, id: &str) {
        if self.options.keepalive {
            renewer.discard(id, self);
        }
    }

    /// No more calls. A stream that is opening the session is cancelled: a session whose id is not known ends with it
    /// only.
    pub(crate) fn close(&self) {
        let opener = {
            let mut known = self.lock();
            known.closed = true;
            known.opener.take()
        };
        self.changes.send_replace(());
        if let Some(opener) = opener.and_then(|opener| opener.upgrade()) {
            let message = "the session handle was ended while this stream was opening the session";
            opener.recall(transport_error(Code::Cancelled, message, Some(RunState::Unknown)));
        }
    }

    /// The id of the session if it was opened and not ended yet.
    pub(crate) fn to_be_ended(&self) -> Option<String> {
        let known = self.lock();
        if known.ended { None } else { known.id.clone() }
    }

    pub(crate) fn runtime(&self) -> Option<Handle> {
        self.lock().runtime.clone()
    }

    pub(crate) fn ended(&self, info: Option<SessionInfo>) {
        let mut known = self.lock();
        known.ended = true;
        if info.is_some() {
            known.info = info;
        }
    }

    pub(crate) async fn lost(&self) -> Option<Error> {
        let mut changes = self.changes.subscribe();
        loop {
            {
                let known = self.lock();
                if known.lost.is_some() || known.closed || known.unheard {
                    return known.lost.clone();
                }
            }
            // The sender lives in `self`, so it cannot be gone.
            let _ = changes.changed().await;
        }
    }
}

impl Listener for Shared {
    fn hear(&self, event: &KeepaliveEvent) {
        match &event.outcome {
            Ok(info) => self.lock().info = Some(info.clone()),
            Err(error) => {
                self.lock().lost = Some(error.clone());
                self.changes.send_replace(());
                if let Some(hear) = &self.options.on_lost {
                    // The renewals of the other sessions must go on; the panic has been reported by its hook.
                    let _ = catch_unwind(AssertUnwindSafe(|| hear(error)));
                }
            }
        }
    }

    fn stop(&self, _: &KeepaliveEvent) {
        self.lock().unheard = true;
        self.changes.send_replace(());
    }
}

/// The right to make a call; with `opening`, the one that opens the session.
pub(crate) struct Turn {
    shared: Arc<Shared>,
    opening: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.is_some()
    }

    /// Makes a request that would open the session one of the session that is open.
    pub(crate) fn addressed(&self, mut request: v1::RunRequest) -> v1::RunRequest {
        let known = self.shared.lock();
        if let (None, Some(id)) = (&self.opening, &known.id) {
            request.session.clone_from(id);
            request.session_timeout = None;
            if let Some(info) = &known.info {
                request.app = info.pinned_app();
            }
        }
        request
    }

    /// Says how the call is cancelled if it opens the session and the handle is ended meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the handle has been ended by now.
    pub(crate) fn held_by(&self, stream: Weak<Recallable>) -> Result<()> {
        if self.is_opening() {
            self.shared.lock().opener = Some(stream);
        }
        self.shared.refuse_finished()
    }

    /// Remembers that whoever reads the stream that opens the session is given an output now.
    pub(crate) fn read_by_this_task(&self) {
        if self.is_opening() {
            self.shared.lock().reader = Some(Reader::current());
        }
    }

    /// Whoever was given an output asks for the next one, so that the stream goes on.
    pub(crate) fn reads_on(&self) {
        if self.is_opening() {
            self.shared.lock().reader = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_opening() {
            let mut known = self.shared.lock();
            known.reader = None;
            known.opener = None;
        }
    }
}

#[cfg(test)]
#[path = "session_state_tests.rs"]
mod tests;
