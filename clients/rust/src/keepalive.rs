//! Renews sessions over one stream, and tells whoever holds one how it fares.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tonic::Streaming;

use crate::{
    error::{Error, Result},
    model::SessionInfo,
    pacing::Deadline,
    status::{from_detail, from_status, is_final, transport_error},
    transport::Transport,
    v1::{self, stream_keepalive_response::Outcome},
};

const IDS_PER_MESSAGE: usize = 1000;

/// News of one session: it was renewed, or it is lost, with the reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeepaliveEvent {
    /// Names the session.
    pub session_id: String,
    /// The renewed session; or why it is lost, after which nothing more is heard of it.
    pub outcome: Result<SessionInfo>,
}

/// Whoever wants to hear how a session fares. Must not block.
pub(crate) trait Listener: Send + Sync {
    fn hear(&self, event: &KeepaliveEvent);
}

/// Keeps any number of sessions alive over one stream, opened again whenever it breaks. Nothing runs while there is no
/// session to renew.
pub(crate) struct Renewer {
    transport: Arc<Transport>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    live: HashMap<String, Entry>,
    running: bool,
}

struct Entry {
    listeners: Vec<Weak<dyn Listener>>,
    /// Unknown before the first answer.
    timeout: Option<Duration>,
    /// Asked about on the present stream since somebody began to listen.
    asked: bool,
    /// When it was first asked about on the present stream without an answer yet.
    unanswered: Option<Instant>,
}

