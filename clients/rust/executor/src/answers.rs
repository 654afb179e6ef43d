//! What the client returned, as the suite wants to see it.

use std::time::SystemTime;

use prost_types::Timestamp;
use serde_json::{Map, Value, json};
use sessiongateway::{AppFailure, EndReason, Error, FieldViolation, RunResult, RunState, SessionInfo, WorkerExit};
use tonic::Code;

pub fn result(result: &RunResult) -> Value {
    json!({
        "session_id": result.session_id.as_deref().unwrap_or_default(),
        "output": result.output.json(),
        "call_id": result.call_id,
        "session": result.session.as_ref().map(session),
    })
}

pub fn session(info: &SessionInfo) -> Value {
    json!({
        "id": info.id,
        "app": info.app,
        "version": info.version,
        "status": info.status.as_word(),
        "end_reason": info.end_reason.map(EndReason::as_word),
        "worker_id": info.worker_id,
        "session_timeout": info.session_timeout.as_secs(),
        "created_at": info.created_at.map(moment),
        "expires_at": info.expires_at.map(moment),
        "expires_in": info.expires_in.as_secs_f64(),
        "last_call_at": info.last_call_at.map(moment),
        "ended_at": info.ended_at.map(moment),
        "call_count": info.call_count,
        "worker_exit": info.worker_exit.map(worker_exit),
    })
}

pub fn error(error: &Error) -> Value {
    let failure = error.failure();
    let violations: Vec<_> = failure.field_violations.iter().map(violation).collect();
    json!({
        "code": failure.code,
        "message": failure.message,
        "grpc_status": failure.grpc_status.map(grpc_name),
        "class": error.name(),
        "session_id": failure.session_id,
        "run_state": failure.run_state.map(RunState::as_word),
        "retry_after": failure.retry_after.map(|delay| delay.as_secs_f64()),
        "http_status": failure.http_status,
        "end_reason": failure.end_reason.map(EndReason::as_word),
        "call_id": failure.call_id,
        "field_violations": if violations.is_empty() { Value::Null } else { violations.into() },
        "app_failure": failure.app_failure.as_ref().map(app_failure),
        "worker_exit": failure.worker_exit.map(worker_exit),
        "session_app": failure.session_app,
        "requested_app": failure.requested_app,
        "error_id": failure.error_id,
        "metadata": failure.metadata,
    })
}

/// An error that has nothing but these.
pub fn plain_error(code: &str, message: &str, grpc_status: Option<&str>, run_state: Option<&str>) -> Value {
    let mut object: Map<String, Value> = [
        "session_id",
        "retry_after",
        "http_status",
        "end_reason",
        "call_id",
        "field_violations",
        "app_failure",
        "worker_exit",
        "session_app",
        "requested_app",
        "error_id",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), Value::Null))
    .collect();
    object.insert("code".to_owned(), code.into());
    object.insert("message".to_owned(), message.into());
    object.insert("grpc_status".to_owned(), grpc_status.into());
    object.insert("class".to_owned(), if code == "USAGE" { "Usage" } else { "Cancelled" }.into());
    object.insert("run_state".to_owned(), run_state.into());
    object.insert("metadata".to_owned(), json!({}));
    object.into()
}

fn violation(violation: &FieldViolation) -> Value {
    json!([violation.field, violation.description])
}

fn app_failure(failure: &AppFailure) -> Value {
    json!({"type": failure.kind, "message": failure.message, "traceback": failure.traceback})
}

fn worker_exit(exit: WorkerExit) -> Value {
    match exit {
        WorkerExit::ExitCode(code) => json!({"exit_code": code}),
        WorkerExit::Signal(signal) => json!({"signal": signal}),
        _ => json!({}),
    }
}

fn moment(moment: SystemTime) -> String {
    Timestamp::from(moment).to_string()
}

/// The name of a status as gRPC spells it: `DeadlineExceeded` is `DEADLINE_EXCEEDED`.
pub fn grpc_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}
