//! The group's positions: a state without any would be one that nobody has folded.

use super::{Error, Result};
use crate::broker::embedded::Cluster;
use crate::broker::{
    Broker, ConsumerSettings, Error as BrokerError, ErrorClass, Guarantee, Limit, Op, Parting, Polled, TransactionSettings,
};
use crate::clock::ManualClock;
use crate::record::{Text, TopicPartition};
use crate::topology::plan::Plan;
use std::sync::Arc;
use std::time::Duration;

/// Polls until the group has assigned what it has to assign.
const POLLS_MAX: usize = 100_000;

/// Commits the beginning of all that is read, as a member of the group.
pub(super) fn commit(plan: &Plan, cluster: &Cluster, clock: &ManualClock) -> Result<()> {
    let read: Vec<Text> =
        plan.subtopologies.iter().flat_map(|part| &part.sources).map(|topic| plan.topics[*topic].name.clone()).collect();
    let settings = ConsumerSettings {
        group: plan.topology.clone(),
        instance: None,
        client_id: "rehearsal".into(),
        topics: read,
        patterns: Vec::new(),
        session_timeout: Duration::from_secs(10),
        max_poll_interval: Duration::from_secs(60),
        wake: Arc::new(|| {}),
    };
    let mut consumer = cluster.consumer(&settings).map_err(Error::Here)?;
    let limit = Limit { records: 1, time: Duration::ZERO };
    let mut partitions: Option<Vec<TopicPartition>> = None;
    for _ in 0..POLLS_MAX {
        if let Polled::Assigned(assigned) = consumer.poll(limit, &mut |_| {}) {
            consumer.accept(&assigned).map_err(Error::Here)?;
            partitions = Some(assigned);
            break;
        }
        clock.advance(Duration::from_millis(1));
        cluster.tick();
    }
    let partitions = partitions.ok_or(Error::Restless)?;
    let offsets = partitions.into_iter().map(|partition| (partition, 0)).collect();
    let offsets = Op::SendOffsets { offsets, stamp: "rehearsal#0.0".into(), ownership: consumer.ownership() };
    let mut lane = cluster
        .transactions(&TransactionSettings {
            guarantee: Guarantee::default(),
            group: plan.topology.clone(),
            transactional_id: "rehearsal".into(),
            client_id: "rehearsal".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(|| {}),
        })
        .map_err(Error::Here)?;
    for op in [Op::Init, Op::Begin, offsets, Op::Commit] {
        lane.submit(op);
        cluster.tick();
        let silent = || BrokerError::new(ErrorClass::Fatal, "committing positions", "no answer");
        lane.reply().ok_or_else(silent).and_then(|reply| reply.result).map_err(Error::Here)?;
    }
    consumer.close(Parting::Leave, Duration::from_secs(1));
    Ok(())
}
