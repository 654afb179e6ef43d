#![doc = include_str!("../README.md")]

mod address;
mod apps;
mod client;
mod connector;
mod error;
mod finite;
mod keepalive;
mod keepalive_conversation;
mod keepalive_stream;
mod link;
mod model;
mod output;
mod pacing;
mod pages;
mod recall;
mod run;
mod session;
mod session_state;
mod sessions;
mod status;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod watch;

/// The generated messages and stubs, for what the rest does not offer.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
#[rustfmt::skip]
#[path = "generated/sessiongateway.v1.rs"]
pub mod v1;

#[cfg(feature = "tls")]
pub use self::tls::Tls;
pub use self::{
    apps::{AppInfo, Apps, FunctionInfo},
    client::{Client, ClientBuilder},
    error::{Error, Failure, FieldViolation, Result},
    keepalive::KeepaliveEvent,
    keepalive_stream::KeepaliveStream,
    model::{AppFailure, EndReason, RunState, SessionEvent, SessionInfo, SessionStatus, WorkerExit},
    output::Output,
    pacing::{Backoff, Pacing},
    pages::Pages,
    run::{Call, Run, RunResult},
    session::{Session, SessionOptions},
    sessions::{SessionFilter, Sessions},
    stream::RunStream,
    watch::{Watch, WatchEvent, WatchOptions},
};
