//! The cluster in a folder: one fjall database, written in batches that hold everything since the last one.
//!
//! A batch is all or nothing, so whatever stops the process, the folder holds a state that the cluster was in: records, fates,
//! offsets and topics that belong together. Nothing is synced to the device: a loss of power may take the last seconds, never
//! a part of a batch. Records of a plain producer are written with the next call of anybody, or after [`SENDS_UNSAVED_MAX`].
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | `topic/<name>`, `transaction/<id>`, `offset/<group, topic, partition>` | JSON |
//! | `logs` | topic number, partition | start, end |
//! | `slots` | topic number, partition, base offset | JSON |
//! | `records` | the same | chunk |

use super::chunk::{self, Chunk};
use super::cluster::State;
use super::config::Config;
use super::log::{Body, Fate, Kind, Log, LogId, Slot};
use super::topics::Topic;
use super::transactions::{Stage, Transactional};
use crate::broker::CommittedOffset;
use crate::record::{Millis, Offset, Text, TopicPartition};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch as WriteBatch};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

/// So many records of plain producers are in memory only, at most.
pub(super) const SENDS_UNSAVED_MAX: usize = 1024;

/// Chunks that were read back, kept for the next read of the same.
const CHUNKS_CACHED: usize = 32;

/// The database of a cluster.
pub(super) struct Storage {
    database: Database,
    meta: Keyspace,
    logs: Keyspace,
    slots: Keyspace,
    records: Keyspace,
    cache: VecDeque<((LogId, Offset), Arc<Chunk>)>,
    /// Numbers of topics that are deleted but not removed yet.
    forgotten: Vec<u64>,
    failure: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredTopic {
    id: u64,
    partitions: u32,
    config: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
struct StoredSlot {
    next: Offset,
    kind: Kind,
    bytes: usize,
    newest: Millis,
    appended: Millis,
    horizon: Option<Millis>,
}

#[derive(Serialize, Deserialize)]
struct StoredTransaction {
    transaction: Transactional,
    /// Group, topic, partition, offset, metadata.
    pending: Vec<(Text, Text, i32, Offset, Text)>,
}

type OffsetKey = (Text, Text, i32);

impl Storage {
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        let open = || {
            let database =
                Database::builder(folder).cache_size(16 << 20).max_journaling_size(64 << 20).worker_threads(1).open()?;
            let keyspace = |name| database.keyspace(name, options);
            let (meta, logs, slots, records) = (keyspace("meta")?, keyspace("logs")?, keyspace("slots")?, keyspace("records")?);
            let (cache, forgotten) = (VecDeque::new(), Vec::new());
            Ok(Self { database, meta, logs, slots, records, cache, forgotten, failure: None })
        };
        open().map_err(|error: fjall::Error| error.to_string())
    }

    /// What stopped the disk; from then on nothing is written.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Records of a slot.
    pub(super) fn load(storage: &mut Option<Self>, id: LogId, base: Offset) -> Result<Arc<Chunk>, String> {
        let Some(storage) = storage else { return Err("records are neither in memory nor on disk".to_owned()) };
        if let Some((_, chunk)) = storage.cache.iter().find(|(place, _)| *place == (id, base)) {
            return Ok(chunk.clone());
        }
        let bytes = storage.records.get(slot_key(id, base)).map_err(|error| error.to_string())?;
        let chunk = bytes.as_deref().and_then(chunk::bytes::decode).map(Arc::new);
        let Some(chunk) = chunk else { return Err(format!("records at offset {base} are missing or damaged")) };
        storage.cache.push_back(((id, base), chunk.clone()));
        if storage.cache.len() > CHUNKS_CACHED {
            storage.cache.pop_front();
        }
        Ok(chunk)
    }

    /// A topic is deleted: its records go with the next batch.
    pub(super) fn forget_topic(&mut self, topic: u64) {
        self.forgotten.push(topic);
        self.cache.retain(|((id, _), _)| id.topic != topic);
    }

    fn remove_topics(&mut self, batch: &mut WriteBatch) -> fjall::Result<()> {
        for topic in self.forgotten.drain(..) {
            for keyspace in [&self.logs, &self.slots, &self.records] {
                for entry in keyspace.prefix(topic.to_be_bytes()) {
                    batch.remove(keyspace, entry.key()?);
                }
            }
        }
        Ok(())
    }

    /// Adds what is new in a log to the batch.
    fn put_log(&mut self, batch: &mut WriteBatch, log: &mut Log) {
        let Some(mut unsaved) = log.unsaved.take() else { return };
        if !unsaved.removed.is_empty() || !unsaved.written.is_empty() {
            let id = log.id;
            self.cache
                .retain(|((of, base), _)| *of != id || !(unsaved.removed.contains(base) || unsaved.written.contains(base)));
        }
        for base in std::mem::take(&mut unsaved.removed) {
            batch.remove(&self.slots, slot_key(log.id, base));
            batch.remove(&self.records, slot_key(log.id, base));
        }
        for base in std::mem::take(&mut unsaved.described) {
            let Some(slot) = log.slots.get(log.place_of(base)).filter(|slot| slot.base == base) else { continue };
            let Slot { next, kind, bytes, newest, appended, horizon, .. } = *slot;
            batch.insert(
                &self.slots,
                slot_key(log.id, base),
                json(&StoredSlot { next, kind, bytes, newest, appended, horizon }),
            );
            if unsaved.written.contains(&base)
                && let Body::Here(chunk) = &slot.body
            {
                batch.insert(&self.records, slot_key(log.id, base), chunk::bytes::encode(chunk));
            }
        }
        unsaved.written.clear();
        log.unsaved = Some(unsaved);
        let ends: Vec<u8> = [log.start.to_be_bytes(), log.next.to_be_bytes()].concat();
        batch.insert(&self.logs, log_key(log.id), ends);
    }
}

impl State {
    /// Writes everything that the disk does not have, in one batch.
    pub(super) fn save(&mut self) {
        self.sends_unsaved = 0;
        let Some(mut storage) = self.storage.take() else {
            self.changed.clear();
            self.changed_topics.clear();
            self.offsets.unsaved.clear();
            self.coordinator.unsaved.clear();
            return;
        };
        if storage.failure.is_none()
            && let Err(error) = self.write(&mut storage)
        {
            storage.failure = Some(error.to_string());
        }
        self.storage = Some(storage);
    }

