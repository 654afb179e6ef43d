//! A stream of parts that others than its reader can put an end to, whether it is read at the moment or not.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
};

use crate::{
    error::{Error, Result},
    stream::{Part, Parts},
};

/// Whoever reads the parts owns it; others have it weakly.
pub(crate) struct Recallable(Mutex<State>);

struct State {
    parts: Option<Parts>,
    reader: Option<Waker>,
    reason: Option<Error>,
}

impl Recallable {
    /// Wraps the parts, which may know how they are recalled.
    pub(crate) fn parts(make: impl FnOnce(Weak<Self>) -> Parts) -> Parts {
        let this = Arc::new_cyclic(|this: &Weak<Self>| {
            Self(Mutex::new(State { parts: Some(make(this.clone())), reader: None, reason: None }))
        });
        Box::pin(futures_util::stream::poll_fn(move |context| this.poll(context)))
    }

    /// Drops the parts, which cancels their run. The reason is what is read next, and last.
    pub(crate) fn recall(&self, reason: Error) {
        let mut state = self.lock();
        let Some(parts) = state.parts.take() else { return };
        state.reason = Some(reason);
        let reader = state.reader.take();
        // Neither may find the lock taken.
        drop(state);
        drop(parts);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<Part>>> {
        let mut state = self.lock();
        let Some(parts) = &mut state.parts else {
            return Poll::Ready(state.reason.take().map(Err));
        };
        let polled = parts.as_mut().poll_next(context);
        if polled.is_pending() {
            state.reader = Some(context.waker().clone());
        }
        polled
    }
}
