//! From a gRPC status to an error: the only place that does it.

use std::{borrow::Cow, collections::BTreeMap, error::Error as _, fmt::Write as _};

use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::pb;

use crate::{
    error::{Error, Failure, FieldViolation},
    model::{EndReason, RunState, duration},
    v1,
};

const DOMAIN: &str = "sessiongateway";

/// Whether the same stream, opened again, would fail in the same way.
pub(crate) fn is_final(error: &Error) -> bool {
    matches!(
        error.failure().grpc_status,
        Some(
            Code::InvalidArgument
                | Code::NotFound
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
        )
    )
}

/// Returns what a failed RPC means. `run_state` holds if no gateway has spoken; only a run has one.
pub(crate) fn from_status(status: &Status, run_state: Option<RunState>) -> Error {
    let found = Details::read(status.details());
    if found.is_from_gateway() {
        return found.into_error(status);
    }
    if let Some(cause) = status.source() {
        // Made here, by the connection: whatever tonic takes a broken one for, it is one case for callers.
        return if is_timeout(cause) {
            deadline_error(run_state)
        } else {
            transport_error(Code::Unavailable, chain(cause), run_state)
        };
    }
    match status.code() {
        // Nobody here cancelled it: a server that is stopped answers so what it had not yet looked at.
        Code::Cancelled => transport_error(Code::Unavailable, "the server went away without an answer", run_state),
        code => transport_error(code, status.message(), run_state),
    }
}

/// Returns the error of a request whose time is over, as its caller's side has found.
pub(crate) fn deadline_error(run_state: Option<RunState>) -> Error {
    transport_error(Code::DeadlineExceeded, "the time given by the caller is over", run_state)
}

/// Returns the error of a stream that broke without a status.
pub(crate) fn broken_stream(message: &str) -> Error {
    transport_error(Code::Unavailable, message, None)
}

/// Returns the error of a status that no gateway made.
pub(crate) fn transport_error(code: Code, message: impl Into<String>, run_state: Option<RunState>) -> Error {
    let failure = Failure {
        code: code_name(code).into(),
        message: message.into(),
        run_state,
        grpc_status: Some(code),
        ..Failure::default()
    };
    match code {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Error::new(failure),
        // Some codes of the gateway have the names of statuses, but this is not one of its errors.
        _ => Error::Other(Box::new(failure)),
    }
}

/// Returns what an error in the middle of a keepalive stream means.
pub(crate) fn from_detail(detail: v1::ErrorDetail) -> Error {
    Details { detail: Some(detail), ..Details::default() }.into_failure(None)
}

/// The parts of a status that this client understands; each may be missing or broken.
#[derive(Default)]
struct Details {
    detail: Option<v1::ErrorDetail>,
    info: Option<pb::ErrorInfo>,
    retry: Option<pb::RetryInfo>,
    request: Option<pb::BadRequest>,
}

impl Details {
    fn read(bytes: &[u8]) -> Self {
        let mut found = Self::default();
        // A proxy's garbage must not hide the status itself.
        for packed in pb::Status::decode(bytes).unwrap_or_default().details {
            let value = packed.value.as_slice();
            match packed.type_url.rsplit('/').next().unwrap_or_default() {
                "sessiongateway.v1.ErrorDetail" => found.detail = v1::ErrorDetail::decode(value).ok(),
                "google.rpc.ErrorInfo" => found.info = pb::ErrorInfo::decode(value).ok(),
                "google.rpc.RetryInfo" => found.retry = pb::RetryInfo::decode(value).ok(),
                "google.rpc.BadRequest" => found.request = pb::BadRequest::decode(value).ok(),
                _ => {}
            }
        }
        found
    }

    fn is_from_gateway(&self) -> bool {
        self.detail.is_some() || self.info.as_ref().is_some_and(|info| info.domain == DOMAIN && !info.reason.is_empty())
    }

    fn into_error(self, status: &Status) -> Error {
        let mut error = self.into_failure(Some(status.code()));
        if !status.message().is_empty() {
            status.message().clone_into(&mut error.failure_mut().message);
        }
        error
    }

    fn into_failure(self, grpc_status: Option<Code>) -> Error {
        let detail = self.detail.unwrap_or_default();
        let info = self.info.unwrap_or_default();
        let metadata: BTreeMap<_, _> = info.metadata.into_iter().collect();
        let http_status = match detail.http_status {
            0 => metadata.get("httpStatus").and_then(|text| text.parse().ok()),
            status => status.try_into().ok(),
        };
        let violations = self.request.unwrap_or_default().field_violations;
        Error::new(Failure {
            code: detail_code(detail.code, info.reason),
            message: detail.message,
            session_id: non_empty(detail.session_id),
            run_state: RunState::if_set(detail.run_state),
            retry_after: self.retry.and_then(|retry| retry.retry_delay).or(detail.retry_after).map(duration),
            http_status,
            end_reason: EndReason::if_set(detail.end_reason),
            call_id: non_empty(detail.call_id),
            field_violations: violations
                .into_iter()
                .map(|each| FieldViolation { field: each.field, description: each.description })
                .collect(),
            app_failure: detail.app_failure.map(Into::into),
            worker_exit: detail.worker_exit.map(Into::into),
            session_app: detail.session_app.map(pinned),
            requested_app: detail.requested_app.map(pinned),
            error_id: non_empty(detail.error_id),
            metadata,
            grpc_status,
        })
    }
}

fn detail_code(number: i32, reason: String) -> Cow<'static, str> {
    match v1::ErrorCode::try_from(number) {
        Ok(code) if number != 0 => code.as_str_name().trim_start_matches("ERROR_CODE_").into(),
        _ if !reason.is_empty() => reason.into(),
        _ if number != 0 => format!("UNKNOWN_{number}").into(),
        _ => "UNKNOWN".into(),
    }
}

fn pinned(app: v1::AppVersion) -> String {
    if app.version.is_empty() { app.app } else { format!("{}@{}", app.app, app.version) }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn is_timeout(cause: &(dyn std::error::Error + 'static)) -> bool {
    causes(cause).any(<dyn std::error::Error>::is::<tonic::TimeoutExpired>)
}

/// All messages on the way to the root: the first alone is often no more than "transport error".
pub(crate) fn chain(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut text = cause.to_string();
    for deeper in causes(cause).skip(1).map(ToString::to_string) {
        if !text.contains(&deeper) {
            let _ = write!(text, ": {deeper}");
        }
    }
    text
}

fn causes<'a>(
    cause: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(cause), |&each| each.source())
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
