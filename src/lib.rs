//! Skald: stream processing on Kafka alone.
//!
//! A library of rooms under a thin binary; `ARCHITECTURE.md` has the map and `tests/rooms.rs` holds its direction.

pub mod aggregate;
pub mod api;
pub mod applied;
pub mod bench;
pub mod broker;
pub mod change;
pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod desk;
pub mod dev;
pub mod dlq;
pub mod expr;
pub mod failure;
pub mod graph;
pub mod node;
pub mod processor;
pub mod reading;
pub mod record;
pub mod registry;
pub mod rehearsal;
pub mod runtime;
pub mod saga;
pub mod scenario;
pub mod state;
pub mod sync;
pub mod telemetry;
pub mod topology;
