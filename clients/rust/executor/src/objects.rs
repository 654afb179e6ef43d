//! The things that commands name.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sessiongateway::{Client, KeepaliveStream, RunStream, Session, Watch};
use tokio::sync::watch;

use crate::command::Fault;

/// Things of one kind by their names.
pub struct Shelf<T>(Mutex<HashMap<String, T>>);

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Shelf<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, name: &str, thing: T) {
        self.lock().insert(name.to_owned(), thing);
    }

    pub fn get(&self, name: &str) -> Result<T, Fault> {
        self.lock().get(name).cloned().ok_or_else(|| Fault::Usage(format!("nothing is named {name:?}")))
    }

    pub fn take(&self, name: &str) -> Result<T, Fault> {
        self.lock().remove(name).ok_or_else(|| Fault::Usage(format!("nothing is named {name:?}")))
    }

    pub fn take_all(&self) -> Vec<T> {
        self.lock().drain().map(|(_, thing)| thing).collect()
    }
}

/// A stream that is read by one command at a time, and may be closed meanwhile.
pub struct Open<T> {
    stream: tokio::sync::Mutex<Option<T>>,
    closed: watch::Sender<bool>,
}

impl<T: Send + 'static> Open<T> {
    pub fn new(stream: T) -> Arc<Self> {
        Arc::new(Self { stream: tokio::sync::Mutex::new(Some(stream)), closed: watch::Sender::new(false) })
    }

    /// Reads from the stream; `None` if it is closed, also meanwhile.
    pub async fn read<R>(&self, step: impl AsyncFnOnce(&mut T) -> R) -> Option<R> {
        let mut closed = self.closed.subscribe();
        let mut stream = self.stream.lock().await;
        let read = async {
            match stream.as_mut() {
                Some(stream) => Some(step(stream).await),
                None => None,
            }
        };
        let outcome = tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => None,
            outcome = read => outcome,
        };
        outcome
    }

    /// Drops the stream as soon as a step that reads it has given way.
    pub fn close(self: &Arc<Self>) {
        let this = Arc::clone(self);
        tokio::spawn(async move { this.finish(|_| ()).await });
    }

    /// Ends a step that reads the stream, looks at the stream for the last time, and drops it.
    pub async fn finish<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        self.closed.send_replace(true);
        self.stream.lock().await.take().as_ref().map(look)
    }
}

/// All of them.
#[derive(Default)]
pub struct Objects {
    pub clients: Shelf<Client>,
    pub streams: Shelf<Arc<Open<RunStream>>>,
    pub watches: Shelf<Arc<Open<Watch>>>,
    pub renewals: Shelf<Arc<Open<KeepaliveStream>>>,
    pub handles: Shelf<Arc<Session>>,
}

impl Objects {
    pub async fn close_all(&self) {
        self.streams.take_all().iter().for_each(Open::close);
        self.watches.take_all().iter().for_each(Open::close);
        self.renewals.take_all().iter().for_each(Open::close);
        for handle in self.handles.take_all() {
            // Nobody is left to be told.
            let _ = handle.end().await;
        }
        for client in self.clients.take_all() {
            client.close().await;
        }
    }
}
