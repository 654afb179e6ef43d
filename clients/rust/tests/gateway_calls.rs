//! Calls, sessions and errors against a real gateway.
#![allow(missing_docs, reason = "the names of the tests say it")]

mod support;

use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json, value::RawValue};
use sessiongateway::{
    Call, Error, Run, RunState, SessionFilter, SessionOptions, SessionStatus, WorkerExit,
    v1::{self, session_service_client::SessionServiceClient},
};
use support::{Gateway, within};
use tonic_types::pb;

const SLEEP: &str = "import asyncio\nawait asyncio.sleep(60)";

fn code(text: &str) -> Call {
    Call::new().input(&json!({"code": text}))
}

#[tokio::test]
async fn a_plain_run_has_no_session() {
    within(async {
        let gateway = Gateway::shared().await;
        let result = gateway.client().run(Run::new("kv").call("keys")).await.unwrap();
        assert_eq!(result.output.decode::<Value>().unwrap(), json!({"keys": [], "total": 0}));
        assert!(result.session.is_none() && result.session_id.is_none() && !result.call_id.is_empty());
    })
    .await;
}

#[tokio::test]
async fn integers_and_text_survive() {
    within(async {
        let gateway = Gateway::shared().await;
        let text = r#"{"key":"ключ","value":[123456789012345678901234567890,"😀\u0000"]}"#;
        let session = gateway.client().session("kv");
        let input: &RawValue = serde_json::from_str(text).unwrap();
        session.call(Call::to("set_value").input(input)).await.unwrap();
        let found = session.call(Call::to("get_value").input(&json!({"key": "ключ"}))).await.unwrap();
        assert!(found.output.json().contains("123456789012345678901234567890"), "{}", found.output);
        assert_eq!(found.output.decode::<Value>().unwrap()["value"][1], "😀\0");
        session.end().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_session_opens_with_its_first_call_and_ends_with_its_handle() {
    within(async {
        let gateway = Gateway::shared().await;
        let client = gateway.client();
        let session = client.session(SessionOptions::new("interpreter").session_timeout(30));
        assert_eq!(session.id(), None);
        // Whoever comes while the session is being opened waits for it.
        let (first, second) = tokio::join!(session.call(code("x = 41")), session.call(code("x + 1")));
        let session_id = first.unwrap().session_id.unwrap();
        assert_eq!(second.unwrap().output.decode::<Value>().unwrap()["result"], "42");
        assert_eq!(session.id().as_deref(), Some(session_id.as_str()));
        assert_eq!(session.info().unwrap().session_timeout, Duration::from_secs(30));

        drop(session);
        client.close().await;
        let info = gateway.client().sessions().get(&session_id).await.unwrap();
        assert_eq!(info.status, SessionStatus::Ended);
    })
    .await;
}

#[tokio::test]
async fn an_ended_handle_takes_no_calls() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("kv");
        assert!(session.end().await.unwrap().is_none());
        assert!(matches!(session.call("keys").await, Err(Error::Usage(_))));
    })
    .await;
}

#[tokio::test]
async fn a_first_call_that_fails_leaves_no_session() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("kv");
        let error = session.call(Call::to("set_value").input(&json!({"key": 7}))).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error}");
        let fields: Vec<_> = error.failure().field_violations.iter().map(|each| each.field.as_str()).collect();
        assert_eq!(fields, ["input.key", "input.value"]);
        assert_eq!(session.id(), None);
        session.call("keys").await.unwrap();
        assert!(session.id().is_some());
        session.end().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_renewed_and_ended() {
    within(async {
        let gateway = Gateway::shared().await;
        let client = gateway.client();
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.insert(0, client.run(Run::new("kv").session("new")).await.unwrap().session_id.unwrap());
        }
        let filter = SessionFilter::new().status(SessionStatus::Active).app("kv").page_size(1);
        let listed = client.sessions().list(filter).all().await.unwrap();
        assert_eq!(listed.iter().map(|info| info.id.as_str()).collect::<Vec<_>>(), ids);
        let renewed = client.sessions().keepalive(&ids[0]).await.unwrap();
        assert!(renewed.expires_in > Duration::from_secs(59) && renewed.call_count == 1);
        for id in &ids {
            assert_eq!(client.sessions().end(id).await.unwrap().status, SessionStatus::Ended);
        }
        assert!(matches!(client.sessions().get("sess_none").await, Err(Error::SessionNotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn apps_are_listed_and_described() {
    within(async {
        let gateway = Gateway::shared().await;
        let client = gateway.client();
        let names: Vec<_> = client.apps().list(1).all().await.unwrap().into_iter().map(|app| app.name).collect();
        assert_eq!(names, ["interpreter", "kv", "sql"]);
        let app = client.apps().get("sql").await.unwrap();
        let streaming: Vec<_> = app.functions.iter().filter(|each| each.streams).map(|each| &each.name).collect();
        assert_eq!(streaming, ["rows"]);
        assert!(matches!(client.apps().get("none").await, Err(Error::AppNotFound(_))));
    })
    .await;
}

#[tokio::test]
async fn a_dead_worker_says_how_it_died() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("interpreter");
        session.call(code("x = 1")).await.unwrap();
        let error = session.call(code("import os; os.kill(os.getpid(), 9)")).await.unwrap_err();
        assert!(matches!(error, Error::WorkerLost(_)), "{error}");
        assert_eq!(error.run_state(), Some(RunState::Unknown));
        assert_eq!(error.failure().worker_exit, Some(WorkerExit::Signal(9)));
        assert!(matches!(session.call(code("x")).await, Err(Error::SessionEnded(_))));
    })
    .await;
}

#[tokio::test]
async fn a_deadline_and_a_dropped_future_cancel_the_call() {
    within(async {
        let gateway = Gateway::shared().await;
        let session = gateway.client().session("interpreter");
        session.call(code("x = 1")).await.unwrap();
        let error = session.call(code(SLEEP).timeout(Duration::from_millis(300))).await.unwrap_err();
        assert!(matches!(error, Error::DeadlineExceeded(_)), "{error}");
        assert_eq!(error.run_state(), Some(RunState::Unknown));
        let impatient = tokio::time::timeout(Duration::from_millis(300), session.call(code(SLEEP)));
        assert!(impatient.await.is_err());
        // The worker is free again, so both were cancelled there.
        session.call(code("x")).await.unwrap();
        session.end().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_bare_stub_needs_no_client() {
    within(async {
        let gateway = Gateway::shared().await;
        let mut stub = SessionServiceClient::connect(format!("http://{}", gateway.address())).await.unwrap();
        let status = stub.run(v1::RunRequest { app: "none".into(), ..v1::RunRequest::default() }).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::NotFound);
        let details = pb::Status::decode(status.details()).unwrap().details;
        let packed = details.iter().find(|each| each.type_url.ends_with("sessiongateway.v1.ErrorDetail")).unwrap();
        let detail = v1::ErrorDetail::decode(packed.value.as_slice()).unwrap();
        assert_eq!(detail.code(), v1::ErrorCode::AppNotFound);
        assert_eq!(detail.run_state(), v1::RunState::NotStarted);
    })
    .await;
}
