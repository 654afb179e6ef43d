//! What a request can fail with.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use crate::model::{AppFailure, EndReason, RunState, WorkerExit};

/// The result of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All that is known of a failure. What does not apply is `None` or empty.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Failure {
    /// Why, such as `SESSION_EXPIRED`. Of a code that only a newer gateway knows: the gateway's name for it. Of a
    /// status that no gateway made: the gRPC name, such as `UNIMPLEMENTED`.
    pub code: Cow<'static, str>,
    /// The same for people.
    pub message: String,
    /// The session in question.
    pub session_id: Option<String>,
    /// Whether the function of a run was applied; `None` for other requests.
    pub run_state: Option<RunState>,
    /// How long to wait before sending again, where that may help.
    pub retry_after: Option<Duration>,
    /// The HTTP status that goes with the code.
    pub http_status: Option<u16>,
    /// Why the session is no longer active.
    pub end_reason: Option<EndReason>,
    /// The call that failed, as it stands in the gateway's log.
    pub call_id: Option<String>,
    /// What is wrong with each field of the request.
    pub field_violations: Vec<FieldViolation>,
    /// What the app's code raised.
    pub app_failure: Option<AppFailure>,
    /// How the worker died.
    pub worker_exit: Option<WorkerExit>,
    /// The app that the session is bound to, as `name@version`.
    pub session_app: Option<String>,
    /// The app that the request meant, as `name@version`.
    pub requested_app: Option<String>,
    /// Finds the log entry of an internal error of the gateway.
    pub error_id: Option<String>,
    /// Every variable word of the message by its key.
    pub metadata: BTreeMap<String, String>,
    /// The status of the RPC; `None` where there was none, as for one session on a keepalive stream.
    pub grpc_status: Option<tonic::Code>,
}

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// The field, such as `session_timeout` or `input.path.to.field`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

macro_rules! errors {
    ($($(#[$doc:meta])+ $variant:ident = $code:literal,)+) => {
        /// Why a request failed: one variant for each code, with all that is known of the failure.
        ///
        /// ```
        /// # fn on(error: sessiongateway::Error) {
        /// use sessiongateway::Error;
        ///
        /// match error {
        ///     Error::SessionExpired(_) | Error::SessionEnded(_) => println!("its state is gone"),
        ///     Error::SessionBusy(failure) => println!("again after {:?}", failure.retry_after),
        ///     other => println!("{}: {:?}", other.code(), other.run_state()),
        /// }
        /// # }
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])+ $variant(Box<Failure>),)+
            /// A code of a newer gateway, or a status that no gateway made; `code()` has its name.
            Other(Box<Failure>),
        }

        impl Error {
            /// The error of the failure's code.
            pub(crate) fn new(failure: Failure) -> Self {
                match &*failure.code {
                    $($code => Self::$variant(Box::new(failure)),)+
                    _ => Self::Other(Box::new(failure)),
                }
            }

            /// All that is known of the failure.
            #[must_use]
            pub fn failure(&self) -> &Failure {
                match self {
                    $(Self::$variant(failure))|+ | Self::Other(failure) => failure,
                }
            }

            pub(crate) fn failure_mut(&mut self) -> &mut Failure {
                match self {
                    $(Self::$variant(failure))|+ | Self::Other(failure) => failure,
                }
            }

            /// The name of the variant, such as `SessionExpired`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)+
                    Self::Other(_) => "Other",
                }
            }
        }

        #[cfg(test)]
        pub(crate) const CODES: &[&str] = &[$($code),+];
    };
}

