//! Commands as they come in, and how they can fail.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use sessiongateway::{Call, Error, Run};

use crate::answers;

/// Any command: the fields of all of them.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Command {
    pub op: String,
    pub target: Option<i64>,
    pub client: String,
    pub address: Option<String>,
    pub api_key: Option<String>,
    pub tls: Option<TlsFiles>,
    timeout: Option<f64>,
    pub params: Value,
    pub input: Option<String>,
    pub session_id: String,
    pub status: Option<String>,
    pub app: Option<String>,
    pub page_size: Option<u32>,
    pub stream: Option<String>,
    pub watch: String,
    pub resume_token: Option<String>,
    pub session_ids: Vec<String>,
    pub handle: String,
    pub session_timeout: Option<i32>,
    pub keepalive: bool,
    pub function: Option<String>,
    pub request_id: Option<String>,
    pub request: Option<String>,
}

/// Where the certificates are.
#[derive(Deserialize)]
pub struct TlsFiles {
    pub ca: String,
    pub cert: Option<String>,
    pub key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    app: Option<String>,
    function: Option<String>,
    session: Option<String>,
    session_timeout: Option<i32>,
    worker_id: Option<String>,
    request_id: Option<String>,
    expected_call_count: Option<i64>,
}

impl Command {
    pub fn timeout(&self) -> Result<Option<Duration>, Fault> {
        let seconds = self.timeout.map(Duration::try_from_secs_f64).transpose();
        seconds.map_err(|error| Fault::Usage(error.to_string()))
    }

    pub fn stream(&self) -> &str {
        self.stream.as_deref().unwrap_or_default()
    }

    /// The run of `params` and `input`.
    pub fn run(&self) -> Result<Run, Fault> {
        let params = if self.params.is_null() { json!({}) } else { self.params.clone() };
        let params: Params = serde_json::from_value(params).map_err(Fault::usage)?;
        let app = params.app.ok_or_else(|| Fault::Usage("a run needs an app".to_owned()))?;
        let mut call = self.call(params.function.as_deref(), params.request_id)?;
        if let Some(count) = params.expected_call_count {
            call = call.expected_call_count(count);
        }
        let mut run = Run::new(app).call(call);
        if let Some(session) = params.session {
            run = run.session(session);
        }
        if let Some(seconds) = params.session_timeout {
            run = run.session_timeout(seconds);
        }
        if let Some(id) = params.worker_id {
            run = run.worker_id(id);
        }
        Ok(run)
    }

    /// The call of a function with `input` and `timeout`.
    pub fn call(&self, function: Option<&str>, request_id: Option<String>) -> Result<Call, Fault> {
        let mut call = function.map_or_else(Call::new, Call::to);
        if let Some(text) = &self.input {
            let input: &RawValue = serde_json::from_str(text).map_err(Fault::usage)?;
            call = call.input(input);
        }
        if let Some(id) = request_id {
            call = call.request_id(id);
        }
        if let Some(timeout) = self.timeout()? {
            call = call.timeout(timeout);
        }
        Ok(call)
    }
}

/// Why a command has no result.
#[derive(Debug)]
pub enum Fault {
    /// The client's own error.
    Client(Box<Error>),
    /// An error that was decoded without the client.
    Bare(Value),
    /// A mistake that a compiler would have found.
    Usage(String),
    /// By the command `cancel`.
    Cancelled { is_run: bool },
    /// Not a command of this suite.
    Unsupported,
}

impl Fault {
    #[allow(clippy::needless_pass_by_value, reason = "made for `map_err`, which gives the error away")]
    pub fn usage(error: impl ToString) -> Self {
        Self::Usage(error.to_string())
    }

    pub fn into_json(self) -> Value {
        match self {
            Self::Client(error) => answers::error(&error),
            Self::Bare(error) => error,
            Self::Usage(message) => answers::plain_error("USAGE", &message, None, None),
            Self::Cancelled { is_run } => {
                let run_state = is_run.then_some("unknown");
                answers::plain_error("CANCELLED", "the future was dropped", Some("CANCELLED"), run_state)
            }
            Self::Unsupported => json!({"code": "UNSUPPORTED_COMMAND"}),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Client(Box::new(error))
    }
}
