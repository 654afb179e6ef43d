//! What is sent again and what is not, against a gateway whose answers are written here.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::time::Duration;

use sessiongateway::{
    Client, Error, Run, RunState, SessionEvent,
    v1::{self, ErrorCode, run_stream_response::Part},
};
use support::{
    scripted::{Scripted, Scripts, hasty, refusal},
    within,
};
use tonic::{Code, Status};

fn draining() -> Status {
    refusal(ErrorCode::GatewayDraining, Code::Unavailable)
}

fn partial() -> v1::RunStreamResponse {
    v1::RunStreamResponse { part: Some(Part::PartialJson(b"{}".to_vec())) }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_named() {
    within(async {
        let client = Client::builder().address("127.0.0.1:1").build().unwrap();
        let error = client.run(Run::new("kv")).await.unwrap_err();
        assert!(error.to_string().contains("no connection to 127.0.0.1:1: "), "{error}");
        assert_eq!((error.code(), error.run_state()), ("UNAVAILABLE", Some(RunState::NotStarted)));
    })
    .await;
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
async fn a_silent_watch_is_opened_again() {
    within(async {
        let scripts = Scripts {
            watch: Some(Box::new(|count, request| {
                let event = if count == 0 { 1 } else { 77 };
                let resume_token = format!("{}{count}", request.resume_token);
                Ok(vec![Ok(v1::WatchSessionsResponse { event, resume_token, ..v1::WatchSessionsResponse::default() })])
            })),
            stay_open: true,
            ..Scripts::default()
        };
        let (gateway, serving) = Scripted::start(scripts).await;
        let mut pacing = hasty();
        pacing.watch_timeout = Duration::from_millis(50);
        let client = Client::builder().address(&gateway.address).pacing(pacing).build().unwrap();
        let mut watch = client.sessions().watch().open().await.unwrap();
        let event = watch.next().await.unwrap().unwrap();
        assert_eq!((event.event, event.resume_token.as_str()), (SessionEvent::Other(77), "01"));
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
        let events = [watch.next().await.unwrap().unwrap().event, watch.next().await.unwrap().unwrap().event];
        assert_eq!(events, [SessionEvent::Created, SessionEvent::Other(77)]);
        assert_eq!(watch.resume_token(), "d");
        assert!(matches!(watch.next().await, Some(Err(error)) if error.code() == "INVALID_ARGUMENT"));
        assert!(watch.next().await.is_none());
        serving.abort();
    })
    .await;
}
