//! Opens the connections of a client, and breaks them when the client is closed: whatever was open on them is over
//! then, also what nobody polls.

use std::{
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};
use tower_service::Service;

use crate::status::chain;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Opening = Pin<Box<dyn Future<Output = Result<TokioIo<Breakable>, BoxError>> + Send>>;

pub(crate) struct Connector {
    tcp: HttpConnector,
    socket: Option<PathBuf>,
    closed: watch::Receiver<bool>,
}

impl Connector {
    /// Connects to the host of each URI, or always to the socket file.
    pub(crate) fn new(socket: Option<PathBuf>, timeout: Duration, closed: watch::Receiver<bool>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        Self { tcp, socket, closed }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Breakable>;
    type Error = BoxError;
    type Future = Opening;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Opening {
        let closed = Box::pin(closed(self.closed.clone()));
        if let Some(path) = self.socket.clone() {
            return Box::pin(async move { Ok(TokioIo::new(Breakable::new(open(path).await?, closed))) });
        }
        let connecting = self.tcp.call(uri.clone());
        Box::pin(async move {
            let address = uri.authority().map_or("", http::uri::Authority::as_str);
            let refused = |error| format!("no connection to {address}: {}", chain(&error));
            let stream = connecting.await.map_err(refused)?.into_inner();
            Ok(TokioIo::new(Breakable::new(Box::new(stream), closed)))
        })
    }
}

#[cfg(unix)]
async fn open(path: PathBuf) -> io::Result<Box<dyn Connection>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn open(_: PathBuf) -> io::Result<Box<dyn Connection>> {
    Err(io::ErrorKind::Unsupported.into())
}

async fn closed(mut closed: watch::Receiver<bool>) {
    if closed.wait_for(|closed| *closed).await.is_err() {
        // The client is gone without having been closed: its connections end when nothing uses them any more.
        std::future::pending::<()>().await;
    }
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A connection that breaks by itself. HTTP/2 reads at all times, so that it notices at once.
pub(crate) struct Breakable {
    inner: Box<dyn Connection>,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
    broken: bool,
}

impl Breakable {
    fn new(inner: Box<dyn Connection>, closed: Pin<Box<dyn Future<Output = ()> + Send>>) -> Self {
        Self { inner, closed, broken: false }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        self.broken = self.broken || self.closed.as_mut().poll(context).is_ready();
        if self.broken {
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client was closed"))
        } else {
            Ok(())
        }
    }
}

impl AsyncRead for Breakable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
