//! Streams, watches and renewals against a real gateway.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sessiongateway::{Call, EndReason, Error, Run, SessionEvent, SessionOptions, SessionStatus};
use support::{Gateway, within};

fn rows(count: u32) -> Call {
    let sql =
        format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n");
    Call::to("rows").input(&json!({"sql": sql, "batch_rows": 1}))
}

fn code(text: &str) -> Call {
    Call::new().input(&json!({"code": text}))
}

#[tokio::test]
async fn partial_outputs_come_in_order_and_then_the_result() {
    within(async {
        let gateway = Gateway::shared().await;
        let mut stream = gateway.client().run_stream(Run::new("sql").call(rows(5))).unwrap();
        let mut seen = Vec::new();
        while let Some(partial) = stream.next().await {
            seen.push(partial.unwrap().decode::<Value>().unwrap()["rows"][0][0].clone());
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(stream.result().unwrap().output.decode::<Value>().unwrap()["row_count"], 5);
        assert!(stream.next().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_stream_opens_a_session_with_its_result() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("sql");
        let mut stream = session.stream(rows(3)).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        // The task that reads the stream would wait for itself.
        assert!(matches!(session.call("tables").await, Err(Error::Usage(_))));
        let result = stream.finish().await.unwrap();
        assert_eq!(session.id(), result.session_id);
        session.call("tables").await.unwrap();
        assert_eq!(session.end().await.unwrap().unwrap().status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn whoever_stops_early_cancels_the_function() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("sql");
        session.call("tables").await.unwrap();
        let mut stream = session.stream(rows(100_000_000)).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        drop(stream);
        // Calls of a session take turns: this one has its turn only if the stream's function has ended.
        session.call("tables").await.unwrap();
        session.end().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_without_gap_or_repeat() {
    within(async {
        let gateway = Gateway::keeping().await;
        let client = gateway.client();
        let mut watch = client.sessions().watch().open().await.unwrap();
        let first = client.run(Run::new("kv").session("new")).await.unwrap().session_id.unwrap();
        let created = watch.next().await.unwrap().unwrap();
        assert_eq!((created.event, &created.session.unwrap().id), (SessionEvent::Created, &first));
        assert_eq!(watch.resume_token(), created.resume_token);

        let gateway = gateway.restart().await;
        let second = gateway.client().run(Run::new("kv").session("new")).await.unwrap().session_id.unwrap();
        gateway.client().sessions().end(&first).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            let event = watch.next().await.unwrap().unwrap();
            seen.push((event.event, event.session.unwrap().id));
        }
        assert_eq!(seen, [(SessionEvent::Created, second), (SessionEvent::Ended, first)]);
    })
    .await;
}

#[tokio::test]
async fn a_watch_resumes_in_another_program() {
    within(async {
        let gateway = Gateway::shared().await;
        let token = gateway.client().sessions().watch().open().await.unwrap().resume_token();
        let id = gateway.client().run(Run::new("kv").session("new")).await.unwrap().session_id.unwrap();
        let mut watch = gateway.client().sessions().watch().resume(token).app("kv").open().await;
        // A token is good for the filter that it came from, and for nothing else.
        assert!(matches!(watch, Err(Error::InvalidRequest(_))), "{watch:?}");
        let client = gateway.client();
        let token = client.sessions().watch().app("kv").open().await.unwrap().resume_token();
        client.sessions().end(&id).await.unwrap();
        watch = gateway.client().sessions().watch().resume(token).app("kv").open().await;
        assert_eq!(watch.unwrap().next().await.unwrap().unwrap().event, SessionEvent::Ended);
    })
    .await;
}

#[tokio::test]
async fn keepalive_outlives_the_timeout_and_tells_of_a_loss() {
    within(async {
        let gateway = Gateway::shared().await;
        let client = gateway.client();
        let heard = Arc::new(AtomicUsize::new(0));
        let on_lost = Arc::clone(&heard);
        let options = SessionOptions::new("interpreter").session_timeout(1).keepalive(true).on_lost(move |_| {
            on_lost.fetch_add(1, Ordering::SeqCst);
        });
        let session = client.session(options);
        session.call(code("x = 1")).await.unwrap();
        let created = session.info().unwrap().expires_at.unwrap();
        // Each renewal is news of the session; after some of them it would have expired by itself.
        let id = session.id().unwrap();
        let mut renewals = client.keepalive([&*id]);
        loop {
            let info = renewals.next().await.unwrap().outcome.unwrap();
            if info.expires_at.unwrap() > created + Duration::from_secs(2) {
                break;
            }
        }
        client.sessions().end(&id).await.unwrap();
        let lost = session.lost().await.unwrap();
        assert!(matches!(lost, Error::SessionEnded(_)), "{lost}");
        assert_eq!(lost.failure().end_reason, Some(EndReason::Caller));
        assert!(matches!(session.call(code("x")).await, Err(Error::SessionEnded(_))));
        assert_eq!(heard.load(Ordering::SeqCst), 1);
        while let Some(event) = renewals.next().await {
            assert!(event.outcome.is_ok() || matches!(event.outcome, Err(Error::SessionEnded(_))));
        }
    })
    .await;
}

#[tokio::test]
async fn closing_the_client_ends_what_waits() {
    within(async {
        let gateway = Gateway::shared().await;
        let client = gateway.client();
        let id = client.run(Run::new("kv").session("new")).await.unwrap().session_id.unwrap();
        let mut renewals = client.keepalive([&*id]);
        assert!(renewals.next().await.unwrap().outcome.is_ok());
        let mut watch = client.sessions().watch().open().await.unwrap();
        let (watched, ()) = tokio::join!(watch.next(), client.close());
        assert!(matches!(watched, Some(Err(Error::Cancelled(_)))));
        assert!(watch.next().await.is_none());
        assert!(matches!(renewals.next().await.unwrap().outcome, Err(Error::Cancelled(_))));
        assert!(renewals.next().await.is_none());
        assert!(matches!(client.run(Run::new("kv")).await, Err(Error::Cancelled(_))));
    })
    .await;
}
