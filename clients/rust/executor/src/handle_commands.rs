//! Commands to session handles.

use std::sync::Arc;

use serde_json::{Value, json};
use sessiongateway::{Session, SessionOptions};

use crate::{
    Work, answers,
    command::{Command, Fault},
    objects::Objects,
    stream_commands::in_time,
};

pub fn begin(command: Command, objects: &Arc<Objects>) -> Work {
    if command.op == "handle_open" {
        let opened = open(&command, objects);
        return Box::pin(async { opened });
    }
    let handle = match command.op.as_str() {
        "handle_close" => objects.handles.take(&command.handle),
        _ => objects.handles.get(&command.handle),
    };
    Box::pin(async move { play(&command, &*handle?).await })
}

fn open(command: &Command, objects: &Objects) -> Result<Value, Fault> {
    let client = objects.clients.get(&command.client)?;
    let mut options = SessionOptions::new(command.app.clone().unwrap_or_default()).keepalive(command.keepalive);
    if let Some(seconds) = command.session_timeout {
        options = options.session_timeout(seconds);
    }
    objects.handles.put(&command.handle, Arc::new(client.session(options)));
    Ok(json!({}))
}

async fn play(command: &Command, handle: &Session) -> Result<Value, Fault> {
    match command.op.as_str() {
        "handle_call" => {
            let call = command.call(command.function.as_deref(), command.request_id.clone())?;
            Ok(answers::result(&handle.call(call).await?))
        }
        "handle_lost" => Ok(match in_time(command.timeout()?, handle.lost()).await {
            None => json!({"timeout": true}),
            Some(error) => json!({"error": error.as_ref().map(answers::error)}),
        }),
        _ => Ok(json!({"session": handle.end().await?.as_ref().map(answers::session)})),
    }
}
