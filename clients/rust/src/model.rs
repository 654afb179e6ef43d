//! What the gateway tells about sessions and calls.

use std::{borrow::Cow, fmt, time::Duration, time::SystemTime};

use crate::v1;

macro_rules! words {
    ($(#[$doc:meta])+ $name:ident { $($(#[$value_doc:meta])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$value_doc])+ $variant,)+
            /// A value that only a newer gateway knows, by its number.
            Other(i32),
        }

        impl $name {
            /// The value as a lower-case word; `unknown_NUMBER` if only a newer gateway knows it.
            #[must_use]
            pub fn as_word(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => $word.into(),)+
                    Self::Other(number) => format!("unknown_{number}").into(),
                }
            }

            /// The number on the wire.
            #[allow(dead_code)]
            pub(crate) fn number(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$name::$variant.into(),)+
                    Self::Other(number) => number,
                }
            }

            pub(crate) fn from_number(number: i32) -> Self {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => Self::$variant,)+
                    _ => Self::Other(number),
                }
            }

            /// The value, or `None` for "unspecified".
            #[allow(dead_code)]
            pub(crate) fn if_set(number: i32) -> Option<Self> {
                (number != 0).then(|| Self::from_number(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.as_word())
            }
        }
    };
}

words! {
    /// Where a session stands.
    SessionStatus {
        /// The worker is leased, and the session can be called.
        Active = "active",
        /// It was ended; the end reason says by what.
        Ended = "ended",
        /// It was idle for longer than its timeout.
        Expired = "expired",
    }
}

words! {
    /// Why a session is no longer active.
    EndReason {
        /// Its caller ended it.
        Caller = "caller",
        /// It was idle for longer than its timeout.
        IdleTimeout = "idle_timeout",
        /// Its worker process died.
        WorkerLost = "worker_lost",
        /// The call that was to open it failed or was cancelled.
        FirstCallFailed = "first_call_failed",
        /// The gateway that held its worker was stopped, and was told to end its sessions then.
        GatewayRestarted = "gateway_restarted",
        /// It lived for as long as a session of its app may live.
        MaxLifetime = "max_lifetime",
        /// A call took longer than the app allows, and its function did not give way.
        CallTimedOut = "call_timed_out",
        /// Its worker held more memory than the app allows.
        MemoryLimit = "memory_limit",
        /// Its worker had started more processes than the app allows.
        ProcessLimit = "process_limit",
        /// Its files took more room than the app allows.
        DiskLimit = "disk_limit",
    }
}

words! {
    /// Whether the function of a run was applied.
    RunState {
        /// Nothing was applied: the same may safely be sent again.
        NotStarted = "not_started",
        /// It may have had effects.
        Unknown = "unknown",
        /// It ran to its end; what is missing is only a usable answer.
        Completed = "completed",
    }
}

words! {
    /// What happened to a session.
    SessionEvent {
        /// Nothing yet: the watch stands.
        Watching = "watching",
        /// It began.
        Created = "created",
        /// It was ended; the end reason says by what.
        Ended = "ended",
        /// It was idle for longer than its timeout.
        Expired = "expired",
        /// Its worker process died, and it has ended with that.
        WorkerLost = "worker_lost",
    }
}

/// How a worker process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WorkerExit {
    /// With this exit code.
    ExitCode(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody saw how.
    Unseen,
}

impl From<v1::WorkerExit> for WorkerExit {
    fn from(exit: v1::WorkerExit) -> Self {
        match exit.how {
            Some(v1::worker_exit::How::ExitCode(code)) => Self::ExitCode(code),
            Some(v1::worker_exit::How::Signal(signal)) => Self::Signal(signal),
            None => Self::Unseen,
        }
    }
}

/// What the app's code raised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AppFailure {
    /// The type of the exception, such as `ValueError`.
    pub kind: String,
    /// Its text, shortened.
    pub message: String,
    /// The end of its traceback.
    pub traceback: String,
}

impl From<v1::AppFailure> for AppFailure {
    fn from(failure: v1::AppFailure) -> Self {
        Self { kind: failure.r#type, message: failure.message, traceback: failure.traceback }
    }
}

/// A session as it was when the gateway answered. Moments are by the gateway's clock.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session.
    pub id: String,
    /// The name of its app.
    pub app: String,
    /// The version of its app; a session never changes it.
    pub version: String,
    /// Where it stands.
    pub status: SessionStatus,
    /// Why it is no longer active; `None` while it is.
    pub end_reason: Option<EndReason>,
    /// The worker that is, or was, leased.
    pub worker_id: String,
    /// For how long it may be idle.
    pub session_timeout: Duration,
    /// When it began.
    pub created_at: Option<SystemTime>,
    /// When it expires if nothing more happens.
    pub expires_at: Option<SystemTime>,
    /// The time that was left; needs no comparison of clocks.
    pub expires_in: Duration,
    /// When its newest call was admitted.
    pub last_call_at: Option<SystemTime>,
    /// When it ended or expired.
    pub ended_at: Option<SystemTime>,
    /// How many calls were made: those that were started, wait or run.
    pub call_count: i64,
    /// How its worker died; `None` if it did not.
    pub worker_exit: Option<WorkerExit>,
}

impl From<v1::Session> for SessionInfo {
    fn from(session: v1::Session) -> Self {
        Self {
            id: session.id,
            app: session.app,
            version: session.version,
            status: SessionStatus::from_number(session.status),
            end_reason: EndReason::if_set(session.end_reason),
            worker_id: session.worker_id,
            session_timeout: Duration::from_secs(session.session_timeout.try_into().unwrap_or_default()),
            created_at: session.created_at.and_then(moment),
            expires_at: session.expires_at.and_then(moment),
            expires_in: session.expires_in.map(duration).unwrap_or_default(),
            last_call_at: session.last_call_at.and_then(moment),
            ended_at: session.ended_at.and_then(moment),
            call_count: session.call_count,
            worker_exit: session.worker_exit.map(Into::into),
        }
    }
}

impl SessionInfo {
    /// The app in the version that the session is bound to, as `name@version`.
    #[must_use]
    pub fn pinned_app(&self) -> String {
        format!("{}@{}", self.app, self.version)
    }
}

/// The moment, or `None` if this machine cannot represent it.
pub(crate) fn moment(timestamp: prost_types::Timestamp) -> Option<SystemTime> {
    timestamp.try_into().ok()
}

/// The duration; a negative one is zero.
pub(crate) fn duration(duration: prost_types::Duration) -> Duration {
    duration.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_only_a_newer_gateway_knows_keeps_its_number() {
        let session = v1::Session { status: 17, end_reason: 99, ..v1::Session::default() };
        let info = SessionInfo::from(session);
        assert_eq!(info.status, SessionStatus::Other(17));
        assert_eq!(info.end_reason.unwrap().to_string(), "unknown_99");
    }

    #[test]
    fn every_value_of_today_has_a_word_like_its_name() {
        for number in 1..=10 {
            let name = v1::EndReason::try_from(number).unwrap().as_str_name();
            assert_eq!(format!("END_REASON_{}", EndReason::from_number(number).as_word().to_uppercase()), name);
        }
    }

    #[test]
    fn a_worker_whose_end_nobody_saw_has_one() {
        assert_eq!(WorkerExit::from(v1::WorkerExit { how: None }), WorkerExit::Unseen);
    }
}
