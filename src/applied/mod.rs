//! What was applied to a cluster: the topic `<topology>.definitions`.
//!
//! It is compacted, has one partition, and one record per version of the topology: key = the version, value = JSON with the
//! content of the file ([`Definition::record`]), its hash and when and by which engine it was applied. It is for everybody to read
//! and has no secrets.
//!
//! Instances of sagas keep the definition that they began with: [`Known`] finds it for a worker, loaded when the first of them comes.
//!
//! [`read`] gives what is there, [`standing`] says how a file stands to it, [`record`] adds to it. Of two that record the same
//! version at once with other content the first one holds.

mod entry;
mod known;
mod standing;

#[cfg(test)]
mod tests;

pub use entry::Applied;
pub use known::{Known, Other, others};
pub use standing::{Standing, standing};

use crate::broker::{self, Admin, Broker, Isolation, TopicSpec};
use crate::reading::Log;
use crate::record::{Millis, Record, Text, partition_of};
use crate::topology::Definition;
use std::collections::BTreeMap;
use std::time::Duration;

/// Largest record of the topic: a file of the largest size with its schemas.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Longest wait for the acknowledgement of a record.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// Why what was applied cannot be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster, or the way to it.
    #[error("the definitions in `{topic}` cannot be reached")]
    Broker {
        /// The topic.
        topic: Text,
        /// Why.
        #[source]
        source: broker::Error,
    },
    /// Somebody else recorded the version with other content a moment earlier.
    #[error("version {version} was applied with other content a moment ago")]
    Taken {
        /// The version.
        version: u32,
    },
    /// The file is too large to be recorded.
    #[error("the definition has {bytes} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The topic of a topology's definitions.
pub fn topic_of(topology: &str) -> Text {
    format!("{topology}.definitions").into()
}

/// Everything that was applied, by version. Empty where the topic is not there; records that are none of ours are passed over.
pub fn read(broker: &dyn Broker, topology: &str) -> Result<Vec<Applied>, Error> {
    let mut last: BTreeMap<u32, Applied> = BTreeMap::new();
    for applied in in_order(broker, topology)? {
        last.insert(applied.version, applied);
    }
    Ok(last.into_values().collect())
}

fn in_order(broker: &dyn Broker, topology: &str) -> Result<Vec<Applied>, Error> {
    let topic = topic_of(topology);
    let failed = |source| Error::Broker { topic: topic.clone(), source };
    let mut found = Vec::new();
    if let Some(mut log) = Log::open(broker, &topic, Isolation::ReadCommitted).map_err(failed)? {
        log.read_all(&mut |record| found.extend(Applied::of(record.value.unwrap_or_default(), topology))).map_err(failed)?;
    }
    Ok(found)
}

/// Records a definition, and makes the topic where it is not there.
///
/// After a crash it is either recorded or not; recording it again changes nothing.
pub fn record(broker: &dyn Broker, applied: &Applied, now: Millis) -> Result<(), Error> {
    let topic = topic_of(&applied.topology);
    let failed = |source| Error::Broker { topic: topic.clone(), source };
    let admin = broker.admin().map_err(failed)?;
    make(&*admin, &topic).map_err(failed)?;
    let value = applied.to_bytes();
    if value.len() > MESSAGE_BYTES_MAX - 1024 {
        return Err(Error::TooLarge { bytes: value.len() });
    }
    write(broker, &topic, applied.version, value, now).map_err(failed)?;
    let all = in_order(broker, &applied.topology)?;
    match all.iter().find(|other| other.version == applied.version) {
        Some(first) if first.hash != applied.hash => {
            // Compaction keeps the last record of a key, so the one that holds is said again.
            write(broker, &topic, first.version, first.to_bytes(), now).map_err(failed)?;
            Err(Error::Taken { version: applied.version })
        }
        _ => Ok(()),
    }
}

fn make(admin: &dyn Admin, topic: &Text) -> broker::Result<()> {
    if !admin.describe(std::slice::from_ref(topic))?.is_empty() {
        return Ok(());
    }
    let config = [("cleanup.policy", "compact"), ("max.message.bytes", &MESSAGE_BYTES_MAX.to_string())];
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    admin.create(&[TopicSpec { name: topic.clone(), partitions: 1, replication: None, config }])
}

fn write(broker: &dyn Broker, topic: &Text, version: u32, value: Vec<u8>, now: Millis) -> broker::Result<()> {
    let key = version.to_string();
    let mut producer = broker.producer()?;
    producer.send(&Record {
        topic: topic.clone(),
        partition: partition_of(key.as_bytes(), 1),
        timestamp: now,
        key: Some(key.into_bytes().into()),
        value: Some(value.into()),
        headers: Vec::new(),
    })?;
    producer.flush(FLUSH_TIMEOUT)
}

/// What is recorded of a file; its sagas are yet to be noted ([`Applied::note`]).
pub fn applied(topology: &str, version: u32, definition: &Definition, now: Millis) -> Applied {
    Applied {
        topology: topology.into(),
        version,
        hash: definition.hash(),
        at: now,
        engine: env!("CARGO_PKG_VERSION").to_owned(),
        definition: definition.record(),
        kept: Vec::new(),
        discarded: Vec::new(),
        sagas: BTreeMap::new(),
    }
}
