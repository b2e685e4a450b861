//! The engine on one machine without Kafka: generated traffic, what there is to see, and a self-check.
//!
//! [`sample`] is the shop, compiled in. [`traffic`] makes records from a seed: for the sample by hand, for any other topology from
//! the schemas that it declares. [`check`] reads the logs afterwards and says whether anything was lost or doubled. The engine
//! and the broker in this process are put together by `cli`.

pub mod check;
mod lag;
mod pump;
pub mod sample;
mod screen;
mod tail;
pub mod traffic;

pub use lag::Lag;
pub use pump::{Parts, Pump};
pub use screen::{Screen, View, grouped};
pub use tail::Tail;
