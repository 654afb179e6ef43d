//! Commands to streams: of partial outputs, of events, of renewals.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sessiongateway::{KeepaliveStream, RunStream, Watch};

use crate::{
    Work, answers,
    command::{Command, Fault},
    objects::{Objects, Open},
};

pub fn begin(command: Command, objects: &Arc<Objects>) -> Work {
    let objects = Arc::clone(objects);
    match command.op.as_str() {
        "stream_open" => ready(stream_open(&command, &objects)),
        "stream_next" => {
            let stream = objects.streams.get(command.stream());
            Box::pin(async move { stream_next(&*stream?).await })
        }
        "stream_close" => {
            let stream = objects.streams.take(command.stream());
            Box::pin(async move { Ok(closed(stream?.finish(|_| ()).await)) })
        }
        "watch_open" => Box::pin(async move { watch_open(&command, &objects).await }),
        "watch_next" => {
            let watch = objects.watches.get(&command.watch);
            Box::pin(async move { watch_next(&*watch?, command.timeout()?).await })
        }
        "watch_close" => {
            let watch = objects.watches.take(&command.watch);
            Box::pin(async move { watch_close(&*watch?).await })
        }
        "keepalive_open" => ready(keepalive_open(&command, &objects)),
        "keepalive_next" => {
            let renewal = objects.renewals.get(command.stream());
            Box::pin(async move { keepalive_next(&*renewal?, command.timeout()?).await })
        }
        _ => {
            let renewal = objects.renewals.take(command.stream());
            Box::pin(async move { Ok(closed(renewal?.finish(|_| ()).await)) })
        }
    }
}

/// The answer of a stream that is closed, whether it was before or not.
fn closed(_: Option<()>) -> Value {
    json!({})
}

fn ready(outcome: Result<Value, Fault>) -> Work {
    Box::pin(async { outcome })
}

fn stream_open(command: &Command, objects: &Objects) -> Result<Value, Fault> {
    let client = objects.clients.get(&command.client)?;
    let stream = client.run_stream(command.run()?)?;
    objects.streams.put(command.stream(), Open::new(stream));
    Ok(json!({}))
}

async fn stream_next(stream: &Open<RunStream>) -> Result<Value, Fault> {
    let step = stream.read(async |stream| {
        let had_result = stream.result().is_some();
        match stream.next().await {
            Some(partial) => Ok(json!({"partial": partial?.json()})),
            None => match stream.result() {
                Some(result) if !had_result => Ok(json!({"result": answers::result(result)})),
                _ => Ok(json!({"end": true})),
            },
        }
    });
    step.await.unwrap_or(Err(Fault::Cancelled { is_run: true }))
}

async fn watch_open(command: &Command, objects: &Objects) -> Result<Value, Fault> {
    let client = objects.clients.get(&command.client)?;
    let mut options = client.sessions().watch();
    if let Some(token) = &command.resume_token {
        options = options.resume(token);
    }
    if let Some(app) = &command.app {
        options = options.app(app);
    }
    objects.watches.put(&command.watch, Open::new(options.open().await?));
    Ok(json!({}))
}

async fn watch_next(watch: &Open<Watch>, timeout: Option<Duration>) -> Result<Value, Fault> {
    let step = watch.read(async |watch| match in_time(timeout, watch.next()).await {
        None => Ok(json!({"timeout": true})),
        Some(None) => Ok(json!({"end": true})),
        Some(Some(event)) => {
            let event = event?;
            let session = event.session.as_ref().map(answers::session);
            Ok(json!({"event": event.event.as_word(), "session": session, "resume_token": event.resume_token}))
        }
    });
    step.await.unwrap_or(Err(Fault::Cancelled { is_run: false }))
}

async fn watch_close(watch: &Open<Watch>) -> Result<Value, Fault> {
    let token = watch.finish(Watch::resume_token).await;
    Ok(json!({"resume_token": token}))
}

fn keepalive_open(command: &Command, objects: &Objects) -> Result<Value, Fault> {
    let client = objects.clients.get(&command.client)?;
    let stream = client.keepalive(command.session_ids.iter().map(String::as_str));
    objects.renewals.put(command.stream(), Open::new(stream));
    Ok(json!({}))
}

async fn keepalive_next(renewal: &Open<KeepaliveStream>, timeout: Option<Duration>) -> Result<Value, Fault> {
    let step = renewal.read(async |stream| match in_time(timeout, stream.next()).await {
        None => json!({"timeout": true}),
        Some(None) => json!({"end": true}),
        Some(Some(event)) => match &event.outcome {
            Ok(info) => json!({"session_id": event.session_id, "session": answers::session(info)}),
            Err(error) => json!({"session_id": event.session_id, "error": answers::error(error)}),
        },
    });
    Ok(step.await.unwrap_or_else(|| json!({"end": true})))
}

/// `None` when the time is over.
pub async fn in_time<T>(timeout: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match timeout {
        Some(timeout) => tokio::time::timeout(timeout, work).await.ok(),
        None => Some(work.await),
    }
}
