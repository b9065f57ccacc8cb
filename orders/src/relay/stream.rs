//! The stream of JetStream that the events are published to: how it is found or made, where its end is, and how events are
//! appended. Knows neither the store nor when to publish.
//!
//! The tricky part is that several replicas of this service may publish, one of them after it hung for a minute, and that an
//! answer may be lost. So each message says what number the last one of the stream must have (`Nats-Expected-Last-Sequence`), and
//! the server refuses it where something was appended meanwhile. What is appended, is so in its order and once, without any
//! lock: a publisher that is refused reads the end of the stream again.

use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions,
    connection::State,
    header::NATS_MESSAGE_ID,
    jetstream::{
        Context,
        context::{ContextBuilder, GetStreamErrorKind, PublishErrorKind},
        message::PublishMessage,
        stream::{Config, DiscardPolicy, Info, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream},
    },
};

use super::server::EventsServer;
use crate::{
    domain::{Event, EventId},
    representation::EventOut,
};

/// The name of the stream.
const STREAM: &str = "ORDERS";
/// What is published has one token more: `orders.created`.
const SUBJECTS: &str = "orders.>";
/// The size of a stream that this service makes: more than a million events. The oldest are removed first.
const STREAM_BYTES_MAX: i64 = 1024 * 1024 * 1024;
/// For how long a stream that this service makes recognises a message by its id.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);
/// How long connecting, and the server, may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Why nothing can be published. The text says what an administrator can do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(super) struct StreamFault {
    what: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StreamFault {
    fn new(what: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { what: what.into(), source: Some(Box::new(source)) }
    }

    pub(super) fn told(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    All,
    /// Somebody else has appended something, so that the rest of it, or all, was refused.
    Outrun,
}

/// The end of the stream, to which events are appended.
pub(super) struct StreamEnd {
    context: Context,
    client: Client,
    /// The last event that is in the stream.
    last_event: EventId,
    /// The number of the last message that was in the stream.
    last_sequence: u64,
}

impl StreamEnd {
    /// Connects, makes the stream if it does not exist, and finds its end.
    ///
    /// # Errors
    /// Why nothing can be published.
    pub(super) async fn open(server: &EventsServer) -> Result<Self, StreamFault> {
        let client = connect(server).await?;
        let context = ContextBuilder::new().timeout(ANSWER_MAX).build(client.clone());
        let mut end = Self { context, client, last_event: EventId::BEGINNING, last_sequence: 0 };
        end.find().await?;
        Ok(end)
    }

    /// Finds the end of the stream anew.
    ///
    /// # Errors
    /// Why nothing can be published.
    pub(super) async fn find(&mut self) -> Result<(), StreamFault> {
        let stream = find_or_make(&self.context).await?;
        let Info { config, state, .. } = stream.cached_info();
        check(config)?;
        // The number first: what somebody appends before the message is read makes the next batch be refused.
        self.last_sequence = state.last_sequence;
        self.last_event = last_event(&stream).await?;
        Ok(())
    }

    /// The last event that is in the stream.
    pub(super) const fn last_event(&self) -> EventId {
        self.last_event
    }

    /// Whether the connection is there, as far as is known without asking.
    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Appends events in their order, and waits until the server has them all. They are sent without waiting for one another: where
    /// one is not appended, those after it are refused.
    ///
    /// # Errors
    /// Not all of them were appended, or that is not known. The end of the stream has to be found anew.
    pub(super) async fn append(&mut self, events: &[Event]) -> Result<Appended, StreamFault> {
        let mut sent = Vec::with_capacity(events.len());
        for (event, sequence) in events.iter().zip(self.last_sequence..) {
            let message = message(event, sequence);
            let sending = self.context.send_publish(subject(event), message).await;
            sent.push((event.id, sending.map_err(|error| StreamFault::new("cannot send an event", error))?));
        }
        for (id, sending) in sent {
            match sending.await {
                // It was not appended, although it is not in the stream: somebody has removed it from the end.
                Ok(answer) if answer.duplicate => {
                    return Err(StreamFault::told(format!(
                        "the server remembers the id of event {id} of a message that was removed from the stream {STREAM}, and \
                         takes it again once it has forgotten that (duplicate_window)"
                    )));
                }
                Ok(answer) => (self.last_event, self.last_sequence) = (id, answer.sequence),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => return Ok(Appended::Outrun),
                Err(error) => return Err(StreamFault::new("the server has not accepted an event", error)),
            }
        }
        Ok(Appended::All)
    }
}

async fn connect(server: &EventsServer) -> Result<Client, StreamFault> {
    let mut options = ConnectOptions::new()
        .name("orders")
        .connection_timeout(ANSWER_MAX)
        .tls_client_config(server.tls().map_err(StreamFault::told)?)
        // A connection that is lost is opened again here, where it shows; one attempt of its own is the least that it takes.
        .max_reconnects(1);
    if let Some(user) = server.user() {
        options = options.user_and_password(user.name.clone(), user.password.expose().to_owned());
    }
    if let Some(credentials) = server.credentials().map_err(StreamFault::told)? {
        let read = options.credentials(credentials.expose());
        options =
            read.map_err(|error| StreamFault::new("the file EVENTS_CREDENTIALS_FILE has no credentials", error))?;
    }
    options.connect(server.address()).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            StreamFault::new("the server does not accept the user", error)
        }
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => StreamFault::new("cannot connect to the server", error),
    })
}

