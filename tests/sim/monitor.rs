//! Looks on from outside.

use crate::workload::{IN_PARTITIONS, MID_PARTITIONS, TOPOLOGY};
use skald::broker::embedded::Cluster;
use skald::broker::{Broker, CommittedOffset, Guarantee, Isolation, Op, Outcome, TransactionSettings, Transactions};
use skald::record::TopicPartition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Committed offsets never go back, and whether everything is read.
pub(crate) struct Monitor {
    lane: Box<dyn Transactions>,
    inputs: Vec<TopicPartition>,
    committed: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
    /// Looks again then.
    pub(crate) next: Duration,
}

impl Monitor {
    const EVERY: Duration = Duration::from_millis(100);

    pub(crate) fn new(cluster: &Cluster) -> Self {
        let settings = TransactionSettings {
            guarantee: Guarantee::default(),
            group: TOPOLOGY.into(),
            transactional_id: "monitor".into(),
            client_id: "monitor".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(|| {}),
        };
        let partitions =
            |topic: &'static str, count: u32| (0..count as i32).map(move |partition| TopicPartition::new(topic, partition));
        let inputs = partitions("in", IN_PARTITIONS).chain(partitions("mid", MID_PARTITIONS)).collect();
        let lane = cluster.transactions(&settings).expect("an embedded broker has lanes");
        Self { lane, inputs, committed: BTreeMap::new(), ends: BTreeMap::new(), next: Duration::ZERO }
    }

    fn ask(&mut self, cluster: &Cluster, op: Op) -> Outcome {
        self.lane.submit(op);
        cluster.tick();
        self.lane.reply().expect("answered at once").result.expect("questions without faults are answered")
    }

    pub(crate) fn look(&mut self, cluster: &Cluster, now: Duration) -> Result<(), String> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + Self::EVERY;
        let partitions = self.inputs.clone();
        let isolation = Isolation::ReadUncommitted;
        if let Outcome::Committed(committed) = self.ask(cluster, Op::Committed { partitions: partitions.clone(), isolation }) {
            for (partition, offset) in committed {
                let Some(CommittedOffset { offset, .. }) = offset else { continue };
                let before = self.committed.insert(partition.clone(), offset).unwrap_or(offset);
                if offset < before {
                    return Err(format!("the committed offset of {partition} went back from {before} to {offset}"));
                }
            }
        }
        if let Outcome::Ends(ends) = self.ask(cluster, Op::Ends { partitions, isolation }) {
            self.ends = ends.into_iter().map(|(partition, span)| (partition, span.end)).collect();
        }
        Ok(())
    }

    /// Everything that is in the inputs is done, control markers included.
    pub(crate) fn is_drained(&self) -> bool {
        self.inputs.iter().all(|partition| self.lag(partition) == 0)
    }

    fn lag(&self, partition: &TopicPartition) -> i64 {
        let end = self.ends.get(partition).copied().unwrap_or(i64::MAX);
        // Where nothing was ever committed, nothing was ever there.
        end - self.committed.get(partition).copied().unwrap_or(0)
    }

    pub(crate) fn lag_text(&self) -> String {
        let lags = self.inputs.iter().map(|partition| format!("{partition}: {} behind", self.lag(partition)));
        lags.collect::<Vec<_>>().join(", ")
    }
}

/// Where these partitions begin.
pub(crate) fn starts(cluster: &Cluster, partitions: Vec<TopicPartition>) -> Vec<(TopicPartition, i64)> {
    match Monitor::new(cluster).ask(cluster, Op::Ends { partitions, isolation: Isolation::ReadCommitted }) {
        Outcome::Ends(ends) => ends.into_iter().map(|(partition, span)| (partition, span.start)).collect(),
        other => unreachable!("ends were asked for, not {other:?}"),
    }
}
