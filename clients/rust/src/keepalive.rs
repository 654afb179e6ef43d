//! Which sessions are renewed, and who is told how each fares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Notify, time::Instant};

use crate::{
    error::{Error, Result},
    keepalive_conversation::Conversation,
    model::SessionInfo,
    status::{from_detail, is_final, transport_error},
    transport::Transport,
    v1::{self, stream_keepalive_response::Outcome},
};

/// As many as a gateway takes on one stream. It ends a stream with one more, and then all would be lost.
pub(crate) const MAX_SESSIONS: usize = 10_000;

/// News of one session: it was renewed, or it is lost, with the reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeepaliveEvent {
    /// Names the session.
    pub session_id: String,
    /// The renewed session; or why it is lost, after which nothing more is heard of it. [`Error::Cancelled`] and
    /// [`Error::Usage`] are no losses: the client was closed, or renews 10,000 others. The session lives on for a
    /// while.
    pub outcome: Result<SessionInfo>,
}

/// Whoever wants to hear how a session fares. Must not block.
pub(crate) trait Listener: Send + Sync {
    /// It was renewed, or it is lost.
    fn hear(&self, event: &KeepaliveEvent);

    /// It is renewed no longer, although it lives: the client was closed.
    fn stop(&self, event: &KeepaliveEvent);
}

/// Keeps any number of sessions alive over one stream, opened again whenever it breaks. Nothing runs while there is no
/// session to renew.
pub(crate) struct Renewer {
    pub(crate) transport: Arc<Transport>,
    state: Mutex<State>,
    /// There is somebody new to renew, or somebody less.
    pub(crate) changed: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) live: HashMap<String, Entry>,
    running: bool,
}

#[derive(Default)]
pub(crate) struct Entry {
    listeners: Vec<Weak<dyn Listener>>,
    /// Unknown before the first answer.
    pub(crate) timeout: Option<Duration>,
    /// Asked about on the present stream since somebody began to listen.
    asked: bool,
    /// When it was first asked about on the present stream without an answer yet.
    pub(crate) unanswered: Option<Instant>,
}