async fn find_or_make(context: &Context) -> Result<Stream, StreamFault> {
    match context.get_stream(STREAM).await {
        Ok(stream) => return Ok(stream),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(why) if why.code() == NOT_FOUND => {}
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::Request
            | GetStreamErrorKind::InvalidStreamName => {
                return Err(StreamFault::new(format!("cannot read the stream {STREAM}: is JetStream enabled?"), error));
            }
        },
    }
    let made = context.create_stream(Config {
        name: STREAM.to_owned(),
        description: Some("What happens to orders, as CloudEvents".to_owned()),
        subjects: vec![SUBJECTS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_bytes: STREAM_BYTES_MAX,
        discard: DiscardPolicy::Old,
        duplicate_window: DUPLICATE_WINDOW,
        ..Config::default()
    });
    let made = made.await.map_err(|error| StreamFault::new(format!("cannot make the stream {STREAM}"), error))?;
    log::info!(stream = STREAM; "a stream for events was made");
    Ok(made)
}

/// Of an error of JetStream, as in HTTP.
const NOT_FOUND: usize = 404;

/// Whether the last message of the stream stays there until there is another: it says where to go on.
fn check(config: &Config) -> Result<(), StreamFault> {
    let refusal = if config.retention != RetentionPolicy::Limits {
        "removes messages that were consumed (retention)"
    } else if !config.max_age.is_zero() {
        "removes messages by their age (max_age)"
    } else {
        return Ok(());
    };
    Err(StreamFault::told(format!(
        "the stream {STREAM} {refusal}, so that nobody could tell from its last message where to go on; limit its size instead, \
         and let another stream, which has it as its source, do that"
    )))
}

async fn last_event(stream: &Stream) -> Result<EventId, StreamFault> {
    let message = match stream.get_last_raw_message_by_subject(SUBJECTS).await {
        Ok(message) => message,
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(EventId::BEGINNING),
        Err(error) => return Err(StreamFault::new(format!("cannot read the end of the stream {STREAM}"), error)),
    };
    let id = message.headers.get(NATS_MESSAGE_ID).and_then(|id| id.as_str().parse().ok());
    id.ok_or_else(|| {
        let sequence = message.sequence;
        StreamFault::told(format!(
            "the last message of the stream {STREAM}, number {sequence}, is no event of orders; remove it: \
             nats stream rmm {STREAM} {sequence}"
        ))
    })
}

/// `orders.created` for `order.created`.
fn subject(event: &Event) -> String {
    let kind = event.kind();
    format!("orders.{}", kind.strip_prefix("order.").unwrap_or(kind))
}

/// The structured mode of the binding of CloudEvents to NATS, with what JetStream needs.
fn message(event: &Event, last_sequence: u64) -> PublishMessage {
    // An event consists of strings and numbers, for which serialisation cannot fail.
    let json = serde_json::to_vec(&EventOut::new(event)).unwrap_or_default();
    PublishMessage::build()
        .payload(json.into())
        .header("content-type", "application/cloudevents+json")
        .message_id(event.id.to_string())
        .expected_stream(STREAM)
        .expected_last_sequence(last_sequence)
}
