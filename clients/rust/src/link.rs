//! The channel of the generated stubs, with two things that a plain one lacks: it tells whether a request was sent, and
//! a status that somebody has garbled does no harm.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use tonic::{
    Status,
    body::Body,
    codegen::Bytes,
    transport::{Channel, Error},
};
use tower_service::Service;

const DETAILS: &str = "grpc-status-details-bin";

/// Tells whether any part of a request's message has left for the connection. Put into the request's extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    /// False only if the gateway surely knows nothing of the message.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn mark(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A channel whose requests report on themselves.
#[derive(Clone, Debug)]
pub(crate) struct Link(pub(crate) Channel);

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(sent) = request.extensions_mut().remove::<Sent>() {
            request = request.map(|inner| Body::new(Reporting { inner, sent }));
        }
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            drop_garbled(response.headers_mut());
            Ok(response.map(|inner| Body::new(Mended { inner })))
        })
    }
}

/// The body of a request. It is asked for its message only when a connection is there to take it.
struct Reporting {
    inner: Body,
    sent: Sent,
}

impl http_body::Body for Reporting {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.sent.mark();
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body of a response, whose trailers hold no details that tonic would panic at.
struct Mended {
    inner: Body,
}

impl http_body::Body for Mended {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            drop_garbled(trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Without its details a status still says something.
fn drop_garbled(headers: &mut HeaderMap) {
    if headers.get(DETAILS).is_some_and(|value| !is_base64(value)) {
        headers.remove(DETAILS);
    }
}

/// Whether it is standard base64, padded or not, as gRPC allows both.
fn is_base64(value: &HeaderValue) -> bool {
    let text = value.as_bytes();
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    let symbols = &text[..text.len() - padding];
    let whole = match symbols.len() % 4 {
        0 => padding == 0,
        2 => padding == 0 || padding == 2,
        3 => padding <= 1,
        _ => false,
    };
    whole
        && symbols.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && ends_even(symbols)
}

/// Whether the bits of the last symbol that belong to no byte are zero; decoders refuse others.
fn ends_even(symbols: &[u8]) -> bool {
    let spare = match symbols.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => return true,
    };
    let value = match symbols[symbols.len() - 1] {
        byte @ b'A'..=b'Z' => byte - b'A',
        byte @ b'a'..=b'z' => byte - b'a' + 26,
        byte @ b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    value & spare == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &'static str) -> bool {
        is_base64(&HeaderValue::from_static(text))
    }

    #[test]
    fn details_are_kept_with_and_without_padding() {
        assert!(["", "QQ", "QQ==", "QUE", "QUE=", "QUFB", "+/+/"].into_iter().all(accepted));
    }

    #[test]
    fn what_a_decoder_refuses_is_dropped() {
        assert!(!["Q", "QQ=", "QUE==", "QR", "QUF", "QUFB=", "Q!==", "not base64"].into_iter().any(accepted));
    }
}
