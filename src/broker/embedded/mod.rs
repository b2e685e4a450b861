//! A Kafka in this process: the semantics that matter to the engine, without a network.
//!
//! It carries out the traits of [`crate::broker`] so that the production loop runs in `skald dev`, in scenario tests and in
//! simulation. It promises what the contract suite (`tests/contract`) asserts of it and of a real Kafka alike: topics with
//! partitions, control markers that take an offset, both isolations, compaction and retention, transactions of protocol
//! version 1 with their late `EndTxn`, offsets that wait for a transaction, groups of the classic protocol with static and
//! dynamic members.
//!
//! It has no threads and draws nothing: time comes from the clock it is given, trouble from [`Faults`]. Under a hand-advanced
//! clock the same calls give the same answers.
//!
//! Left out: the wire protocol, replicas, leader epochs, KIP-848 groups, quotas, access control. Retention by age counts from
//! when a record was appended, not from its own time: a test or a demonstration with events of last year keeps them.

mod admin;
mod append;
mod assignor;
mod chunk;
mod client;
mod cluster;
mod compaction;
mod config;
mod consumer;
mod faults;
mod fetch;
mod group;
mod lane;
mod log;
mod offsets;
mod operations;
mod producer;
mod reader;
mod storage;
mod timers;
mod topics;
mod transactions;
mod untransacted;

#[cfg(test)]
mod tests;

pub use cluster::{Cluster, Options};
pub use faults::{Call, CallKind, Faults, InjectedError, LaneFault, NoFaults, PollFault};
pub use reader::LOG_READER_CLIENT_ID;

use super::{
    Admin, Broker, ConsumerSettings, GroupConsumer, Isolation, LogReader, Producer, Result, TransactionSettings, Transactions,
};

impl Broker for Cluster {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn GroupConsumer>> {
        Ok(Box::new(consumer::Consumer::new(&self.shared, settings)?))
    }

    fn transactions(&self, settings: &TransactionSettings) -> Result<Box<dyn Transactions>> {
        Ok(Box::new(lane::LaneHandle::new(&self.shared, settings)))
    }

    fn log_reader(&self, isolation: Isolation) -> Result<Box<dyn LogReader>> {
        Ok(Box::new(reader::Reader::new(&self.shared, isolation)))
    }

    fn admin(&self) -> Result<Box<dyn Admin>> {
        Ok(Box::new(admin::EmbeddedAdmin { shared: self.shared.clone() }))
    }

    fn producer(&self) -> Result<Box<dyn Producer>> {
        Ok(Box::new(producer::PlainProducer::new(&self.shared)))
    }
}
