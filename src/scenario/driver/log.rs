//! What the topics hold: messages that were emitted, and dead letters, as a reader of committed records sees them.

use super::{Requests, Trouble};
use crate::broker::embedded::Cluster;
use crate::broker::{Broker, Isolation, Limit, LogReader};
use crate::codec::Decoder;
use crate::dlq;
use crate::node::World;
use crate::record::{Map, Record, RecordRef, Text, TopicPartition, Value, json, timestamp_text};
use crate::scenario::record::{headers_value, key_value, shown};
use crate::topology::plan::{NodeKind, Role};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was observed, in the order in which it was committed; of one commit by topic and partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    pub(crate) messages: Vec<Message>,
    pub(crate) letters: Vec<Letter>,
    /// Instances whose state was written: number of the node, and key.
    pub(crate) states: Vec<(usize, Vec<u8>)>,
    /// What sagas went through.
    pub(crate) histories: Vec<Passage>,
}

/// An entry of a saga's history.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// Number of the node.
    pub(crate) node: usize,
    /// The instance.
    pub(crate) id: Text,
    /// The entry.
    pub(crate) data: Value,
}

/// An emitted message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) topic: Text,
    pub(crate) kind: Text,
    pub(crate) key: Option<Vec<u8>>,
    /// As expectations see it.
    pub(crate) shown: Value,
}

/// A dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// Topic and key of the record that was set aside.
    pub(crate) topic: Text,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) shown: Value,
}

pub(super) struct Log {
    reader: Box<dyn LogReader>,
    world: Arc<World>,
    partitions: Vec<TopicPartition>,
    kinds: FxHashMap<Text, Kind>,
    /// Records that the scenario has sent and that were not read back yet.
    own: Vec<Record>,
    pub(super) requests: Requests,
    observed: Observed,
}

/// What a topic is read for.
enum Kind {
    Messages(Decoder),
    Letters,
    Snapshots(usize),
    /// What the instances of a saga went through, by its node.
    History(usize, Decoder),
}

impl Log {
    pub(super) fn new(cluster: &Cluster, world: &Arc<World>, topics: &BTreeMap<Text, u32>) -> Result<Self, Trouble> {
        let plan = &world.plan;
        let mut kinds = FxHashMap::default();
        let mut partitions = Vec::new();
        for (name, count) in topics {
            let planned = world.topic(name);
            let roles = planned.map_or(&[][..], |topic| &plan.topics[topic].roles);
            let kind = match planned {
                Some(topic) if topic == plan.dead_letters => Kind::Letters,
                Some(topic) if roles.contains(&Role::Snapshots) => {
                    let store = plan.stores.iter().find(|store| store.snapshots == Some(topic));
                    let Some(store) = store else { continue };
                    Kind::Snapshots(store.node)
                }
                Some(topic) if roles.contains(&Role::History) => {
                    let is_of =
                        |kind: NodeKind| matches!(kind, NodeKind::Saga(saga) if world.topology.sagas[saga].history == topic);
                    let Some(node) = plan.nodes.iter().position(|node| is_of(node.kind)) else { continue };
                    Kind::History(node, world.decoder(planned))
                }
                _ if roles
                    .iter()
                    .any(|role| matches!(role, Role::Changelog | Role::Repartition | Role::Inbox | Role::Audit)) =>
                {
                    continue;
                }
                _ => Kind::Messages(world.decoder(planned)),
            };
            kinds.insert(name.clone(), kind);
            partitions.extend((0..*count as i32).map(|partition| TopicPartition::new(name.clone(), partition)));
        }
        // In the order of the file, those that it does not know behind.
        partitions.sort_by_key(|partition| (world.topic(&partition.topic).unwrap_or(usize::MAX), partition.clone()));
        let reader = cluster.log_reader(Isolation::ReadCommitted).map_err(|error| error.to_string())?;
        let mut log = Self {
            reader,
            world: world.clone(),
            partitions,
            kinds,
            own: Vec::new(),
            requests: Requests::default(),
            observed: Observed::default(),
        };
        log.assign()?;
        Ok(log)
    }

    fn assign(&mut self) -> Result<(), Trouble> {
        let from: Vec<_> = self.partitions.iter().map(|partition| (partition.clone(), 0)).collect();
        self.reader.assign(&from).map_err(|error| error.to_string())
    }

    /// A record that the scenario sends itself.
    pub(super) fn expect_own(&mut self, record: &Record) {
        self.own.push(record.clone());
    }

    /// Passes over all that is there.
    pub(super) fn skip_to_end(&mut self) -> Result<(), Trouble> {
        self.read()?;
        self.own.clear();
        self.take();
        Ok(())
    }

