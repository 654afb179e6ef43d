//! Automatic renewal, as its caller reads of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;

use crate::keepalive::{KeepaliveEvent, Listener, Renewer};

/// Renews sessions until it is dropped, and tells what happens to them.
///
/// Who reads more slowly than the sessions are renewed sees only the newest renewal of each; a loss is never skipped.
/// The stream ends when all sessions are lost, or the client is closed.
#[must_use = "sessions are renewed for as long as the stream lives"]
pub struct KeepaliveStream {
    renewer: Arc<Renewer>,
    mailbox: Arc<Mailbox>,
}

#[derive(Default)]
struct Mailbox(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    /// In the order in which they came.
    events: BTreeMap<u64, KeepaliveEvent>,
    /// Where the event of each session stands.
    places: HashMap<String, u64>,
    next_place: u64,
    live: BTreeSet<String>,
    reader: Option<Waker>,
}

impl Letters {
    /// The older news go, and the new ones to the end: no session can keep back those of another.
    fn put(&mut self, event: KeepaliveEvent) {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(older) = self.places.insert(event.session_id.clone(), place) {
            self.events.remove(&older);
        }
        self.events.insert(place, event);
    }

    fn take(&mut self) -> Option<KeepaliveEvent> {
        let (_, event) = self.events.pop_first()?;
        self.places.remove(&event.session_id);
        Some(event)
    }
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Mailbox {
    fn hear(&self, event: &KeepaliveEvent) {
        let mut letters = self.lock();
        letters.put(event.clone());
        if event.outcome.is_err() {
            letters.live.remove(&event.session_id);
        }
        let reader = letters.reader.take();
        drop(letters);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn stop(&self, event: &KeepaliveEvent) {
        self.hear(event);
    }
}

impl KeepaliveStream {
    pub(crate) fn new(renewer: Arc<Renewer>, session_ids: impl Iterator<Item = String>) -> Self {
        let live: BTreeSet<_> = session_ids.collect();
        let mailbox = Arc::new(Mailbox(Mutex::new(Letters { live: live.clone(), ..Letters::default() })));
        for session_id in &live {
            let listener: Arc<dyn Listener> = mailbox.clone();
            renewer.add(session_id, Arc::downgrade(&listener));
        }
        Self { renewer, mailbox }
    }

    /// Returns the next news, or `None` when all sessions are lost. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<KeepaliveEvent> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<KeepaliveEvent>> {
        let mut letters = self.mailbox.lock();
        if let Some(event) = letters.take() {
            return Poll::Ready(Some(event));
        }
        if letters.live.is_empty() {
            return Poll::Ready(None);
        }
        letters.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Stream for KeepaliveStream {
    type Item = KeepaliveEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<KeepaliveEvent>> {
        self.poll(context)
    }
}

impl Drop for KeepaliveStream {
    fn drop(&mut self) {
        let live = std::mem::take(&mut self.mailbox.lock().live);
        for session_id in live {
            self.renewer.discard(&session_id, &self.mailbox);
        }
    }
}

impl fmt::Debug for KeepaliveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepaliveStream").field("live", &self.mailbox.lock().live).finish_non_exhaustive()
    }
}
