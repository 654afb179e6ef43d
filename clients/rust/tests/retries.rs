//! What is sent again and what is not, against a gateway whose answers are written here.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::time::{Duration, Instant};

use sessiongateway::{
    Error, Run, RunState, SessionEvent,
    v1::{self, ErrorCode, run_stream_response::Part, stream_keepalive_response::Outcome},
};
use support::{
    scripted::{Scripted, Scripts, refusal},
    within,
};
use tokio::sync::mpsc;
use tonic::{Code, Status};

fn draining() -> Status {
    refusal(ErrorCode::GatewayDraining, Code::Unavailable)
}

fn partial() -> v1::RunStreamResponse {
    v1::RunStreamResponse { part: Some(Part::PartialJson(b"{}".to_vec())) }
}

#[tokio::test]
async fn a_run_is_sent_again_when_the_gateway_took_nothing() {
    within(async {
        let scripts = Scripts {
            run: Some(Box::new(|count, _| match count {
                0 => Err(draining()),
                1 => Err(refusal(ErrorCode::StoreUnavailable, Code::Unavailable)),
                _ => Ok(v1::RunResponse { call_id: "call_1".into(), ..v1::RunResponse::default() }),
            })),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let result = gateway.client().run(Run::new("kv")).await.unwrap();
        assert_eq!((result.call_id.as_str(), result.output.json()), ("call_1", "{}"));
        assert_eq!(gateway.count("run"), 3);
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_drains_for_long_is_an_error() {
    within(async {
        let scripts = Scripts { run: Some(Box::new(|_, _| Err(draining()))), ..Scripts::default() };
        let (gateway, serving) = Scripted::start(scripts).await;
        let error = gateway.client().run(Run::new("kv")).await.unwrap_err();
        assert!(matches!(error, Error::GatewayDraining(_)));
        assert_eq!(gateway.count("run"), 4);
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_run_is_not_sent_again_when_somebody_else_is_unavailable() {
    within(async {
        let scripts = Scripts { run: Some(Box::new(|_, _| Err(Status::unavailable("a proxy")))), ..Scripts::default() };
        let (gateway, serving) = Scripted::start(scripts).await;
        let error = gateway.client().run(Run::new("kv")).await.unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("UNAVAILABLE", Some(RunState::Unknown)));
        assert_eq!(gateway.count("run"), 1);
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn reading_a_session_is_repeated() {
    within(async {
        let scripts = Scripts {
            get: Some(Box::new(|count, request| match count {
                0 | 1 => Err(Status::unavailable("not now")),
                _ => {
                    let session = v1::Session { id: request.session_id, status: 42, ..v1::Session::default() };
                    Ok(v1::GetSessionResponse { session: Some(session) })
                }
            })),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let info = gateway.client().sessions().get("sess_1").await.unwrap();
        assert_eq!((info.id.as_str(), &*info.status.as_word()), ("sess_1", "unknown_42"));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_sent_again_before_its_first_part_only() {
    within(async {
        let scripts = Scripts {
            run_stream: Some(Box::new(|count, _| match count {
                0 => Ok(vec![Err(draining())]),
                _ => Ok(vec![Ok(partial()), Err(draining())]),
            })),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let mut stream = gateway.client().run_stream(Run::new("kv")).unwrap();
        assert!(stream.next().await.unwrap().is_ok());
        assert!(matches!(stream.next().await.unwrap(), Err(Error::GatewayDraining(_))));
        assert!(stream.next().await.is_none() && stream.result().is_none());
        assert_eq!(gateway.count("run_stream"), 2);
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_stream_without_a_result_has_failed() {
    within(async {
        let scripts = Scripts {
            // The second part is of a kind that only a newer gateway knows.
            run_stream: Some(Box::new(|_, _| Ok(vec![Ok(partial()), Ok(v1::RunStreamResponse { part: None })]))),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let error = gateway.client().run_stream(Run::new("kv")).unwrap().finish().await.unwrap_err();
        assert_eq!((error.code(), error.run_state()), ("INVALID_RESPONSE", Some(RunState::Unknown)));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn a_watch_is_opened_again_behind_the_last_event() {
    within(async {
        let scripts = Scripts {
            watch: Some(Box::new(|count, request| {
                let event = |event, token: &str| {
                    let resume_token = token.to_owned();
                    Ok(v1::WatchSessionsResponse { event, resume_token, ..v1::WatchSessionsResponse::default() })
                };
                match (count, request.resume_token.as_str()) {
                    (0, "") => Ok(vec![event(1, "a"), event(2, "b"), Err(Status::unavailable("gone"))]),
                    (1, "b") => Err(draining()),
                    // An event of a newer gateway is shown as well.
                    (2, "b") => Ok(vec![event(1, "c"), event(77, "d")]),
                    other => Err(Status::invalid_argument(format!("{other:?}"))),
                }
            })),
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let mut watch = gateway.client().sessions().watch().open().await.unwrap();
        let events = [watch.next().await.unwrap().event, watch.next().await.unwrap().event];
        assert_eq!(events, [SessionEvent::Created, SessionEvent::Other(77)]);
        assert_eq!(watch.resume_token(), "d");
        assert!(matches!(watch.next().await, Err(error) if error.code() == "INVALID_ARGUMENT"));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn renewals_go_on_over_a_new_stream() {
    within(async {
        let (sender, mut conversations) = mpsc::unbounded_channel();
        let (gateway, serving) = Scripted::start(Scripts { keepalive: Some(sender), ..Scripts::default() }).await;
        let mut renewals = gateway.client().keepalive(["sess_1"]);
        let answer = |seconds| {
            let session = v1::Session { id: "sess_1".into(), session_timeout: seconds, ..v1::Session::default() };
            let outcome = Some(Outcome::Session(session));
            Ok(v1::StreamKeepaliveResponse { session_id: "sess_1".into(), outcome })
        };

        let mut first = conversations.recv().await.unwrap();
        assert_eq!(first.asked.message().await.unwrap().unwrap().session_ids, ["sess_1"]);
        first.answers.send(answer(60)).unwrap();
        assert_eq!(renewals.next().await.unwrap().outcome.unwrap().session_timeout, Duration::from_secs(60));
        first.answers.send(Err(Status::unavailable("cut"))).unwrap();

        let mut second = conversations.recv().await.unwrap();
        assert_eq!(second.asked.message().await.unwrap().unwrap().session_ids, ["sess_1"]);
        second.answers.send(answer(60)).unwrap();
        assert!(renewals.next().await.unwrap().outcome.is_ok());
        drop(renewals);
        // With nothing left to renew the client leaves the stream.
        assert!(!matches!(second.asked.message().await, Ok(Some(_))));
        serving.abort();
    })
    .await;
}

#[tokio::test]
async fn renewals_come_at_a_third_of_the_timeout() {
    within(async {
        let (sender, mut conversations) = mpsc::unbounded_channel();
        let (gateway, serving) = Scripted::start(Scripts { keepalive: Some(sender), ..Scripts::default() }).await;
        let _renewals = gateway.client().keepalive(["sess_1"]);
        let mut conversation = conversations.recv().await.unwrap();
        conversation.asked.message().await.unwrap().unwrap();
        let mut asked = Instant::now();
        for _ in 0..3 {
            let session = v1::Session { session_timeout: 1, ..v1::Session::default() };
            let outcome = Some(Outcome::Session(session));
            let answer = v1::StreamKeepaliveResponse { session_id: "sess_1".into(), outcome };
            conversation.answers.send(Ok(answer)).unwrap();
            conversation.asked.message().await.unwrap().unwrap();
            // 0.8 to 1 of a third. A busy machine is late, but never early.
            assert!(asked.elapsed() > Duration::from_millis(250), "{:?}", asked.elapsed());
            asked = Instant::now();
        }
        serving.abort();
    })
    .await;
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
