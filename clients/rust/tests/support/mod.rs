//! What the tests need: a real gateway of their own, and one whose answers the test writes.
#![allow(dead_code, missing_docs, reason = "each test program uses another part of it")]

pub mod scripted;

use std::{
    future::Future,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use sessiongateway::Client;
use tempfile::TempDir;

/// Fails a test that hangs.
pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

/// `sgw serve` with the example apps on a port of its own. Its sessions end with it.
pub struct Gateway {
    process: Child,
    pub address: String,
    apps: &'static [&'static str],
    data: Option<TempDir>,
}

impl Gateway {
    pub async fn start(apps: &'static [&'static str]) -> Self {
        Self::serve(tempfile::tempdir().expect("a place for data"), apps, "127.0.0.1:0", "end").await
    }

    /// One whose sessions live on when it stops.
    pub async fn start_keeping(apps: &'static [&'static str]) -> Self {
        Self::serve(tempfile::tempdir().expect("a place for data"), apps, "127.0.0.1:0", "keep").await
    }

    /// Stops, and starts again on the same data and port; sessions end with the new one.
    pub async fn restart(mut self) -> Self {
        self.terminate();
        let data = self.data.take().expect("its data");
        Self::serve(data, self.apps, &self.address, "end").await
    }

    async fn serve(data: TempDir, apps: &'static [&'static str], listen: &str, drain: &str) -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let sgw = std::env::var_os("SGW_COMMAND").map_or_else(|| here.join("../../.venv/bin/sgw"), PathBuf::from);
        let mut command = Command::new(&sgw);
        command.args([
            "serve",
            "--listen",
            listen,
            "--drain",
            drain,
            "--drain-grace",
            "1",
            "--log-level",
            "error",
            "--min-idle",
            "1",
        ]);
        command.arg("--data-dir").arg(data.path());
        for app in apps {
            command.arg("--app").arg(format!("{app}={}", here.join("../../examples").join(app).display()));
        }
        let started = command.stdout(Stdio::piped()).spawn();
        let mut process = started.unwrap_or_else(|error| panic!("{}: {error}", sgw.display()));
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let listening = tokio::task::spawn_blocking(move || {
            lines.find_map(|line| line.strip_prefix("listening on ").map(ToOwned::to_owned))
        });
        let address = listening.await.expect("a line").expect("the gateway listens");
        Self { process, address, apps, data: Some(data) }
    }

    pub fn client(&self) -> Client {
        Client::builder().address(&self.address).build().expect("a client")
    }

    /// By a signal: whoever is killed leaves workers behind.
    fn terminate(&mut self) {
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // After a restart this one has ended, and its number may be somebody else's.
        if self.data.is_some() {
            self.terminate();
        }
    }
}
