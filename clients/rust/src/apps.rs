//! `client.apps()`.

use std::sync::Arc;

use crate::{
    client::Client,
    error::Result,
    pages::{Pages, number},
    v1,
};

/// Tells what is deployed.
#[derive(Clone, Copy, Debug)]
pub struct Apps<'a>(pub(crate) &'a Client);

/// An app in one version.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppInfo {
    /// The name, with its namespace if it has one.
    pub name: String,
    /// The version that this describes.
    pub version: String,
    /// The version that the name alone means.
    pub current_version: String,
    /// All that are deployed, the newest first.
    pub versions: Vec<String>,
    /// What a run without a function calls; empty if there is none.
    pub default_function: String,
    /// What can be called; only [`Apps::get`] fills it in.
    pub functions: Vec<FunctionInfo>,
    /// How many calls of one session run at a time.
    pub concurrency: i32,
    /// Workers that a run may name; only [`Apps::get`] fills it in.
    pub idle_worker_ids: Vec<String>,
}

/// A function of an app. The schemas are JSON Schema (2020-12) as JSON text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionInfo {
    /// The name.
    pub name: String,
    /// What the app's author wrote about it.
    pub description: String,
    /// The schema of its input.
    pub input_schema: String,
    /// The schema of its output.
    pub output_schema: String,
    /// Whether it sends partial outputs before its result.
    pub streams: bool,
    /// The schema of a partial output; empty unless it streams.
    pub partial_schema: String,
}

impl From<v1::App> for AppInfo {
    fn from(app: v1::App) -> Self {
        Self {
            name: app.name,
            version: app.version,
            current_version: app.current_version,
            versions: app.versions,
            default_function: app.default_function,
            functions: app.functions.into_iter().map(Into::into).collect(),
            concurrency: app.concurrency,
            idle_worker_ids: app.idle_worker_ids,
        }
    }
}

impl From<v1::Function> for FunctionInfo {
    fn from(function: v1::Function) -> Self {
        Self {
            name: function.name,
            description: function.description,
            input_schema: function.input_schema,
            output_schema: function.output_schema,
            streams: function.streams,
            partial_schema: function.partial_schema,
        }
    }
}

impl Apps<'_> {
    /// Describes one version of an app, with its functions and their schemas.
    ///
    /// # Errors
    ///
    /// [`AppNotFound`](crate::Error::AppNotFound), [`VersionNotFound`](crate::Error::VersionNotFound), or
    /// [`AppStartFailed`](crate::Error::AppStartFailed) if its code cannot be imported.
    pub async fn get(&self, app: &str) -> Result<AppInfo> {
        let transport = &self.0.transport;
        let message = v1::GetAppRequest { app: app.to_owned() };
        let call = |request| async { transport.apps().get_app(request).await };
        Ok(transport.send(message, self.0.deadline(None), call).await?.app.unwrap_or_default().into())
    }

    /// Walks through the deployed apps by name, over all pages; without their functions. A page has 1 to 1000 of them;
    /// `None` leaves it to the gateway.
    pub fn list(&self, page_size: impl Into<Option<u32>>) -> Pages<AppInfo> {
        let client = self.0.clone();
        let page_size = number(page_size.into());
        Pages::new(move |page_token| {
            let transport = Arc::clone(&client.transport);
            let deadline = client.deadline(None);
            async move {
                let message = v1::ListAppsRequest { page_size, page_token };
                let call = |request| async { transport.apps().list_apps(request).await };
                let answer = transport.send(message, deadline, call).await?;
                Ok((answer.apps.into_iter().map(Into::into).collect(), answer.next_page_token))
            }
        })
    }
}