    /// What was observed since the last time.
    pub(super) fn take(&mut self) -> Observed {
        std::mem::take(&mut self.observed)
    }

    /// Reads what is new.
    pub(super) fn read(&mut self) -> Result<(), Trouble> {
        const LIMIT: Limit = Limit { records: 10_000, time: Duration::from_secs(1) };
        let mut read: Vec<Record> = Vec::new();
        let mut places: Vec<i64> = Vec::new();
        loop {
            let before = read.len();
            let polled = self.reader.poll(LIMIT, &mut |record| {
                places.push(record.offset);
                read.push(record.to_record());
            });
            polled.map_err(|trouble| format!("`{}` cannot be read", trouble.input))?;
            if read.len() == before {
                break;
            }
        }
        let mut order: Vec<usize> = (0..read.len()).collect();
        let topic_of = |record: &Record| self.world.topic(&record.topic).unwrap_or(usize::MAX);
        order.sort_by_key(|at| (topic_of(&read[*at]), read[*at].topic.clone(), read[*at].partition, places[*at]));
        for at in order {
            self.observe(&read[at], places[at]);
        }
        Ok(())
    }

    fn observe(&mut self, record: &Record, offset: i64) {
        if let Some(at) = self.own.iter().position(|own| own == record) {
            self.own.remove(at);
            return;
        }
        let headers: Vec<_> = record.headers.iter().map(|header| header.as_ref()).collect();
        let borrowed = RecordRef {
            topic: &record.topic,
            partition: record.partition,
            offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        match &self.kinds[&record.topic] {
            Kind::Letters => self.observed.letters.push(letter(&borrowed)),
            Kind::Snapshots(node) => {
                let written = (*node, record.key.as_deref().unwrap_or_default().to_vec());
                if !self.observed.states.contains(&written) {
                    self.observed.states.push(written);
                }
            }
            Kind::History(node, decoder) => {
                let id = key_value(borrowed.key);
                if let (Ok(Some(event)), Value::Str(id)) = (decoder.decode_unchecked(&borrowed), id) {
                    self.observed.histories.push(Passage { node: *node, id, data: event.data });
                }
            }
            Kind::Messages(decoder) => {
                let message = message(&borrowed, decoder);
                self.requests.note(&message.shown);
                self.observed.messages.push(message);
            }
        }
    }
}

/// A message as it was written.
pub(super) fn message(record: &RecordRef<'_>, decoder: &Decoder) -> Message {
    let headers = headers_value(record.headers);
    let (kind, shown) = match decoder.decode_unchecked(record) {
        Ok(Some(event)) => (event.kind.clone(), shown(record.topic, record.partition, record.key, &event, headers)),
        // A tombstone, or something that nobody can read: it is shown all the same.
        Ok(None) | Err(_) => {
            let fields = [
                ("type".into(), Value::from("")),
                ("topic".into(), record.topic.into()),
                ("partition".into(), Value::Int(record.partition.into())),
                ("key".into(), key_value(record.key)),
                ("data".into(), value_of(record.value)),
                ("headers".into(), headers),
            ];
            (Text::default(), Value::Map(fields.into_iter().collect()))
        }
    };
    Message { topic: record.topic.into(), kind, key: record.key.map(<[u8]>::to_vec), shown }
}

fn letter(record: &RecordRef<'_>) -> Letter {
    let mut fields: Vec<(Text, Value)> = vec![("key".into(), key_value(record.key)), ("value".into(), value_of(record.value))];
    let mut topic = Text::default();
    match dlq::read(record.headers) {
        Ok(report) => {
            topic = report.origin.topic.clone();
            fields.extend([
                ("code".into(), report.code.into()),
                ("class".into(), report.class.name().into()),
                ("message".into(), report.message.into()),
                ("details".into(), report.details),
                ("node".into(), report.node.into()),
                ("stage".into(), report.stage.name().into()),
                ("topic".into(), report.origin.topic.into()),
                ("partition".into(), Value::Int(report.origin.partition.into())),
                ("offset".into(), Value::Int(report.origin.offset)),
                ("attempts".into(), Value::Int(report.attempts.into())),
                ("firstAt".into(), timestamp_text(report.first_at).into()),
            ])
        }
        Err(error) => fields.push(("message".into(), error.to_string().into())),
    }
    Letter { topic, key: record.key.map(<[u8]>::to_vec), shown: Value::Map(Map::from_entries(fields)) }
}

/// JSON, else text.
fn value_of(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    json::read(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}
