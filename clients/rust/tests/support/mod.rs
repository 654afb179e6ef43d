//! What the tests need: a real gateway of their own, and one whose answers the test writes.
#![allow(dead_code, missing_docs, reason = "each test program uses another part of it")]

pub mod scripted;

use std::{
    future::Future,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sessiongateway::Client;
use tempfile::TempDir;
use tokio::sync::Mutex;

/// Fails a test that hangs.
pub async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs")
}

/// A gateway, and a key of the test's own, so that it sees no sessions but its own.
pub struct Gateway {
    process: Arc<Process>,
    key: String,
}

/// The gateway of all tests that run at this moment: starting one for each would take most of their time.
static SHARED: Mutex<Weak<Process>> = Mutex::const_new(Weak::new());

impl Gateway {
    pub async fn shared() -> Self {
        let mut shared = SHARED.lock().await;
        let process = match shared.upgrade() {
            Some(process) => process,
            None => Arc::new(Process::start(place(), "127.0.0.1:0", "end").await),
        };
        *shared = Arc::downgrade(&process);
        Self::new(process)
    }

    /// One of the test's own, whose sessions live on when it stops.
    pub async fn keeping() -> Self {
        Self::new(Arc::new(Process::start(place(), "127.0.0.1:0", "keep").await))
    }

    fn new(process: Arc<Process>) -> Self {
        static KEYS: AtomicUsize = AtomicUsize::new(0);
        Self { process, key: format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed)) }
    }

    /// Stops, and starts again on the same data and port; sessions end with the new one.
    pub async fn restart(self) -> Self {
        let mut old = Arc::into_inner(self.process).expect("a gateway of the test's own");
        old.terminate();
        let data = old.data.take().expect("its data");
        let process = Process::start(data, &old.address, "end").await;
        Self { process: Arc::new(process), key: self.key }
    }

    pub fn address(&self) -> &str {
        &self.process.address
    }

    pub fn client(&self) -> Client {
        Client::builder().address(self.address()).api_key(&self.key).build().expect("a client")
    }
}

fn place() -> TempDir {
    tempfile::tempdir().expect("a place for data")
}

/// `sgw serve` with the example apps on a port of its own. Its sessions end with it.
struct Process {
    child: Child,
    address: String,
    data: Option<TempDir>,
}

impl Process {
    async fn start(data: TempDir, listen: &str, drain: &str) -> Self {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let sgw = std::env::var_os("SGW_COMMAND").map_or_else(|| here.join("../../.venv/bin/sgw"), PathBuf::from);
        let mut command = Command::new(&sgw);
        command.args(["serve", "--listen", listen, "--drain", drain, "--drain-grace", "1", "--log-level", "error"]);
        // It must not take over the settings of whoever tests, and refuses those that it does not know.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SGW_")) {
            command.env_remove(name);
        }
        command.arg("--data-dir").arg(data.path());
        for app in ["kv", "interpreter", "sql"] {
            command.arg("--app").arg(format!("{app}={}", here.join("../../examples").join(app).display()));
        }
        let started = command.stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{}: {error}", sgw.display()));
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let listening = tokio::task::spawn_blocking(move || {
            lines.find_map(|line| line.strip_prefix("listening on ").map(ToOwned::to_owned))
        });
        let address = listening.await.expect("a line").expect("the gateway listens");
        Self { child, address, data: Some(data) }
    }

    /// By a signal: one that is killed leaves workers behind.
    fn terminate(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a restart this one has ended, and its number may be somebody else's.
        if self.data.is_some() {
            self.terminate();
        }
    }
}
