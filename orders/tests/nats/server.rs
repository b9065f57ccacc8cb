//! A real NATS server of a test, with JetStream: its own data, on a port of its own, and gone with the test.

use std::{
    fs,
    future::Future,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
};

use async_nats::jetstream::{self, Context, message::StreamMessage, stream::Config};
use chassis::testing::{Process, until};
use serde_json::Value;
use tempfile::TempDir;

/// The stream that the service publishes to.
pub(crate) const STREAM: &str = "ORDERS";

/// A server.
pub(crate) struct Nats {
    folder: TempDir,
    port: u16,
    process: Mutex<Option<Process>>,
}

impl Nats {
    /// Starts a server that everybody may use.
    pub(crate) fn start() -> Self {
        Self::with_configuration("")
    }

    /// Starts a server with this in its configuration.
    pub(crate) fn with_configuration(configuration: &str) -> Self {
        let nats = Self::planned(configuration);
        nats.run();
        nats
    }

    /// A server that has not been started yet.
    pub(crate) fn planned(configuration: &str) -> Self {
        let folder = TempDir::new().unwrap();
        // Free a moment ago. Nobody else takes ports of the same range here but by chance.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::write(folder.path().join("nats.conf"), configuration).unwrap();
        Self { folder, port, process: Mutex::new(None) }
    }

    /// Where files of its configuration may be.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it, again if it was killed.
    pub(crate) fn run(&self) {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &self.port.to_string(), "--jetstream", "--store_dir"]);
        command.arg("data").args(["--config", "nats.conf"]).current_dir(&self.folder);
        assert!(is_installed(), "these tests need `nats-server`: on Debian, apt-get install nats-server");
        let process = Process::spawn(command.stdin(Stdio::null()));
        process.said("Server is ready");
        *self.process.lock().unwrap() = Some(process);
    }

    pub(crate) fn kill(&self) {
        self.process.lock().unwrap().take().expect("a server that runs").kill();
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.lock().unwrap().as_ref().expect("a server that runs").signal(name);
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does something with JetStream.
    pub(crate) fn with<T, F: Future<Output = T>>(&self, act: impl FnOnce(Context) -> F) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = async_nats::connect(self.url()).await.unwrap();
            act(jetstream::new(client)).await
        })
    }

    /// Makes the stream, before the service would.
    pub(crate) fn make_stream(&self, config: Config) {
        let config = Config { name: STREAM.to_owned(), subjects: vec!["orders.>".to_owned()], ..config };
        self.with(|context| async move { context.create_stream(config).await.unwrap() });
    }

    /// All messages of the stream, in order; none where there is no stream.
    pub(crate) fn messages(&self) -> Vec<Published> {
        self.with(|context| async move {
            let Ok(stream) = context.get_stream(STREAM).await else { return Vec::new() };
            let state = &stream.cached_info().state;
            let mut messages = Vec::new();
            for sequence in state.first_sequence..=state.last_sequence {
                // One that was deleted is missing.
                if let Ok(message) = stream.get_raw_message(sequence).await {
                    messages.push(Published::of(&message));
                }
            }
            messages
        })
    }

    /// All messages, as soon as there are so many.
    pub(crate) fn messages_when(&self, count: usize) -> Vec<Published> {
        until("all events are published", || {
            self.with(|context| async move {
                let stream = context.get_stream(STREAM).await;
                stream.is_ok_and(|stream| stream.cached_info().state.messages >= count as u64)
            })
        });
        self.messages()
    }
}

fn is_installed() -> bool {
    Command::new("nats-server").arg("--version").output().is_ok()
}

/// A message of the stream.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) subject: String,
    pub(crate) message_id: String,
    pub(crate) content_type: String,
    pub(crate) event: Value,
}

impl Published {
    fn of(message: &StreamMessage) -> Self {
        let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
        Self {
            subject: message.subject.to_string(),
            message_id: header("Nats-Msg-Id"),
            content_type: header("content-type"),
            event: serde_json::from_slice(&message.payload).unwrap(),
        }
    }
}

/// The ids of messages.
pub(crate) fn message_ids(messages: &[Published]) -> Vec<&str> {
    messages.iter().map(|message| message.message_id.as_str()).collect()
}