impl Renewer {
    pub(crate) fn new(transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self { transport, state: Mutex::default(), changed: Notify::new() })
    }

    /// Renews a session from now on, at once for the first time. Must be called on a runtime.
    pub(crate) fn add(self: &Arc<Self>, session_id: &str, listener: Weak<dyn Listener>) {
        let mut state = self.lock();
        let entry = state.live.entry(session_id.to_owned()).or_insert_with(|| Entry {
            listeners: Vec::new(),
            timeout: None,
            asked: false,
            unanswered: None,
        });
        entry.listeners.push(listener);
        entry.asked = false;
        if !state.running {
            state.running = true;
            tokio::spawn(Arc::clone(self).keep());
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews until nothing is left.
    async fn keep(self: Arc<Self>) {
        let mut attempt = 0;
        loop {
            let mut conversation = Conversation { renewer: &self, answered: false };
            let outcome = tokio::select! {
                () = self.transport.closed() => Err(Transport::closed_error()),
                outcome = conversation.hold() => outcome,
            };
            attempt = if conversation.answered { 0 } else { attempt + 1 };
            let mut pause = self.transport.pacing.reconnect.jittered(attempt);
            if let Err(error) = outcome {
                pause = pause.max(error.retry_after().unwrap_or_default());
                if is_final(&error) || matches!(error, Error::Cancelled(_)) {
                    self.lose_all(&error);
                }
            }
            {
                let mut state = self.lock();
                if state.live.is_empty() {
                    state.running = false;
                    return;
                }
            }
            tokio::select! {
                () = self.transport.closed() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn lose_all(&self, error: &Error) {
        let lost = std::mem::take(&mut self.lock().live);
        for (session_id, entry) in lost {
            tell(&entry.listeners, &KeepaliveEvent { session_id, outcome: Err(error.clone()) });
        }
    }

    /// Passes an answer on. A session that is lost is renewed no longer.
    fn take(&self, answer: v1::StreamKeepaliveResponse) {
        let session_id = answer.session_id;
        let mut state = self.lock();
        let Some(entry) = state.live.get_mut(&session_id) else { return };
        entry.unanswered = None;
        let (listeners, outcome) = match answer.outcome {
            Some(Outcome::Session(session)) => {
                let info = SessionInfo::from(session);
                entry.timeout = Some(info.session_timeout).filter(|timeout| !timeout.is_zero());
                (entry.listeners.clone(), Ok(info))
            }
            Some(Outcome::Error(detail)) => {
                let entry = state.live.remove(&session_id);
                (entry.map(|entry| entry.listeners).unwrap_or_default(), Err(from_detail(detail)))
            }
            None => return,
        };
        drop(state);
        tell(&listeners, &KeepaliveEvent { session_id, outcome });
    }

    /// Marks sessions as asked about, all or only those that were not, and returns their ids.
    fn to_ask(&self, all: bool) -> Vec<String> {
        let now = Instant::now();
        let mut state = self.lock();
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

/// What the conversation has to wait for.
enum Wait {
    Renewal(Instant),
    Overdue(Instant),
}

/// One stream, from its opening until it breaks or nothing is left to renew.
struct Conversation<'a> {
    renewer: &'a Renewer,
    answered: bool,
}

impl Conversation<'_> {
    async fn hold(&mut self) -> Result<()> {
        let renewer = self.renewer;
        for entry in renewer.lock().live.values_mut() {
            entry.asked = false;
            entry.unanswered = None;
        }
        let (questions, mut outgoing) = mpsc::unbounded_channel();
        let outgoing = futures_util::stream::poll_fn(move |context| outgoing.poll_recv(context));
        let request = renewer.transport.request(outgoing, Deadline::after(None));
        let mut stub = renewer.transport.sessions();
        let opening = stub.stream_keepalive(request);
        tokio::pin!(opening);
        let mut answers: Option<Streaming<v1::StreamKeepaliveResponse>> = None;
        let mut sent = ask(&questions, &renewer.to_ask(true));
        let mut spread = spread();
        loop {
            let (moment, overdue) = match self.wait(sent, spread) {
                None => return Ok(()),
                Some(Wait::Renewal(moment)) => (moment, false),
                Some(Wait::Overdue(moment)) => (moment, true),
            };
            tokio::select! {
                opened = &mut opening, if answers.is_none() => {
                    answers = Some(opened.map_err(|status| from_status(&status, None))?.into_inner());
                }
                answer = next(answers.as_mut()) => {
                    renewer.take(answer?);
                    self.answered = true;
                }
                () = renewer.changed.notified() => {
                    ask(&questions, &renewer.to_ask(false));
                }
                () = tokio::time::sleep_until(moment) => {
                    if overdue {
                        return Err(broken("no answer in time"));
                    }
                    sent = ask(&questions, &renewer.to_ask(true));
                    spread = self::spread();
                }
            }
        }
    }

    /// Returns what comes next: a renewal, or the moment at which an answer has failed to come. `None` if nothing is live.
    fn wait(&self, sent: Instant, spread: f64) -> Option<Wait> {
        let state = self.renewer.lock();
        if state.live.is_empty() {
            return None;
        }
        let patience = self.renewer.transport.pacing.reply_timeout;
        let shortest = state.live.values().filter_map(|entry| entry.timeout).min();
        let overdue = state.live.values().filter_map(|entry| entry.unanswered).min().map(|since| since + patience);
        let renewal = shortest.map(|timeout| sent + timeout.mul_f64(spread / 3.0));
        Some(match (renewal, overdue) {
            (Some(renewal), Some(overdue)) if overdue < renewal => Wait::Overdue(overdue),
            (Some(renewal), _) => Wait::Renewal(renewal),
            (None, Some(overdue)) => Wait::Overdue(overdue),
            // Nothing is known only if a gateway answered without a session: try again after a while.
            (None, None) => Wait::Renewal(sent + patience),
        })
    }
}

/// Between 0.8 and 1: many clients that were started together shall not renew together.
fn spread() -> f64 {
    1.0 - 0.2 * fastrand::f64()
}

/// Sends the ids, and returns when that was. A queue without a bound holds no more than is renewed until an answer is
/// overdue.
fn ask(questions: &mpsc::UnboundedSender<v1::StreamKeepaliveRequest>, session_ids: &[String]) -> Instant {
    for batch in session_ids.chunks(IDS_PER_MESSAGE) {
        // The stream that is gone tells so where its answers are read.
        let _ = questions.send(v1::StreamKeepaliveRequest { session_ids: batch.to_vec() });
    }
    Instant::now()
}

async fn next(answers: Option<&mut Streaming<v1::StreamKeepaliveResponse>>) -> Result<v1::StreamKeepaliveResponse> {
    match answers {
        None => std::future::pending().await,
        Some(answers) => match answers.message().await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(broken("the gateway closed the stream")),
            Err(status) => Err(from_status(&status, None)),
        },
    }
}

fn broken(message: &str) -> Error {
    transport_error(tonic::Code::Unavailable, message, None)
}
