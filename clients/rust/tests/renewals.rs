//! Renewals that meet a gateway in trouble, whose answers are written here.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sessiongateway::{
    Client, Error, SessionOptions,
    v1::{self, ErrorCode, stream_keepalive_response::Outcome},
};
use support::{
    scripted::{Conversation, Scripted, Scripts, hasty},
    within,
};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};
use tonic::Status;

/// A gateway that opens sessions, and whose renewals the test answers.
async fn conversing() -> (Scripted, UnboundedReceiver<Conversation>, JoinHandle<()>) {
    let (sender, conversations) = mpsc::unbounded_channel();
    let scripts = Scripts {
        run: Some(Box::new(|_, _| Ok(v1::RunResponse { session_id: "sess_1".into(), ..v1::RunResponse::default() }))),
        end: Some(Box::new(|_, _| {
            Ok(v1::EndSessionResponse { session: Some(v1::Session { status: 2, ..v1::Session::default() }) })
        })),
        keepalive: Some(sender),
        ..Scripts::default()
    };
    let (gateway, serving) = Scripted::start(scripts).await;
    (gateway, conversations, serving)
}

fn renewed(session_id: &str) -> v1::StreamKeepaliveResponse {
    let session = v1::Session { id: session_id.into(), session_timeout: 60, ..v1::Session::default() };
    let outcome = Some(Outcome::Session(session));
    v1::StreamKeepaliveResponse { session_id: session_id.into(), outcome, ..Default::default() }
}

async fn asked(conversation: &mut Conversation) -> BTreeSet<String> {
    conversation.asked.message().await.unwrap().unwrap().session_ids.into_iter().collect()
}