errors! {
    /// No session has this id, or it belongs to another caller.
    SessionNotFound = "SESSION_NOT_FOUND",
    /// The session was idle for longer than its timeout; its state is gone.
    SessionExpired = "SESSION_EXPIRED",
    /// The session was ended, `end_reason` says by what; its state is gone.
    SessionEnded = "SESSION_ENDED",
    /// The worker that was asked for is leased to another session.
    WorkerLeased = "WORKER_LEASED",
    /// The session belongs to another app: compare `session_app` with `requested_app`.
    AppMismatch = "APP_MISMATCH",
    /// The session belongs to another version of the app: compare `session_app` with `requested_app`.
    VersionMismatch = "VERSION_MISMATCH",
    /// Fields of the request are wrong; `field_violations` names every one.
    InvalidRequest = "INVALID_REQUEST",
    /// The app's input type refuses the input; `field_violations` names each place in it.
    InvalidInput = "INVALID_INPUT",
    /// No app of this name is deployed.
    AppNotFound = "APP_NOT_FOUND",
    /// The app is deployed, but not in this version.
    VersionNotFound = "VERSION_NOT_FOUND",
    /// The app has no such function, or none was named and it has no default.
    FunctionNotFound = "FUNCTION_NOT_FOUND",
    /// No worker of the app has this id, or it is not the session's worker.
    WorkerNotFound = "WORKER_NOT_FOUND",
    /// The request id was used before for a request with another content.
    RequestIdReused = "REQUEST_ID_REUSED",
    /// Too many calls wait for the session, or the call's turn did not come in time.
    SessionBusy = "SESSION_BUSY",
    /// No worker became free in time.
    NoWorkerAvailable = "NO_WORKER_AVAILABLE",
    /// A limit of this caller is reached.
    QuotaExceeded = "QUOTA_EXCEEDED",
    /// The function raised: see `app_failure`. The session lives on, unless this call was to open it.
    AppError = "APP_ERROR",
    /// The app could not be started: see `app_failure`.
    AppStartFailed = "APP_START_FAILED",
    /// The worker process died during the call, and its session with it: see `worker_exit`.
    WorkerLost = "WORKER_LOST",
    /// The API key is missing or not valid.
    Unauthenticated = "UNAUTHENTICATED",
    /// The API key does not allow this.
    PermissionDenied = "PERMISSION_DENIED",
    /// The gateway is shutting down and took nothing. Comes after the client has tried again a few times.
    GatewayDraining = "GATEWAY_DRAINING",
    /// The gateway failed in a way that it did not foresee; `error_id` finds the entry in its log.
    Internal = "INTERNAL",
    /// The session has had another number of calls than expected: somebody else used it.
    CallCountMismatch = "CALL_COUNT_MISMATCH",
    /// The gateway was stopped while the call ran. The worker goes on with it, and the session lives on.
    CallInterrupted = "CALL_INTERRUPTED",
    /// The gateway cannot use its records at the moment and took nothing. Comes after the client has tried again.
    StoreUnavailable = "STORE_UNAVAILABLE",
    /// The call took longer than its app allows; `end_reason` tells whether the session has ended with it.
    CallTimedOut = "CALL_TIMED_OUT",
    /// The gateway cannot be reached, or the connection broke. A run is not sent again, since it may have been applied:
    /// its run state is "not started" only if it was surely never sent.
    Unavailable = "UNAVAILABLE",
    /// The time that the caller gave is over. The run state is "not started" only if the run was surely never sent.
    DeadlineExceeded = "DEADLINE_EXCEEDED",
    /// The client was closed during the request.
    Cancelled = "CANCELLED",
    /// A mistake that showed before anything was sent.
    Usage = "USAGE",
    /// The answer cannot be read, or a stream ended without a result.
    InvalidResponse = "INVALID_RESPONSE",
}

impl Error {
    /// Why, such as `SESSION_EXPIRED`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.failure().code
    }

    /// The same for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.failure().message
    }

    /// The session in question.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.failure().session_id.as_deref()
    }

    /// Whether the function of a run was applied; `None` for other requests.
    #[must_use]
    pub fn run_state(&self) -> Option<RunState> {
        self.failure().run_state
    }

    /// How long to wait before sending again, where that may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.failure().retry_after
    }

    /// Whether the gateway answered that it took nothing, and that the same may be sent again.
    pub(crate) fn is_told_to_wait(&self) -> bool {
        matches!(self, Self::GatewayDraining(_) | Self::StoreUnavailable(_))
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(Box::new(Failure { code: "USAGE".into(), message: message.into(), ..Failure::default() }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { code, message, .. } = self.failure();
        if message.is_empty() { f.write_str(code) } else { write!(f, "{code}: {message}") }
    }
}

impl std::error::Error for Error {}
