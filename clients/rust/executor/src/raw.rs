//! A run over the generated stub alone: what whoever has no client has to write.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;
use serde_json::{Value, json};
use sessiongateway::v1::{self, session_service_client::SessionServiceClient};
use tonic::{Request, Status};
use tonic_types::{StatusExt as _, pb};

use crate::{
    answers::grpc_name,
    command::{Command, Fault},
};

pub async fn run(command: Command) -> Result<Value, Fault> {
    let bytes = STANDARD.decode(command.request.unwrap_or_default()).map_err(Fault::usage)?;
    let message = v1::RunRequest::decode(bytes.as_slice()).map_err(Fault::usage)?;
    let mut request = Request::new(message);
    if let Some(key) = command.api_key {
        request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().map_err(Fault::usage)?);
    }
    let address = format!("http://{}", command.address.unwrap_or_default());
    let mut stub = SessionServiceClient::connect(address)
        .await
        .map_err(|error| Fault::Bare(error_json(&Status::unavailable(error.to_string()))))?;
    let response = stub.run(request).await.map_err(|status| Fault::Bare(error_json(&status)))?;
    Ok(json!({"response": STANDARD.encode(response.into_inner().encode_to_vec())}))
}

fn error_json(status: &Status) -> Value {
    let details = pb::Status::decode(status.details()).unwrap_or_default().details;
    let detail = details
        .iter()
        .find(|each| each.type_url.ends_with("/sessiongateway.v1.ErrorDetail"))
        .and_then(|each| v1::ErrorDetail::decode(each.value.as_slice()).ok())
        .unwrap_or_default();
    let (reason, metadata) = status.get_details_error_info().map(|it| (it.reason, it.metadata)).unwrap_or_default();
    let violations = status.get_details_bad_request().map(|it| it.field_violations).unwrap_or_default();
    let violations: Vec<_> = violations.iter().map(|each| json!([each.field, each.description])).collect();
    let run_state = detail.run_state().as_str_name().trim_start_matches("RUN_STATE_").to_lowercase();
    let end_reason = detail.end_reason().as_str_name().trim_start_matches("END_REASON_").to_lowercase();
    let word = |word: String| Some(word).filter(|word| word != "unspecified");
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let pinned = |app: &v1::AppVersion| format!("{}@{}", app.app, app.version);
    let code = if reason.is_empty() { grpc_name(status.code()) } else { reason };
    json!({
        "code": code,
        "message": status.message(),
        "grpc_status": grpc_name(status.code()),
        "class": "Status",
        "session_id": text(&detail.session_id),
        "run_state": word(run_state),
        "retry_after": status.get_details_retry_info().and_then(|it| it.retry_delay).map(|it| it.as_secs_f64()),
        "http_status": (detail.http_status != 0).then_some(detail.http_status),
        "end_reason": word(end_reason),
        "call_id": text(&detail.call_id),
        "field_violations": if violations.is_empty() { Value::Null } else { violations.into() },
        "app_failure": detail.app_failure.as_ref().map(|failure| {
            json!({"type": failure.r#type, "message": failure.message, "traceback": failure.traceback})
        }),
        "worker_exit": detail.worker_exit.as_ref().map(|exit| match exit.how {
            Some(v1::worker_exit::How::ExitCode(code)) => json!({"exit_code": code}),
            Some(v1::worker_exit::How::Signal(signal)) => json!({"signal": signal}),
            None => json!({}),
        }),
        "session_app": detail.session_app.as_ref().map(pinned),
        "requested_app": detail.requested_app.as_ref().map(pinned),
        "error_id": text(&detail.error_id),
        "metadata": metadata,
    })
}
