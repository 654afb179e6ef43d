//! The client, and how it is made.

use std::{env, fmt, sync::Arc, time::Duration};

use tonic::metadata::{Ascii, MetadataValue};
#[cfg(feature = "tls")]
use tonic::transport::Endpoint;

#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{
    address::Address,
    apps::Apps,
    error::{Error, Result},
    keepalive::Renewer,
    keepalive_stream::KeepaliveStream,
    pacing::{Deadline, Pacing},
    run::{Run, RunResult, send_run},
    session::{Ends, Session, SessionOptions},
    sessions::Sessions,
    stream::{self, RunStream},
    transport::Transport,
};

const DEFAULT_ADDRESS: &str = "127.0.0.1:50151";
const USER_AGENT: &str = concat!("sessiongateway-rust/", env!("CARGO_PKG_VERSION"));

/// A client of Session Gateway. Cheap to clone: all clones share one connection, which is made with the first request.
///
/// Belongs to the Tokio runtime that it is first used on.
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    pub(crate) renewer: Arc<Renewer>,
    pub(crate) ends: Ends,
    timeout: Option<Duration>,
}

impl Client {
    /// Takes all settings from the environment, see [`ClientBuilder`].
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if a setting cannot be used.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Begins with settings from the environment.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same client with another time that requests may take where they do not say themselves.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.clone() }
    }

    /// Calls a function of an app, and returns its answer. Dropping the future cancels the run on the gateway.
    ///
    /// A run is sent again only when the gateway answers that it took nothing. It is never sent again because a
    /// connection broke: see [`Error::run_state`].
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::Usage`] if the input cannot be sent.
    pub async fn run(&self, run: Run) -> Result<RunResult> {
        let deadline = self.deadline(run.timeout());
        let request = run.into_request()?;
        let answer = send_run(&self.transport, deadline, || self.transport.run(request.clone(), deadline)).await?;
        RunResult::from_answer(answer)
    }

    /// Calls a function of an app, and returns a stream of its partial outputs, which has the result at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the input cannot be sent. What [`run`](Self::run) fails with comes on the stream; the run is
    /// sent again under the same rule, before the first part only.
    pub fn run_stream(&self, run: Run) -> Result<RunStream> {
        let timeout = run.timeout().or(self.timeout);
        Ok(RunStream::new(stream::parts(Arc::clone(&self.transport), run.into_request()?, timeout)))
    }

    /// Returns a handle of a new session, which opens with its first call. Takes the name of an app, or options.
    pub fn session(&self, options: impl Into<SessionOptions>) -> Session {
        Session::new(self.clone(), options.into())
    }

    /// Reads, lists, renews, ends and watches sessions.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// Tells what is deployed.
    #[must_use]
    pub fn apps(&self) -> Apps<'_> {
        Apps(self)
    }

    /// Renews sessions, at a third of the shortest timeout among them, until the stream is dropped. All renewals of a
    /// client go over one stream to the gateway, at most 10,000 sessions at a time.
    ///
    /// # Panics
    ///
    /// Not on a Tokio runtime.
    pub fn keepalive<I>(&self, session_ids: I) -> KeepaliveStream
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        KeepaliveStream::new(Arc::clone(&self.renewer), session_ids.into_iter().map(Into::into))
    }

    /// Waits until the sessions of dropped handles are ended, stops every renewal and cancels what is in flight, which
    /// fails with [`Error::Cancelled`]; what nobody reads at the moment, too. Closes the connection, for all clones. A
    /// client that is dropped just stops.
    pub async fn close(&self) {
        self.ends.settle(self.transport.pacing.end_timeout).await;
        self.transport.close();
    }

    pub(crate) fn deadline(&self, timeout: Option<Duration>) -> Deadline {
        Deadline::after(timeout.or(self.timeout))
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("uri", self.transport.uri()).finish_non_exhaustive()
    }
}

/// The settings of a [`Client`].
#[derive(Clone, Default)]
#[must_use]
pub struct ClientBuilder {
    address: Option<String>,
    api_key: Option<String>,
    timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    pacing: Pacing,
}

impl ClientBuilder {
    /// `HOST:PORT` of the gateway, also as `dns:///HOST:PORT`; or `unix:PATH`, a socket that leads to one. Left out: the
    /// environment's `SGW_ADDRESS`, else `127.0.0.1:50151`.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sent with every request. Left out: the environment's `SGW_API_KEY`, if there is one.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// How long a request may take with all its attempts, where it does not say itself. Left out: as long as it takes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Encrypts the connection. Left out: plain text.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Replaces the waits that the client takes by itself.
    pub fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the address leads nowhere, the key cannot be sent, or a certificate cannot be used.
    pub fn build(self) -> Result<Client> {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let address = self.address.or_else(|| set("SGW_ADDRESS")).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
        let key = self.api_key.or_else(|| set("SGW_API_KEY")).filter(|key| !key.is_empty());
        let authorization = key.map(|key| authorization(&key)).transpose()?;
        let address = Address::read(&address)?;
        #[cfg(feature = "tls")]
        let endpoint = match self.tls {
            Some(tls) => encrypted(address.endpoint("https")?, tls)?,
            None => address.endpoint("http")?,
        };
        #[cfg(not(feature = "tls"))]
        let endpoint = address.endpoint("http")?;
        let endpoint = endpoint.user_agent(USER_AGENT).map_err(|error| Error::usage(error.to_string()))?;
        let transport = Arc::new(Transport::new(endpoint, address.socket, authorization, self.pacing));
        Ok(Client {
            renewer: Renewer::new(Arc::clone(&transport)),
            transport,
            ends: Ends::default(),
            timeout: self.timeout,
        })
    }
}

#[cfg(feature = "tls")]
fn encrypted(endpoint: Endpoint, tls: Tls) -> Result<Endpoint> {
    let encrypted = endpoint.tls_config(tls.into_config()?);
    encrypted.map_err(|error| Error::usage(format!("TLS cannot be set up: {}", crate::status::chain(&error))))
}

fn authorization(key: &str) -> Result<MetadataValue<Ascii>> {
    // The text of the failure has no key in it: it may end up in a log.
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}").parse().map_err(|_| {
        Error::usage("the API key holds characters that cannot be sent; is there a line break at its end?")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("address", &self.address).finish_non_exhaustive()
    }
}
