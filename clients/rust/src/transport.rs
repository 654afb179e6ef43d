//! The connection to a gateway, and one request over it.

use std::{future::Future, path::PathBuf, sync::OnceLock, time::Duration};

use tokio::sync::watch;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Endpoint,
};

use crate::{
    connector::Connector,
    error::{Error, Result},
    link::{Link, Sent},
    model::RunState,
    pacing::{Deadline, Pacing},
    status::{deadline_error, from_status, transport_error},
    v1::{self, app_service_client::AppServiceClient, session_service_client::SessionServiceClient},
};

const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// Bytes of one stream that may be on their way. A gateway holds as much for a reader that is slow.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams together: one whose reader is slow must not stop the others.
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// Finds a host that vanished during a long run. Servers refuse pings that come more often than every 5 minutes.
const PING_INTERVAL: Duration = Duration::from_secs(330);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What the header of a deadline can say is limited; a longer one is none for practical purposes.
const MAX_HEADER_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) type Sessions = SessionServiceClient<Link>;
pub(crate) type Apps = AppServiceClient<Link>;

/// One channel, opened with the first request. It connects again by itself.
#[derive(Debug)]
pub(crate) struct Transport {
    endpoint: Endpoint,
    socket: Option<PathBuf>,
    authorization: Option<MetadataValue<Ascii>>,
    link: OnceLock<Link>,
    closed: watch::Sender<bool>,
    pub(crate) pacing: Pacing,
}

impl Transport {
    /// Remembers where to connect, to the endpoint or to a socket file; nothing is opened yet.
    pub(crate) fn new(
        endpoint: Endpoint,
        socket: Option<PathBuf>,
        authorization: Option<MetadataValue<Ascii>>,
        pacing: Pacing,
    ) -> Self {
        let endpoint = endpoint
            .connect_timeout(pacing.connect_timeout)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { endpoint, socket, authorization, link: OnceLock::new(), closed: watch::Sender::new(false), pacing }
    }

    /// The stub of the sessions. Must be called on a runtime.
    pub(crate) fn sessions(&self) -> Sessions {
        SessionServiceClient::new(self.link()).max_decoding_message_size(MAX_ANSWER)
    }

    /// The stub of the apps. Must be called on a runtime.
    pub(crate) fn apps(&self) -> Apps {
        AppServiceClient::new(self.link()).max_decoding_message_size(MAX_ANSWER)
    }

    fn link(&self) -> Link {
        let link = self.link.get_or_init(|| {
            let connector = Connector::new(self.socket.clone(), self.pacing.connect_timeout, self.closed.subscribe());
            Link(self.endpoint.connect_with_connector_lazy(connector))
        });
        link.clone()
    }

    /// Sends a request that is safe to repeat, and repeats it while the gateway cannot be reached.
    pub(crate) async fn send<Q: Clone, A, F>(
        &self,
        message: Q,
        deadline: Deadline,
        call: impl Fn(Request<Q>) -> F,
    ) -> Result<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut attempt = 0;
        loop {
            let answer = Box::pin(call(self.request(message.clone(), deadline)));
            let error = match self.bounded(deadline, None, answer).await {
                Ok(response) => return Ok(response.into_inner()),
                Err(error) => error,
            };
            let pause = self.pacing.safe.jittered(attempt).max(error.retry_after().unwrap_or_default());
            attempt += 1;
            let is_unavailable = error.failure().grpc_status == Some(Code::Unavailable);
            if !is_unavailable || attempt >= self.pacing.safe_attempts || !deadline.allows(pause) {
                return Err(error);
            }
            self.pause(pause).await;
        }
    }

    /// Sends a run, once.
    pub(crate) async fn run(&self, message: v1::RunRequest, deadline: Deadline) -> Result<v1::RunResponse> {
        let sent = Sent::default();
        let mut request = self.request(message, deadline);
        request.extensions_mut().insert(sent.clone());
        let mut stub = self.sessions();
        Ok(self.bounded(deadline, Some(&sent), Box::pin(stub.run(request))).await?.into_inner())
    }

    /// Sends a run that answers in parts, once.
    pub(crate) async fn run_stream(
        &self,
        message: v1::RunRequest,
        deadline: Deadline,
    ) -> Result<Streaming<v1::RunStreamResponse>> {
        let sent = Sent::default();
        let mut request = self.request(message, deadline);
        request.extensions_mut().insert(sent.clone());
        let mut stub = self.sessions();
        Ok(self.bounded(deadline, Some(&sent), Box::pin(stub.run_stream(request))).await?.into_inner())
    }

    /// Returns the next part of a run's answer; `None` when it ended well.
    pub(crate) async fn read(
        &self,
        parts: &mut Streaming<v1::RunStreamResponse>,
        deadline: Deadline,
    ) -> Result<Option<v1::RunStreamResponse>> {
        let sent = Sent::default();
        sent.mark();
        self.bounded(deadline, Some(&sent), parts.message()).await
    }

    /// Waits for work, which callers box because that of a stub is large, but no longer than the deadline and the
    /// client allow. `sent` belongs to a run.
    async fn bounded<T>(
        &self,
        deadline: Deadline,
        sent: Option<&Sent>,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T> {
        let run_state = || sent.map(|sent| if sent.get() { RunState::Unknown } else { RunState::NotStarted });
        tokio::select! {
            biased;
            () = self.closed() => {
                Err(transport_error(Code::Cancelled, "the client was closed during the request", run_state()))
            }
            // Looked at before the work: what has no time is not sent.
            () = std::future::ready(()), if deadline.remaining() == Some(Duration::ZERO) => {
                Err(deadline_error(run_state()))
            }
            done = work => done.map_err(|status| from_status(&status, run_state())),
            () = deadline.passed() => Err(deadline_error(run_state())),
        }
    }

    /// A request with the caller's key and deadline.
    pub(crate) fn request<T>(&self, message: T, deadline: Deadline) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(key) = &self.authorization {
            request.metadata_mut().insert("authorization", key.clone());
        }
        if let Some(remaining) = deadline.remaining().filter(|&remaining| remaining < MAX_HEADER_TIMEOUT) {
            request.set_timeout(remaining);
        }
        request
    }

    /// Returns when the client is closed.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`, so it cannot be gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Returns after so long, or when the client is closed.
    pub(crate) async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.closed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Where the gateway is.
    pub(crate) fn uri(&self) -> &http::Uri {
        self.endpoint.uri()
    }

    /// Cancels what is in flight, breaks the connection, and refuses what is to come.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// The error of whatever is asked of a closed client.
    pub(crate) fn closed_error() -> Error {
        transport_error(Code::Cancelled, "the client was closed", None)
    }
}
