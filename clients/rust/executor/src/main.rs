//! Plays the commands of the conformance suite on the client: JSON objects on standard input, one a line, and answers
//! on standard output.

mod answers;
mod client_commands;
mod command;
mod handle_commands;
mod objects;
mod raw;
mod stream_commands;

use std::{collections::HashMap, io::Write as _, pin::Pin, sync::Arc};

use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::oneshot,
};

use crate::{
    command::{Command, Fault},
    objects::Objects,
};

/// What a command has been begun with; the rest of it. Whatever must happen in the order of arrival is done before.
type Work = Pin<Box<dyn Future<Output = Result<Value, Fault>> + Send>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let objects = Arc::new(Objects::default());
    let mut pending: HashMap<i64, oneshot::Sender<()>> = HashMap::new();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let object: Value = serde_json::from_str(&line).unwrap_or_default();
        let id = object["id"].as_i64();
        let (Some(id), Ok(command)) = (id, Command::deserialize(object)) else {
            answer(&id.into(), Err(Fault::Unsupported));
            continue;
        };
        pending.retain(|_, cancel| !cancel.is_closed());
        if command.op == "cancel" {
            let target = command.target.and_then(|target| pending.remove(&target));
            answer(&id.into(), Ok(json!({})));
            if let Some(cancel) = target {
                let _ = cancel.send(());
            }
            continue;
        }
        let (cancel, cancelled) = oneshot::channel();
        pending.insert(id, cancel);
        let after_cancel = AfterCancel::of(&command, &objects);
        let work = begin(command, &objects);
        tokio::spawn(async move {
            let outcome = tokio::select! {
                biased;
                Ok(()) = cancelled => {
                    after_cancel.run();
                    Err(Fault::Cancelled { is_run: after_cancel.is_run })
                }
                outcome = work => outcome,
            };
            answer(&id.into(), outcome);
        });
    }
    objects.close_all().await;
    Ok(())
}

/// What cancelling a command means beyond dropping its future.
struct AfterCancel {
    is_run: bool,
    stream: Option<Arc<objects::Open<sessiongateway::RunStream>>>,
}

impl AfterCancel {
    fn of(command: &Command, objects: &Objects) -> Self {
        let is_step = command.op == "stream_next";
        let stream = command.stream.as_ref().filter(|_| is_step).and_then(|name| objects.streams.get(name).ok());
        Self { is_run: is_step || matches!(command.op.as_str(), "run" | "handle_call" | "raw_run"), stream }
    }

    /// A step that is dropped leaves its stream as it is; the suite takes a cancelled step for a cancelled run.
    fn run(&self) {
        if let Some(stream) = &self.stream {
            stream.close();
        }
    }
}

fn begin(command: Command, objects: &Arc<Objects>) -> Work {
    match command.op.as_str() {
        "connect" | "close" | "run" | "get" | "keepalive" | "end" | "list" | "get_app" | "list_apps" => {
            client_commands::begin(command, objects)
        }
        "stream_open" | "stream_next" | "stream_close" | "watch_open" | "watch_next" | "watch_close"
        | "keepalive_open" | "keepalive_next" | "keepalive_close" => stream_commands::begin(command, objects),
        "handle_open" | "handle_call" | "handle_lost" | "handle_close" => handle_commands::begin(command, objects),
        "raw_run" => Box::pin(raw::run(command)),
        _ => Box::pin(async { Err(Fault::Unsupported) }),
    }
}

/// Writes one line at once; nothing else writes.
fn answer(id: &Value, outcome: Result<Value, Fault>) {
    let line = match outcome {
        Ok(ok) => json!({"id": id, "ok": ok}),
        Err(fault) => json!({"id": id, "error": fault.into_json()}),
    };
    let mut out = std::io::stdout().lock();
    // A runner that is gone needs no answers; the end of the input comes next.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
