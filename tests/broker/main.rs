//! Tests against a real Apache Kafka.
//!
//! `cargo test --test broker` fetches Kafka once and starts it; see `cluster.rs` for what it needs and what stands in for it.

/// The brokers, or the end of the test where there are none.
macro_rules! brokers {
    () => {
        match crate::cluster::shared() {
            Some(brokers) => brokers,
            None => return,
        }
    };
}

mod admin;
mod apicurio;
mod bench;
mod cluster;
mod commands;
#[path = "../contract/mod.rs"]
#[macro_use]
mod contract;
mod contract_rows;
mod drive;
mod engine;
mod measure;
mod members;
mod readers;
mod tools;
mod transactions;
mod upgrade;
