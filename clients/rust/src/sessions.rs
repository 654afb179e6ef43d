//! `client.sessions()`.

use std::sync::Arc;

use crate::{
    client::Client,
    error::{Error, Result},
    model::{RunState, SessionInfo, SessionStatus},
    output::unreadable,
    pages::{Pages, number},
    v1,
    watch::WatchOptions,
};

/// Reads, lists, renews, ends and watches sessions.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(pub(crate) &'a Client);

/// Which sessions to list; the default is all.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SessionFilter {
    status: Option<SessionStatus>,
    app: String,
    page_size: Option<u32>,
}

impl SessionFilter {
    /// All sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with this status.
    pub fn status(mut self, status: SessionStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only those of this app, `name` or `name@version`.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = app.into();
        self
    }

    /// How many to fetch at a time, 1 to 1000; left out: what the gateway chooses.
    pub fn page_size(mut self, size: u32) -> Self {
        self.page_size = Some(size);
        self
    }
}

impl Sessions<'_> {
    /// Returns a session as it is now, also a finished one. Does not extend its life.
    ///
    /// # Errors
    ///
    /// [`Error::SessionNotFound`] if there is none with this id.
    pub async fn get(&self, session_id: &str) -> Result<SessionInfo> {
        let transport = &self.0.transport;
        let message = v1::GetSessionRequest { session_id: session_id.to_owned() };
        let call = |request| async { transport.sessions().get_session(request).await };
        present(transport.send(message, self.0.deadline(None), call).await?.session)
    }

    /// Lets the timeout of a session begin anew, and returns the session.
    ///
    /// # Errors
    ///
    /// [`Error::SessionNotFound`], [`Error::SessionExpired`] or [`Error::SessionEnded`].
    pub async fn keepalive(&self, session_id: &str) -> Result<SessionInfo> {
        let transport = &self.0.transport;
        let message = v1::KeepaliveRequest { session_id: session_id.to_owned() };
        let call = |request| async { transport.sessions().keepalive(request).await };
        present(transport.send(message, self.0.deadline(None), call).await?.session)
    }

    /// Ends a session, releases its worker at once, and returns the session. One that is finished stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::SessionNotFound`] if there is none with this id.
    pub async fn end(&self, session_id: &str) -> Result<SessionInfo> {
        let transport = &self.0.transport;
        let message = v1::EndSessionRequest { session_id: session_id.to_owned() };
        let call = |request| async { transport.sessions().end_session(request).await };
        present(transport.send(message, self.0.deadline(None), call).await?.session)
    }

    /// Walks through the caller's sessions, the newest first, over all pages.
    pub fn list(&self, filter: SessionFilter) -> Pages<SessionInfo> {
        let client = self.0.clone();
        let status = filter.status.map_or(0, SessionStatus::number);
        Pages::new(move |page_token| {
            let transport = Arc::clone(&client.transport);
            let deadline = client.deadline(None);
            let (page_size, app) = (number(filter.page_size), filter.app.clone());
            async move {
                let message = v1::ListSessionsRequest { page_size, page_token, status, app };
                let call = |request| async { transport.sessions().list_sessions(request).await };
                let answer = transport.send(message, deadline, call).await?;
                Ok((answer.sessions.into_iter().map(Into::into).collect(), answer.next_page_token))
            }
        })
    }

    /// Prepares a watch: a stream of what happens to the caller's sessions.
    pub fn watch(&self) -> WatchOptions {
        WatchOptions::new(Arc::clone(&self.0.transport))
    }
}

/// The session of an answer, which every gateway gives.
fn present(session: Option<v1::Session>) -> Result<SessionInfo, Error> {
    session.map(Into::into).ok_or_else(|| {
        let mut error = unreadable("the answer has no session", RunState::Unknown);
        error.failure_mut().run_state = None;
        error
    })
}