    fn write(&mut self, storage: &mut Storage) -> fjall::Result<()> {
        let mut batch = storage.database.batch();
        storage.remove_topics(&mut batch)?;
        for name in std::mem::take(&mut self.changed_topics) {
            let key = format!("topic/{name}");
            match self.topics.by_name.get(&name) {
                None => batch.remove(&storage.meta, key),
                Some(topic) => {
                    let (id, partitions, config) = (topic.id, topic.logs.len() as u32, topic.config.given.clone());
                    batch.insert(&storage.meta, key, json(&StoredTopic { id, partitions, config }));
                }
            }
        }
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            for topic in self.topics.by_name.values_mut() {
                let of_topic = |partition| LogId { topic: topic.id, partition };
                for id in changed.range(of_topic(0)..=of_topic(i32::MAX)) {
                    if let Some(log) = topic.logs.get_mut(id.partition as usize) {
                        storage.put_log(&mut batch, log);
                    }
                }
            }
        }
        for (group, partition) in std::mem::take(&mut self.offsets.unsaved) {
            let offset_key: OffsetKey = (group.clone(), partition.topic.clone(), partition.partition);
            let key = [b"offset/".as_slice(), &json(&offset_key)].concat();
            match self.offsets.committed(&group, &partition) {
                Some(committed) => batch.insert(&storage.meta, key, json(&(committed.offset, &committed.metadata))),
                None => batch.remove(&storage.meta, key),
            }
        }
        for id in std::mem::take(&mut self.coordinator.unsaved) {
            let Some(transaction) = self.coordinator.by_id.get(&id) else { continue };
            let pending = self.offsets.pending(transaction.producer).into_iter();
            let pending = pending.map(|(group, at, offset)| (group, at.topic, at.partition, offset.offset, offset.metadata));
            let stored = StoredTransaction { transaction: transaction.clone(), pending: pending.collect() };
            batch.insert(&storage.meta, format!("transaction/{id}"), json(&stored));
        }
        if batch.is_empty() {
            return Ok(());
        }
        batch.commit()?;
        for topic in self.topics.by_name.values_mut() {
            let of_topic = |partition| LogId { topic: topic.id, partition };
            for id in changed.range(of_topic(0)..=of_topic(i32::MAX)) {
                if let Some(log) = topic.logs.get_mut(id.partition as usize) {
                    log.evict(self.options.resident_bytes);
                }
            }
        }
        Ok(())
    }