impl Renewer {
    pub(crate) fn new(transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self { transport, state: Mutex::default(), changed: Notify::new() })
    }

    /// Renews a session from now on, at once for the first time.
    ///
    /// # Panics
    ///
    /// Not on a runtime.
    pub(crate) fn add(self: &Arc<Self>, session_id: &str, listener: Weak<dyn Listener>) {
        let runtime = Handle::current();
        let mut state = self.lock();
        if state.live.len() >= MAX_SESSIONS && !state.live.contains_key(session_id) {
            drop(state);
            let error = Error::usage(format!("a client renews no more than {MAX_SESSIONS} sessions at a time"));
            tell(&[listener], &KeepaliveEvent { session_id: session_id.to_owned(), outcome: Err(error) });
            return;
        }
        let entry = state.live.entry(session_id.to_owned()).or_default();
        entry.listeners.push(listener);
        entry.asked = false;
        if !state.running {
            state.running = true;
            runtime.spawn(Arc::clone(self).keep());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Tells a listener no more of a session, which is renewed no longer if it was the last one.
    pub(crate) fn discard<L: Listener + 'static>(&self, session_id: &str, listener: &Arc<L>) {
        let listener: Weak<dyn Listener> = Arc::downgrade(listener) as Weak<dyn Listener>;
        let mut state = self.lock();
        if let Some(entry) = state.live.get_mut(session_id) {
            entry.listeners.retain(|each| !each.ptr_eq(&listener));
            if entry.listeners.is_empty() {
                state.live.remove(session_id);
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews until nothing is left, or the client is closed.
    async fn keep(self: Arc<Self>) {
        let mut running = Running { renewer: &self, rests: false };
        let mut attempt = 0;
        loop {
            let mut conversation = Conversation::new(&self);
            let outcome = tokio::select! {
                biased;
                () = self.transport.closed() => return,
                outcome = conversation.hold() => outcome,
            };
            attempt = if conversation.answered { 0 } else { attempt + 1 };
            let mut pause = self.transport.pacing.reconnect.jittered(attempt);
            if let Err(error) = outcome {
                pause = pause.max(error.retry_after().unwrap_or_default());
                if is_final(&error) {
                    self.lose_all(&error);
                }
            }
            if running.may_rest() {
                return;
            }
            self.transport.pause(pause).await;
        }
    }

    fn lose_all(&self, error: &Error) {
        let lost = std::mem::take(&mut self.lock().live);
        for (session_id, entry) in lost {
            tell(&entry.listeners, &KeepaliveEvent { session_id, outcome: Err(error.clone()) });
        }
    }

    /// Passes an answer on. A session that is lost is renewed no longer.
    ///
    /// # Errors
    ///
    /// The gateway can renew none at the moment, and none is lost: all must be asked about again after a while.
    pub(crate) fn take(&self, answer: v1::StreamKeepaliveResponse) -> Result<()> {
        let session_id = answer.session_id;
        let mut state = self.lock();
        let Some(entry) = state.live.get_mut(&session_id) else { return Ok(()) };
        entry.unanswered = None;
        let (listeners, outcome) = match answer.outcome {
            Some(Outcome::Session(session)) => {
                let info = SessionInfo::from(session);
                entry.timeout = Some(info.session_timeout).filter(|timeout| !timeout.is_zero());
                (entry.listeners.clone(), Ok(info))
            }
            Some(Outcome::Error(detail)) => {
                let error = from_detail(detail);
                if error.is_told_to_wait() {
                    return Err(error);
                }
                let entry = state.live.remove(&session_id);
                (entry.map(|entry| entry.listeners).unwrap_or_default(), Err(error))
            }
            None => return Ok(()),
        };
        drop(state);
        tell(&listeners, &KeepaliveEvent { session_id, outcome });
        Ok(())
    }

    /// Begins anew: nothing has been asked on the present stream.
    pub(crate) fn begin(&self) {
        for entry in self.lock().live.values_mut() {
            entry.asked = false;
            entry.unanswered = None;
        }
    }

    /// Marks sessions as asked about, all or only those that were not, and returns their ids. Those for whom nobody is
    /// there any more go.
    pub(crate) fn to_ask(&self, all: bool) -> Vec<String> {
        let now = Instant::now();
        let mut state = self.lock();
        state.live.retain(|_, entry| entry.listeners.iter().any(|each| each.strong_count() > 0));
        let wanted = state.live.iter_mut().filter(|(_, entry)| all || !entry.asked);
        wanted
            .map(|(session_id, entry)| {
                entry.asked = true;
                entry.unanswered.get_or_insert(now);
                session_id.clone()
            })
            .collect()
    }
}

fn tell(listeners: &[Weak<dyn Listener>], event: &KeepaliveEvent) {
    for listener in listeners.iter().filter_map(Weak::upgrade) {
        listener.hear(event);
    }
}

/// The renewals go on for as long as this is there. If it goes before it could rest, everybody is told: the client was
/// closed, or its runtime stopped.
struct Running<'a> {
    renewer: &'a Renewer,
    rests: bool,
}

impl Running<'_> {
    /// Whether nothing is left to renew. Then whoever adds a session begins anew.
    fn may_rest(&mut self) -> bool {
        let mut state = self.renewer.lock();
        state.running = !state.live.is_empty();
        self.rests = !state.running;
        self.rests
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if self.rests {
            return;
        }
        let left = {
            let mut state = self.renewer.lock();
            state.running = false;
            std::mem::take(&mut state.live)
        };
        let message = "the client was closed, or its runtime stopped: the session is renewed no longer";
        let error = transport_error(tonic::Code::Cancelled, message, None);
        for (session_id, entry) in left {
            let event = KeepaliveEvent { session_id, outcome: Err(error.clone()) };
            entry.listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.stop(&event));
        }
    }
}

#[cfg(test)]
#[path = "keepalive_tests.rs"]
mod tests;
