use std::{error::Error as _, io, sync::Arc, time::Duration};

use prost_types::Any;

use super::*;
use crate::{
    error::CODES,
    model::{AppFailure, WorkerExit},
};

fn packed(name: &str, message: &impl prost::Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn status(code: Code, details: Vec<Any>) -> Status {
    let bytes = pb::Status { code: code as i32, message: "it failed".to_owned(), details }.encode_to_vec();
    Status::with_details(code, "it failed", bytes.into())
}

fn info(reason: &str) -> Any {
    let metadata = [("httpStatus", "418"), ("sessionId", "sess_1")].map(|(key, value)| (key.into(), value.into()));
    let info = pb::ErrorInfo { reason: reason.into(), domain: DOMAIN.into(), metadata: metadata.into() };
    packed("google.rpc.ErrorInfo", &info)
}

fn detail(detail: &v1::ErrorDetail) -> Any {
    packed("sessiongateway.v1.ErrorDetail", detail)
}

#[test]
fn every_code_of_the_proto_has_its_own_error() {
    let mut numbers = (1..).map_while(|number| v1::ErrorCode::try_from(number).ok());
    let count = numbers.by_ref().count();
    assert_eq!(count, 27);
    for number in 1..=27 {
        let error = from_detail(v1::ErrorDetail { code: number, ..v1::ErrorDetail::default() });
        assert!(CODES.contains(&error.code()), "{error}");
        assert_eq!(error.name().to_uppercase(), error.code().replace('_', ""));
    }
}

#[test]
fn all_that_a_gateway_tells_is_there() {
    let full = v1::ErrorDetail {
        code: v1::ErrorCode::WorkerLost.into(),
        message: "it failed".into(),
        http_status: 500,
        run_state: v1::RunState::Unknown.into(),
        session_id: "sess_1".into(),
        end_reason: v1::EndReason::WorkerLost.into(),
        call_id: "call_1".into(),
        retry_after: None,
        app_failure: Some(v1::AppFailure { r#type: "E".into(), message: "m".into(), traceback: "t".into() }),
        worker_exit: Some(v1::WorkerExit { how: Some(v1::worker_exit::How::Signal(9)) }),
        session_app: Some(v1::AppVersion { app: "kv".into(), version: "1".into() }),
        requested_app: Some(v1::AppVersion { app: "sql".into(), version: String::new() }),
        error_id: "err_1".into(),
    };
    let violation =
        pb::bad_request::FieldViolation { field: "app".into(), description: "is required".into(), ..<_>::default() };
    let bad = packed("google.rpc.BadRequest", &pb::BadRequest { field_violations: vec![violation] });
    let delay = prost_types::Duration { seconds: 1, nanos: 500_000_000 };
    let retry = packed("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay: Some(delay) });
    let error = from_status(&status(Code::Aborted, vec![detail(&full), info("WORKER_LOST"), bad, retry]), None);

    assert!(matches!(error, Error::WorkerLost(_)));
    assert_eq!(error.to_string(), "WORKER_LOST: it failed");
    assert_eq!(error.session_id(), Some("sess_1"));
    assert_eq!(error.run_state(), Some(RunState::Unknown));
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    let failure = error.failure();
    assert_eq!(failure.http_status, Some(500));
    assert_eq!(failure.end_reason, Some(EndReason::WorkerLost));
    assert_eq!(failure.call_id.as_deref(), Some("call_1"));
    let raised = AppFailure { kind: "E".into(), message: "m".into(), traceback: "t".into() };
    assert_eq!(failure.app_failure, Some(raised));
    assert_eq!(failure.worker_exit, Some(WorkerExit::Signal(9)));
    assert_eq!(failure.session_app.as_deref(), Some("kv@1"));
    assert_eq!(failure.requested_app.as_deref(), Some("sql"));
    assert_eq!(failure.error_id.as_deref(), Some("err_1"));
    assert_eq!(failure.metadata["sessionId"], "sess_1");
    assert_eq!(failure.field_violations[0].field, "app");
    assert_eq!(failure.grpc_status, Some(Code::Aborted));
}

#[test]
fn a_code_of_a_newer_gateway_keeps_its_name() {
    let newer = v1::ErrorDetail { code: 999, run_state: 77, end_reason: 88, ..v1::ErrorDetail::default() };
    let error = from_status(&status(Code::Aborted, vec![detail(&newer), info("BRAND_NEW")]), None);
    assert!(matches!(error, Error::Other(_)));
    assert_eq!(error.code(), "BRAND_NEW");
    assert_eq!(error.run_state(), Some(RunState::Other(77)));
    assert_eq!(error.failure().end_reason, Some(EndReason::Other(88)));
}

#[test]
fn a_code_without_a_name_has_its_number() {
    let error = from_detail(v1::ErrorDetail { code: 999, ..v1::ErrorDetail::default() });
    assert_eq!((error.name(), error.code()), ("Other", "UNKNOWN_999"));
}

#[test]
fn the_error_info_alone_is_enough() {
    let error = from_status(&status(Code::NotFound, vec![info("SESSION_NOT_FOUND")]), None);
    assert!(matches!(error, Error::SessionNotFound(_)));
    assert_eq!(error.failure().http_status, Some(418));
}

#[test]
fn details_of_somebody_else_are_not_those_of_a_gateway() {
    let foreign =
        pb::ErrorInfo { reason: "INTERNAL".into(), domain: "proxy.example".into(), ..pb::ErrorInfo::default() };
    let status = status(Code::Internal, vec![packed("google.rpc.ErrorInfo", &foreign)]);
    let error = from_status(&status, Some(RunState::Unknown));
    assert_eq!((error.name(), error.code(), error.run_state()), ("Other", "INTERNAL", Some(RunState::Unknown)));
}

#[test]
fn garbage_does_not_hide_the_status() {
    let garbled = Status::with_details(Code::PermissionDenied, "no", vec![0xff; 9].into());
    let error = from_status(&garbled, None);
    assert_eq!((error.name(), error.code(), error.message()), ("Other", "PERMISSION_DENIED", "no"));
}

#[test]
fn a_broken_connection_is_unavailable_whatever_it_is_called() {
    for code in [Code::Unknown, Code::Internal, Code::Cancelled] {
        let mut status = Status::new(code, "h2 protocol error");
        status.set_source(Arc::new(io::Error::other("reset by peer")));
        assert!(status.source().is_some());
        let error = from_status(&status, Some(RunState::Unknown));
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        assert_eq!(error.message(), "reset by peer");
    }
}

#[test]
fn a_server_that_cancels_has_gone_away() {
    assert!(matches!(from_status(&Status::cancelled(""), None), Error::Unavailable(_)));
}

#[test]
fn bare_statuses_have_the_names_that_grpc_gives_them() {
    for (number, name) in [(12, "UNIMPLEMENTED"), (9, "FAILED_PRECONDITION"), (15, "DATA_LOSS"), (2, "UNKNOWN")] {
        assert_eq!(from_status(&Status::new(Code::from_i32(number), ""), None).code(), name);
    }
}
