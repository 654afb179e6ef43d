//! What closing a client, or ending a session, does to what is open on it, read at the moment or not.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::{sync::Arc, time::Duration};

use sessiongateway::{
    Call, Error, Run, RunState, Session,
    v1::{self, run_stream_response::Part},
};
use support::{
    scripted::{Scripted, Scripts},
    within,
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};

/// A gateway whose streams begin and do not end, and tells which are left.
async fn endless() -> (Scripted, UnboundedReceiver<&'static str>, JoinHandle<()>) {
    let (sender, left) = mpsc::unbounded_channel();
    let scripts = Scripts {
        run_stream: Some(Box::new(|_, _| {
            Ok(vec![Ok(v1::RunStreamResponse { part: Some(Part::PartialJson(b"{}".to_vec())) })])
        })),
        watch: Some(Box::new(|_, _| Ok(vec![Ok(v1::WatchSessionsResponse::default())]))),
        stay_open: true,
        left: Some(sender),
        ..Scripts::default()
    };
    let (gateway, serving) = Scripted::start(scripts).await;
    (gateway, left, serving)
}

#[tokio::test]
async fn closing_the_client_cancels_what_nobody_reads() {
    within(async {
        let (gateway, mut left, serving) = endless().await;
        let client = gateway.client();
        let mut stream = client.run_stream(Run::new("sql")).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        let mut watch = client.sessions().watch().open().await.unwrap();
        client.close().await;
        let mut gone = [left.recv().await.unwrap(), left.recv().await.unwrap()];
        gone.sort_unstable();
        assert_eq!(gone, ["run_stream", "watch"]);

        let error = stream.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled(_)) && error.run_state() == Some(RunState::Unknown), "{error}");
        assert!(stream.next().await.is_none());
        assert!(matches!(watch.next().await, Some(Ok(_))), "the first event had come before");
        assert!(matches!(watch.next().await, Some(Err(Error::Cancelled(_)))));
        assert!(watch.next().await.is_none());
        serving.abort();
    })
    .await;
}

async fn opening(gateway: &Scripted) -> (Arc<Session>, sessiongateway::RunStream) {
    let session = Arc::new(gateway.client().session("sql"));
    let mut stream = session.stream("rows").unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    (session, stream)
}

#[tokio::test]
async fn ending_a_session_cancels_the_stream_that_opens_it() {
    within(async {
        let (gateway, mut left, serving) = endless().await;
        let (session, mut stream) = opening(&gateway).await;
        assert!(session.end().await.unwrap().is_none());
        assert_eq!(left.recv().await.unwrap(), "run_stream");
        let error = stream.next().await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled(_)) && error.run_state() == Some(RunState::Unknown), "{error}");
        assert!(stream.next().await.is_none());
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_waits_hears_that_the_session_was_ended() {
    within(async {
        let (gateway, _left, serving) = endless().await;
        let (session, mut stream) = opening(&gateway).await;
        let (read, ended) = tokio::join!(stream.next(), session.end());
        assert!(matches!(read, Some(Err(Error::Cancelled(_)))) && ended.unwrap().is_none());
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn whoever_waits_for_the_opening_waits_no_longer_than_its_deadline() {
    within(async {
        let (gateway, _left, serving) = endless().await;
        let (session, _stream) = opening(&gateway).await;
        let waiting = Arc::clone(&session);
        let call = Call::to("tables").timeout(Duration::from_millis(50));
        let error = tokio::spawn(async move { waiting.call(call).await }).await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("DEADLINE_EXCEEDED", Some(RunState::NotStarted)));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_task_may_call_while_it_reads_the_stream_that_opens_the_session() {
    within(async {
        let (gateway, _left, serving) = endless().await;
        let (session, mut stream) = opening(&gateway).await;
        let call = Call::to("tables").timeout(Duration::from_millis(50));
        // The stream is read on before the call looks: it waits for the session, and is not refused.
        let outcome = tokio::select! {
            biased;
            _ = stream.next() => panic!("it has no end"),
            outcome = session.call(call) => outcome,
        };
        assert!(matches!(outcome, Err(Error::DeadlineExceeded(_))), "{outcome:?}");
        serving.abort();
    })
    .await;
}
