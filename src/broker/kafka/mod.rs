//! The broker traits over a real cluster, with librdkafka.
//!
//! Only the safe interface of the `rdkafka` crate is used. A group member is one consumer polled by its worker's loop; a lane is
//! one OS thread that owns a transactional producer and makes every blocking call. Clients reconnect by themselves: a cluster
//! that is away shows as calls that fail with [`ErrorClass::Retry`], never as a call that hangs.

mod admin;
mod consumer;
mod context;
mod deliveries;
mod error;
mod grants;
mod increments;
mod intake;
mod lane;
mod lookups;
mod membership;
mod operator;
mod ownership;
mod pass_through;
mod pattern;
mod probe;
mod producer;
mod properties;
mod reader;
mod removal;
mod trim;
mod trouble;

pub use pass_through::PassThrough;
pub use properties::{GroupProtocol, Properties, PropertyRefused};

use crate::broker::{
    Admin, Broker, ConsumerSettings, Error, ErrorClass, GroupConsumer, Isolation, LogReader, Producer, Result,
    TransactionSettings, Transactions,
};
use crate::clock::{Clock, SystemClock};
use context::ReaderContext;
use error::About;
use properties::Role;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::sync::Arc;
use std::time::Duration;

/// How long a first contact may take.
const CONTACT_TIMEOUT: Duration = Duration::from_secs(10);
/// After so long without any broker the first contact gives up early, when every address was refused.
const REFUSED_AFTER: Duration = Duration::from_secs(3);

/// A Kafka cluster.
#[derive(Clone, Debug)]
pub struct Kafka {
    properties: Arc<Properties>,
}

impl Kafka {
    /// A cluster that is reached when it is first used.
    pub fn new(properties: Properties) -> std::result::Result<Self, PropertyRefused> {
        properties.check()?;
        Ok(Self { properties: Arc::new(properties) })
    }

    /// Asks any broker for its metadata: an error within some seconds tells that none can be reached, and why.
    pub fn contact(&self) -> Result<()> {
        let clock = SystemClock::new();
        let client = metadata_client(&self.properties)?;
        loop {
            // A topic that is nobody's: the answer is short however large the cluster is, and the topic is not created.
            let answer = client.fetch_metadata(Some("__skald_contact"), Duration::from_millis(500));
            let Err(error) = answer else { return Ok(()) };
            serve(&client);
            let last = client.context().notes.last_error();
            let waited = clock.mono();
            if waited >= CONTACT_TIMEOUT || (waited >= REFUSED_AFTER && !last.is_empty()) {
                let reason = if last.is_empty() { error.to_string() } else { last };
                let context = format!("cannot reach any broker at `{}`", self.properties.bootstrap());
                return Err(Error::new(ErrorClass::Retry, context, reason));
            }
        }
    }
}

impl Broker for Kafka {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn GroupConsumer>> {
        Ok(Box::new(consumer::Member::join(&self.properties, settings)?))
    }

    fn transactions(&self, settings: &TransactionSettings) -> Result<Box<dyn Transactions>> {
        Ok(Box::new(lane::Lane::start(&self.properties, settings)?))
    }

    fn log_reader(&self, isolation: Isolation) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(reader::Reader::new(&self.properties, isolation)?))
    }

    fn admin(&self) -> Result<Box<dyn Admin>> {
        Ok(Box::new(admin::KafkaAdmin::new(&self.properties)?))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        Ok(Box::new(producer::PlainProducer::new(&self.properties)?))
    }
}

/// A client for metadata. A consumer, because a producer's look-up of an unknown topic could create it.
fn metadata_client(properties: &Properties) -> Result<BaseConsumer<ReaderContext>> {
    properties
        .plain(Role::Consumer)
        .create_with_context(ReaderContext::default())
        .map_err(|error| About::new("starting a client").error(&error))
}

/// Serves log lines and errors that wait.
fn serve(client: &BaseConsumer<ReaderContext>) {
    loop {
        let before = client.context().notes.served();
        let record = client.poll(Duration::ZERO).is_some();
        if !record && client.context().notes.served() == before {
            return;
        }
    }
}

/// Starts a named thread.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = std::thread::Builder::new().name(name.into()).spawn(work);
    started.map(drop).map_err(|error| Error::new(ErrorClass::Fatal, format!("starting thread `{name}`"), error.to_string()))
}
