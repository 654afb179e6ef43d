//! Commands to a client itself.

use std::sync::Arc;

use serde_json::{Value, json};
use sessiongateway::{Client, SessionFilter, SessionStatus, Tls};

use crate::{
    Work, answers,
    command::{Command, Fault, TlsFiles},
    objects::Objects,
};

pub fn begin(command: Command, objects: &Arc<Objects>) -> Work {
    if command.op == "connect" {
        let made = connect(&command).map(|client| objects.clients.put(&command.client, client));
        return Box::pin(async { made.map(|()| json!({})) });
    }
    let client = match command.op.as_str() {
        "close" => objects.clients.take(&command.client),
        _ => objects.clients.get(&command.client),
    };
    Box::pin(async move { play(&command, client?).await })
}

async fn play(command: &Command, client: Client) -> Result<Value, Fault> {
    let patient = match command.timeout()? {
        Some(timeout) => client.with_timeout(timeout),
        None => client,
    };
    let sessions = patient.sessions();
    match command.op.as_str() {
        "close" => {
            patient.close().await;
            Ok(json!({}))
        }
        "run" => Ok(answers::result(&patient.run(command.run()?).await?)),
        "get" => Ok(json!({"session": answers::session(&sessions.get(&command.session_id).await?)})),
        "keepalive" => Ok(json!({"session": answers::session(&sessions.keepalive(&command.session_id).await?)})),
        "end" => Ok(json!({"session": answers::session(&sessions.end(&command.session_id).await?)})),
        "list" => {
            let found = sessions.list(filter(command)?).all().await?;
            Ok(json!({"sessions": found.iter().map(answers::session).collect::<Vec<_>>()}))
        }
        "get_app" => {
            let app = patient.apps().get(command.app.as_deref().unwrap_or_default()).await?;
            let functions: Vec<_> =
                app.functions.iter().map(|each| json!({"name": each.name, "streams": each.streams})).collect();
            Ok(json!({"app": {"name": app.name, "version": app.version, "functions": functions}}))
        }
        _ => {
            let apps = patient.apps().list(command.page_size).all().await?;
            let apps: Vec<_> = apps.iter().map(|app| json!({"name": app.name, "version": app.version})).collect();
            Ok(json!({"apps": apps}))
        }
    }
}

fn connect(command: &Command) -> Result<Client, Fault> {
    let mut builder = Client::builder();
    if let Some(address) = &command.address {
        builder = builder.address(address);
    }
    if let Some(key) = &command.api_key {
        builder = builder.api_key(key);
    }
    if let Some(timeout) = command.timeout()? {
        builder = builder.timeout(timeout);
    }
    if let Some(files) = &command.tls {
        builder = builder.tls(tls(files).map_err(Fault::usage)?);
    }
    Ok(builder.build()?)
}

fn tls(files: &TlsFiles) -> std::io::Result<Tls> {
    let tls = Tls::ca_pem(std::fs::read(&files.ca)?);
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Ok(tls.identity_pem(std::fs::read(cert)?, std::fs::read(key)?)),
        _ => Ok(tls),
    }
}

fn filter(command: &Command) -> Result<SessionFilter, Fault> {
    let mut filter = SessionFilter::new();
    if let Some(word) = &command.status {
        let known = [SessionStatus::Active, SessionStatus::Ended, SessionStatus::Expired];
        let status = known.into_iter().find(|status| status.as_word() == *word);
        filter = filter.status(status.ok_or_else(|| Fault::Usage(format!("{word:?} is not a status")))?);
    }
    if let Some(app) = &command.app {
        filter = filter.app(app);
    }
    if let Some(size) = command.page_size {
        filter = filter.page_size(size);
    }
    Ok(filter)
}
