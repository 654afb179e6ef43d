//! A gateway whose every answer is written by the test, served over a real port.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use prost::Message as _;
use sessiongateway::{
    Client, Pacing,
    v1::{self, session_service_server::SessionService, session_service_server::SessionServiceServer},
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::{Code, Request, Response, Status, Streaming, codegen::tokio_stream::Stream, transport::Server};
use tonic_types::pb;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a method does with its n-th request, counted from 0.
type Script<Q, A> = Box<dyn Fn(usize, Q) -> Result<A, Status> + Send + Sync>;

/// One side of a keepalive stream: what was asked, and what is answered.
pub struct Conversation {
    pub asked: Streaming<v1::StreamKeepaliveRequest>,
    pub answers: UnboundedSender<Result<v1::StreamKeepaliveResponse, Status>>,
}

#[derive(Default)]
pub struct Scripts {
    pub run: Option<Script<v1::RunRequest, v1::RunResponse>>,
    pub run_stream: Option<Script<v1::RunRequest, Vec<Result<v1::RunStreamResponse, Status>>>>,
    pub get: Option<Script<v1::GetSessionRequest, v1::GetSessionResponse>>,
    pub end: Option<Script<v1::EndSessionRequest, v1::EndSessionResponse>>,
    pub watch: Option<Script<v1::WatchSessionsRequest, Vec<Result<v1::WatchSessionsResponse, Status>>>>,
    pub keepalive: Option<UnboundedSender<Conversation>>,
    /// Streams of outputs and events do not end with what was written for them.
    pub stay_open: bool,
    /// Hears which of these streams is over, or was left.
    pub left: Option<UnboundedSender<&'static str>>,
}

#[derive(Clone)]
pub struct Scripted {
    scripts: Arc<Scripts>,
    counts: Arc<Mutex<HashMap<&'static str, usize>>>,
    pub address: String,
}

impl Scripted {
    /// Serves until the handle is aborted.
    pub async fn start(scripts: Scripts) -> (Self, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let this = Self::new(scripts, &address);
        let service = SessionServiceServer::new(this.clone());
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serving = tokio::spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("it serves");
        });
        (this, serving)
    }

    pub fn new(scripts: Scripts, address: &str) -> Self {
        Self { scripts: Arc::new(scripts), counts: Arc::default(), address: address.to_owned() }
    }

    /// The service, for callers that the check lets through.
    pub fn service_with<F: Interceptor>(self, check: F) -> InterceptedService<SessionServiceServer<Self>, F> {
        SessionServiceServer::with_interceptor(self, check)
    }

    /// How often a method was asked.
    pub fn count(&self, method: &'static str) -> usize {
        self.counts.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    fn begin(&self, method: &'static str) -> usize {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(method).or_default();
        *count += 1;
        *count - 1
    }

    fn play<Q, A>(&self, method: &'static str, script: Option<&Script<Q, A>>, request: Q) -> Result<A, Status> {
        let count = self.begin(method);
        script.ok_or_else(|| Status::unimplemented(method))?(count, request)
    }

    fn answers<T: Send + 'static>(&self, method: &'static str, items: Vec<Result<T, Status>>) -> Response<Answers<T>> {
        let (mut items, stay_open) = (items.into_iter(), self.scripts.stay_open);
        let leaving = Leaving(method, self.scripts.left.clone());
        Response::new(Box::pin(futures_util::stream::poll_fn(move |_| {
            let _ = &leaving;
            match items.next() {
                None if stay_open => Poll::Pending,
                item => Poll::Ready(item),
            }
        })))
    }

    /// A client that waits for next to nothing.
    pub fn client(&self) -> Client {
        Client::builder().address(&self.address).pacing(hasty()).build().expect("a client")
    }
}

/// Tells when a stream is dropped.
struct Leaving(&'static str, Option<UnboundedSender<&'static str>>);

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(left) = &self.1 {
            // The test may be over.
            let _ = left.send(self.0);
        }
    }
}

/// Waits that are over at once.
pub fn hasty() -> Pacing {
    let mut pacing = Pacing::default();
    for backoff in [&mut pacing.run, &mut pacing.safe, &mut pacing.reconnect] {
        backoff.maximum = std::time::Duration::from_millis(1);
    }
    pacing
}

/// A status as a gateway makes it.
pub fn refusal(code: v1::ErrorCode, status: Code) -> Status {
    let detail =
        v1::ErrorDetail { code: code.into(), run_state: v1::RunState::NotStarted.into(), ..v1::ErrorDetail::default() };
    let packed = prost_types::Any {
        type_url: "type.googleapis.com/sessiongateway.v1.ErrorDetail".to_owned(),
        value: detail.encode_to_vec(),
    };
    let bytes = pb::Status { code: status as i32, message: String::new(), details: vec![packed] }.encode_to_vec();
    Status::with_details(status, "refused", bytes.into())
}

fn channel<T: Send + 'static>() -> (UnboundedSender<Result<T, Status>>, Answers<T>) {
    let (sender, mut receiver): (_, UnboundedReceiver<Result<T, Status>>) = mpsc::unbounded_channel();
    (sender, Box::pin(futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))))
}

#[tonic::async_trait]
impl SessionService for Scripted {
    type RunStreamStream = Answers<v1::RunStreamResponse>;
    type StreamKeepaliveStream = Answers<v1::StreamKeepaliveResponse>;
    type WatchSessionsStream = Answers<v1::WatchSessionsResponse>;

    async fn run(&self, request: Request<v1::RunRequest>) -> Result<Response<v1::RunResponse>, Status> {
        self.play("run", self.scripts.run.as_ref(), request.into_inner()).map(Response::new)
    }

    async fn run_stream(&self, request: Request<v1::RunRequest>) -> Result<Response<Self::RunStreamStream>, Status> {
        self.play("run_stream", self.scripts.run_stream.as_ref(), request.into_inner())
            .map(|items| self.answers("run_stream", items))
    }

    async fn get_session(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::GetSessionResponse>, Status> {
        self.play("get", self.scripts.get.as_ref(), request.into_inner()).map(Response::new)
    }

    async fn list_sessions(
        &self,
        _: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn keepalive(&self, _: Request<v1::KeepaliveRequest>) -> Result<Response<v1::KeepaliveResponse>, Status> {
        Err(Status::unimplemented("keepalive"))
    }

    async fn stream_keepalive(
        &self,
        request: Request<Streaming<v1::StreamKeepaliveRequest>>,
    ) -> Result<Response<Self::StreamKeepaliveStream>, Status> {
        self.begin("stream_keepalive");
        let (answers, stream) = channel();
        let conversations = self.scripts.keepalive.as_ref().ok_or_else(|| Status::unimplemented("no script"))?;
        let conversation = Conversation { asked: request.into_inner(), answers };
        conversations.send(conversation).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(stream))
    }

    async fn watch_sessions(
        &self,
        request: Request<v1::WatchSessionsRequest>,
    ) -> Result<Response<Self::WatchSessionsStream>, Status> {
        self.play("watch", self.scripts.watch.as_ref(), request.into_inner()).map(|items| self.answers("watch", items))
    }

    async fn end_session(
        &self,
        request: Request<v1::EndSessionRequest>,
    ) -> Result<Response<v1::EndSessionResponse>, Status> {
        self.play("end", self.scripts.end.as_ref(), request.into_inner()).map(Response::new)
    }
}