#[tokio::test]
async fn renewals_go_on_over_a_new_stream() {
    within(async {
        let (gateway, mut conversations, serving) = conversing().await;
        let mut renewals = gateway.client().keepalive(["sess_1"]);
        let mut first = conversations.recv().await.unwrap();
        assert_eq!(first.asked.message().await.unwrap().unwrap().session_ids, ["sess_1"]);
        first.answers.send(Ok(renewed("sess_1"))).unwrap();
        assert_eq!(renewals.next().await.unwrap().outcome.unwrap().session_timeout, Duration::from_secs(60));
        first.answers.send(Err(Status::unavailable("cut"))).unwrap();

        let mut second = conversations.recv().await.unwrap();
        assert_eq!(second.asked.message().await.unwrap().unwrap().session_ids, ["sess_1"]);
        second.answers.send(Ok(renewed("sess_1"))).unwrap();
        assert!(renewals.next().await.unwrap().outcome.is_ok());
        drop(renewals);
        // With nothing left to renew the client leaves the stream.
        assert!(!matches!(second.asked.message().await, Ok(Some(_))));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_gateway_without_its_store_is_asked_again_about_all() {
    within(async {
        let (gateway, mut conversations, serving) = conversing().await;
        let mut renewals = gateway.client().keepalive(["sess_1", "sess_2"]);
        let mut first = conversations.recv().await.unwrap();
        let all = asked(&mut first).await;
        let pause = Duration::from_millis(30);
        let detail = v1::ErrorDetail {
            code: ErrorCode::StoreUnavailable.into(),
            retry_after: Some(pause.try_into().unwrap()),
            ..v1::ErrorDetail::default()
        };
        let outcome = Some(Outcome::Error(detail));
        let began = Instant::now();
        first
            .answers
            .send(Ok(v1::StreamKeepaliveResponse { session_id: "sess_1".into(), outcome, ..Default::default() }))
            .unwrap();

        let mut second = conversations.recv().await.unwrap();
        assert!(began.elapsed() >= pause);
        assert_eq!(asked(&mut second).await, all);
        for id in &all {
            second.answers.send(Ok(renewed(id))).unwrap();
        }
        for _ in &all {
            assert!(renewals.next().await.unwrap().outcome.is_ok());
        }
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_full_of_what_nobody_wants_makes_room() {
    within(async {
        let (gateway, mut conversations, serving) = conversing().await;
        let client = gateway.client();
        let _kept = client.keepalive(["sess_1"]);
        let many = client.keepalive((0..9_999).map(|number| format!("old_{number}")));
        let mut full = conversations.recv().await.unwrap();
        let mut count = 0;
        while count < 10_000 {
            count += asked(&mut full).await.len();
        }
        drop(many);
        let _new = client.keepalive(["sess_2"]);
        let mut second = conversations.recv().await.unwrap();
        assert_eq!(asked(&mut second).await, ["sess_1", "sess_2"].map(String::from).into());
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_is_opened_again() {
    within(async {
        let (gateway, mut conversations, serving) = conversing().await;
        let mut pacing = hasty();
        pacing.reply_timeout = Duration::from_millis(50);
        let client = Client::builder().address(&gateway.address).pacing(pacing).build().unwrap();
        let mut renewals = client.keepalive(["sess_1"]);
        let mut silent = conversations.recv().await.unwrap();
        asked(&mut silent).await;
        let mut second = conversations.recv().await.unwrap();
        asked(&mut second).await;
        second.answers.send(Ok(renewed("sess_1"))).unwrap();
        assert!(renewals.next().await.unwrap().outcome.is_ok());
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_session_is_not_lost_because_the_client_is_closed() {
    within(async {
        let (gateway, mut conversations, serving) = conversing().await;
        let client = gateway.client();
        let losses = Arc::new(AtomicUsize::new(0));
        let heard = Arc::clone(&losses);
        let options = SessionOptions::new("kv").keepalive(true).on_lost(move |_| {
            heard.fetch_add(1, Ordering::SeqCst);
        });
        let session = client.session(options);
        session.call("keys").await.unwrap();
        let mut conversation = conversations.recv().await.unwrap();
        asked(&mut conversation).await;
        let mut renewals = client.keepalive(["sess_1"]);
        let (lost, ()) = tokio::join!(session.lost(), client.close());
        assert!(lost.is_none(), "{lost:?}");
        // Their reader hears of it in any case, and last.
        while let Some(event) = renewals.next().await {
            assert!(matches!(event.outcome, Err(Error::Cancelled(_))));
        }
        assert!(session.lost().await.is_none());
        assert_eq!(losses.load(Ordering::SeqCst), 0);
        assert!(matches!(session.call("keys").await, Err(Error::Cancelled(_))));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn an_ended_handle_has_lost_nothing() {
    within(async {
        let (gateway, _conversations, serving) = conversing().await;
        let session = gateway.client().session(SessionOptions::new("kv").keepalive(true));
        session.call("keys").await.unwrap();
        let (lost, ended) = tokio::join!(session.lost(), session.end());
        assert!(lost.is_none() && ended.unwrap().is_some());
        serving.abort();
    })
    .await;
}

#[test]
fn renewals_begin_on_a_runtime_after_they_could_not_without_one() {
    let runtime = Runtime::new().unwrap();
    let (gateway, mut conversations, serving) = runtime.block_on(conversing());
    let client = gateway.client();
    catch_unwind(AssertUnwindSafe(|| client.keepalive(["sess_1"]))).unwrap_err();
    runtime.block_on(within(async {
        let _renewals = client.keepalive(["sess_1"]);
        asked(&mut conversations.recv().await.unwrap()).await;
        serving.abort();
    }));
}

#[test]
fn renewals_whose_runtime_stops_say_so() {
    let gateways = Runtime::new().unwrap();
    let (gateway, mut conversations, serving) = gateways.block_on(conversing());
    let own = Runtime::new().unwrap();
    let mut renewals = own.block_on(async { gateway.client().keepalive(["sess_1"]) });
    gateways.block_on(within(async { asked(&mut conversations.recv().await.unwrap()).await }));
    own.shutdown_background();
    gateways.block_on(within(async {
        assert!(matches!(renewals.next().await.unwrap().outcome, Err(Error::Cancelled(_))));
        assert!(renewals.next().await.is_none());
        serving.abort();
    }));
}

#[tokio::test]
async fn a_refusal_of_the_keepalive_stream_loses_its_sessions() {
    within(async {
        let (gateway, serving) = Scripted::start(Scripts::default()).await;
        let mut renewals = gateway.client().keepalive(["sess_1", "sess_2"]);
        for _ in 0..2 {
            let event = renewals.next().await.unwrap();
            assert_eq!(event.outcome.unwrap_err().code(), "UNIMPLEMENTED");
        }
        assert!(renewals.next().await.is_none());
        serving.abort();
    })
    .await;
}
