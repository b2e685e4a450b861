//! The desk in a cluster: finds instances and histories, sends acts.

use super::{Entry, Error, Result, Timeline, View, Wanted};
use crate::broker::{Broker, Isolation};
use crate::codec::{Contract, Decoder, Draft, Encoder};
use crate::reading::Log;
use crate::record::{Header, Millis, Partition, Record, Text, Value, json, partition_of};
use crate::saga::{ACT, Act, Status};
use crate::state::layout::{Tag, entity};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

/// Longest wait until an act lies in its inbox.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The clocks of workers are no further apart: by theirs the history is found.
const CLOCKS_APART: Millis = 60_000;

/// One saga of a topology, in a cluster.
pub struct Desk<'b> {
    broker: &'b dyn Broker,
    topology: Text,
    saga: Text,
    partitions: u32,
}

/// The instances that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listed {
    /// The ones that changed last, the newest first.
    pub instances: Vec<View>,
    /// How many there are that the condition holds for, by status.
    pub counts: BTreeMap<Status, u64>,
    /// Instances whose rows cannot be read.
    pub unreadable: u64,
}

/// What remains of the instances of one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// How many are not over, by status.
    pub open: BTreeMap<Status, u64>,
    /// When the oldest of them began.
    pub oldest: Millis,
}

impl<'b> Desk<'b> {
    /// Finds a saga; without its name the only one of the topology.
    pub fn open(broker: &'b dyn Broker, topology: &str, saga: Option<&str>) -> Result<Self> {
        let topics = broker.admin()?.topics()?;
        let prefix = format!("{topology}.");
        let name = |topic: &Text| topic.strip_prefix(prefix.as_str())?.strip_suffix(".inbox").map(Text::new);
        let mut known: Vec<Text> = topics.iter().filter_map(|topic| name(&topic.name)).collect();
        // Other nodes may have an inbox; sagas alone have a history.
        known.retain(|node| topics.iter().any(|topic| topic.name == format!("{prefix}{node}.history")));
        known.sort();
        let topology = Text::new(topology);
        let saga = match (saga, known.as_slice()) {
            (_, []) => return Err(Error::NoSagas { topology }),
            (None, [only]) => only.clone(),
            (None, _) => return Err(Error::Ambiguous { topology, known }),
            (Some(saga), _) if known.iter().any(|known| known == saga) => Text::new(saga),
            (Some(saga), _) => return Err(Error::NoSaga { topology, saga: saga.into(), known }),
        };
        let changelog = format!("{prefix}{saga}.changelog");
        let partitions = topics.iter().find(|topic| topic.name == changelog.as_str()).map(|topic| topic.partitions);
        let Some(partitions) = partitions else { return Err(Error::NoSaga { topology, saga, known }) };
        Ok(Self { broker, topology, saga, partitions })
    }

    /// A saga that is known to be there.
    pub fn known(broker: &'b dyn Broker, topology: Text, saga: Text, partitions: u32) -> Self {
        Self { broker, topology, saga, partitions }
    }

    /// Name of the saga.
    pub fn saga(&self) -> &Text {
        &self.saga
    }

    fn topic(&self, kind: &str) -> Text {
        format!("{}.{}.{kind}", self.topology, self.saga).into()
    }

    fn log(&self, kind: &str, partitions: &[Partition]) -> Result<Log> {
        Ok(Log::of(self.broker, &self.topic(kind), partitions, Isolation::ReadCommitted)?)
    }

    fn partition(&self, id: &str) -> Partition {
        partition_of(id.as_bytes(), self.partitions)
    }

    /// The instances that are wanted, those of them that changed last. `progress` hears of records read and their number.
    pub fn list(&self, limit: usize, wanted: &Wanted, progress: &mut dyn FnMut(u64, u64)) -> Result<Listed> {
        let mut listed = Listed::default();
        let mut found: BTreeMap<Text, View> = BTreeMap::new();
        let unreadable = self.rows(None, progress, &mut |id, view| match view.filter(|view| wanted.holds(view)) {
            Some(view) => drop(found.insert(id, view)),
            None => drop(found.remove(&id)),
        })?;
        listed.unreadable = unreadable;
        for view in found.values() {
            *listed.counts.entry(view.status).or_default() += 1;
        }
        listed.instances = found.into_values().collect();
        listed.instances.sort_by(|a, b| (b.changed_at, &a.id).cmp(&(a.changed_at, &b.id)));
        listed.instances.truncate(limit);
        Ok(listed)
    }

    /// An instance.
    pub fn get(&self, id: &str) -> Result<View> {
        let mut last = None;
        let partition = self.partition(id);
        let unreadable = self.rows(Some((partition, id)), &mut |_, _| {}, &mut |_, view| last = view)?;
        match last {
            Some(view) => Ok(view),
            None if unreadable > 0 => {
                Err(Error::Unreadable { id: id.into(), why: "another version of the engine wrote it, or it is damaged".into() })
            }
            None => Err(Error::NoInstance { saga: self.saga.clone(), id: id.into() }),
        }
    }