    /// Reads the folder: everything but the records.
    pub(super) fn load(&mut self) -> Result<(), String> {
        let Some(storage) = self.storage.take() else { return Ok(()) };
        let read = self.read(&storage);
        self.storage = Some(storage);
        read?;
        self.recover_transactions();
        Ok(())
    }

    fn read(&mut self, storage: &Storage) -> Result<(), String> {
        each(&storage.meta, b"topic/", |name, value| {
            let StoredTopic { id, partitions, config } = parse(value)?;
            let config = Config::read(&config)?;
            let logs = (0..partitions).map(|partition| Log::new(LogId { topic: id, partition: partition as i32 }, true));
            self.topics.next_id = self.topics.next_id.max(id + 1);
            self.topics.by_name.insert(text(name)?, Topic { id, config, logs: logs.collect() });
            Ok(())
        })?;
        for topic in self.topics.by_name.values_mut() {
            for log in &mut topic.logs {
                let newest = read_log(storage, log)?;
                self.coordinator.next_producer = self.coordinator.next_producer.max(newest);
            }
        }
        each(&storage.meta, b"offset/", |key, value| {
            let (group, topic, partition): OffsetKey = parse(key)?;
            let (offset, metadata): (Offset, Text) = parse(value)?;
            self.offsets.restore(group, TopicPartition::new(topic, partition), CommittedOffset { offset, metadata });
            Ok(())
        })?;
        each(&storage.meta, b"transaction/", |id, value| {
            let StoredTransaction { mut transaction, pending } = parse(value)?;
            let producer = transaction.producer;
            self.coordinator.next_producer = self.coordinator.next_producer.max(producer.0);
            if let Stage::Preparing { .. } = transaction.stage {
                for (group, topic, partition, offset, metadata) in pending {
                    let offset = (TopicPartition::new(topic, partition), CommittedOffset { offset, metadata });
                    self.offsets.stage(&group, producer, std::iter::once(offset));
                }
            } else {
                transaction.forget_open();
            }
            self.coordinator.by_id.insert(text(id)?, transaction);
            Ok(())
        })
    }
}

/// Reads a log's ends and slots; gives the highest number of a producer in it.
fn read_log(storage: &Storage, log: &mut Log) -> Result<u64, String> {
    let id = log.id;
    let damaged = || format!("log {}-{} is damaged", id.topic, id.partition);
    let Some(ends) = storage.logs.get(log_key(id)).map_err(|error| error.to_string())? else { return Ok(0) };
    let (start, end) = ends.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (start, end) = (Offset::from_be_bytes(*start), Offset::from_be_bytes(end.try_into().map_err(|_| damaged())?));
    let mut newest_producer = 0;
    let prefix = log_key(id);
    each(&storage.slots, &prefix, |base, value| {
        let base = Offset::from_be_bytes(base.try_into().map_err(|_| damaged())?);
        let StoredSlot { next, kind, bytes, newest, appended, horizon } = parse(value)?;
        if base < log.next && !log.slots.is_empty() || next <= base || next > end {
            return Err(damaged());
        }
        let body = match kind {
            Kind::Marker(producer) | Kind::Transactional(producer, Fate::Open | Fate::Committed | Fate::Aborted) => {
                newest_producer = newest_producer.max(producer.0);
                if matches!(kind, Kind::Marker(_)) { Body::None } else { Body::Stored }
            }
            Kind::Plain => Body::Stored,
        };
        log.restore(Slot { base, next, kind, bytes, newest, appended, horizon, body });
        Ok(())
    })?;
    (log.start, log.next) = (start, end);
    log.resident_from = end;
    Ok(newest_producer)
}

fn each(keyspace: &Keyspace, prefix: &[u8], mut act: impl FnMut(&[u8], &[u8]) -> Result<(), String>) -> Result<(), String> {
    for entry in keyspace.prefix(prefix) {
        let (key, value) = entry.into_inner().map_err(|error| error.to_string())?;
        act(&key[prefix.len()..], &value)?;
    }
    Ok(())
}

fn log_key(id: LogId) -> Vec<u8> {
    [id.topic.to_be_bytes().as_slice(), &id.partition.to_be_bytes()].concat()
}

fn slot_key(id: LogId, base: Offset) -> Vec<u8> {
    [log_key(id).as_slice(), &base.to_be_bytes()].concat()
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and lists always have a JSON form")
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("an entry is damaged: {error}"))
}

fn text(bytes: &[u8]) -> Result<Text, String> {
    std::str::from_utf8(bytes).map(Text::from).map_err(|_| "a name is damaged".to_owned())
}
