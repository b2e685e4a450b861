//! Tests of single parts; the whole under trouble is `tests/sim`.

use crate::broker::{Broker, Isolation};
use crate::reading::Log;
use crate::record::{Offset, Record};

mod commit;
mod engine;
mod losses;
mod parking;
mod prepare;
mod replays;
mod restore;
mod roads;
mod saga_replays;
mod seeks;
mod sweeps;

/// The committed records of a topic; none of one that is not there.
fn committed(broker: &dyn Broker, topic: &str) -> Vec<(Offset, Record)> {
    let mut records = Vec::new();
    if let Some(mut log) = Log::open(broker, topic, Isolation::ReadCommitted).expect("readable") {
        log.read_all(&mut |record| records.push((record.offset, record.to_record()))).expect("readable");
    }
    records
}