    /// What an instance went through, up to what the view shows. Of at most so many records of the history, which are those of
    /// others, too; whether that was all is told beside it.
    pub fn timeline(&self, view: &View, records_max: u64) -> Result<(Timeline, bool)> {
        let mut log = self.log("history", &[self.partition(&view.id)])?;
        log.since(view.started_at - CLOCKS_APART)?;
        let decoder = Decoder::new(Contract::default());
        let (mut entries, mut read, mut is_whole) = (Vec::new(), 0, true);
        let spans = log.parts().to_vec();
        log.records(&spans, &mut |record| {
            if record.key == Some(view.id.as_bytes())
                && let Ok(Some(event)) = decoder.decode(record)
            {
                let number = super::view::field(&event.data, "entry").and_then(Value::as_int);
                // One that was forgotten, and then began again, has another history in the same place.
                entries.extend(Entry::read(&event.data).filter(|entry| entry.at >= view.started_at));
                if number == Some(view.entries) && entries.len() as i64 >= view.entries {
                    return ControlFlow::Break(());
                }
            }
            read += 1;
            is_whole = read < records_max;
            if is_whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok((Timeline::new(entries), is_whole))
    }

    /// How many instances are not over, by the definition that they keep.
    pub fn remains(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<BTreeMap<Text, Remains>> {
        let open: Vec<Status> = Status::ALL.into_iter().filter(|status| !status.is_final()).collect();
        let wanted = Wanted { statuses: open, ..Wanted::default() };
        let listed = self.list(usize::MAX, &wanted, progress)?;
        let mut remains: BTreeMap<Text, Remains> = BTreeMap::new();
        for view in listed.instances {
            let of =
                remains.entry(view.definition).or_insert_with(|| Remains { open: BTreeMap::new(), oldest: view.started_at });
            *of.open.entry(view.status).or_default() += 1;
            of.oldest = of.oldest.min(view.started_at);
        }
        Ok(remains)
    }

    /// Puts an act into the inbox of the instance's owner. When this returns, the act lies there; what comes of it is in the history.
    pub fn send(&self, id: &str, act: &Act, now: Millis) -> Result<()> {
        let encoder = Encoder::new(Contract::default()).expect("the engine's own envelope is written");
        let draft = Draft {
            id: &act.id,
            kind: ACT,
            source: &self.topology,
            time: crate::codec::moment(now),
            correlation_id: &act.id,
            causation_id: None,
            metadata: None,
            data: &act.data(),
        };
        let mut value = Vec::new();
        encoder
            .value(&draft, &mut value)
            .map_err(|failure| Error::Unreadable { id: id.into(), why: failure.message().into() })?;
        let mut producer = self.broker.producer()?;
        producer.send(&Record {
            topic: self.topic("inbox"),
            partition: self.partition(id),
            timestamp: now,
            key: Some(id.to_owned().into()),
            value: Some(value.into()),
            headers: Vec::<Header>::new(),
        })?;
        producer.flush(SEND_TIMEOUT)?;
        Ok(())
    }

    /// Hands over what is kept of every instance, or of one, each time it was written; `None` when it was deleted, or has not
    /// begun. Gives how many rows could not be read.
    fn rows(
        &self,
        only: Option<(Partition, &str)>,
        progress: &mut dyn FnMut(u64, u64),
        each: &mut dyn FnMut(Text, Option<View>),
    ) -> Result<u64> {
        let all: Vec<Partition> = match only {
            Some((partition, _)) => vec![partition],
            None => (0..self.partitions).map(|at| Partition::try_from(at).expect("a cluster counts in 31 bits")).collect(),
        };
        let mut log = self.log("changelog", &all)?;
        let (mut read, total, mut unreadable) = (0, log.span(), 0);
        log.read_all(&mut |record| {
            read += 1;
            progress(read, total);
            let id = record.key.and_then(|key| key.strip_prefix(&[Tag::State as u8]));
            let Some(id) = id.filter(|id| only.is_none_or(|(_, only)| *id == only.as_bytes())) else {
                return;
            };
            let Ok(id) = std::str::from_utf8(id) else {
                unreadable += 1;
                return;
            };
            match record.value.map(|stored| read_row(id, stored)) {
                Some(Some(view)) => each(id.into(), view),
                Some(None) => {
                    unreadable += 1;
                    each(id.into(), None);
                }
                None => each(id.into(), None),
            }
        })?;
        Ok(unreadable)
    }
}

/// What is stored of an instance: its head, then its row. `None` where it cannot be read.
fn read_row(id: &str, stored: &[u8]) -> Option<Option<View>> {
    let (_, row) = entity::split(stored).ok()?;
    let row: Value = json::read(row).ok()?;
    View::read(id, row).ok()
}
