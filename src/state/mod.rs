//! A task's keyed state: stores, their decoded cache, their changelog form.
//!
//! A [`Store`] belongs to one node (or pipeline step) and one partition. It holds committed epochs only: an epoch is applied after
//! its Kafka transaction has committed, as one batch together with the changelog offset it has reached, so a crash anywhere
//! leaves a store that is right for its checkpoint and catches up from there. Nothing here is ever wiped after a crash.
//!
//! Left to `runtime`: when to apply, where to restore from, which task owns which store.

mod contents;
mod directory;
mod disk;
mod entry;
mod error;
pub mod layout;
mod memory;
pub mod restore;
mod simulated;
mod slots;
mod store;

pub use directory::Directory;
pub use disk::Disk;
pub use entry::{Entity, Expiring, Timer};
pub use error::{Error, NAME_MAX, Result};
pub use layout::parked::{ParkedTotals, Standing};
pub use memory::Memory;
pub use simulated::SimulatedDisk;
pub use slots::{Due, Savepoint, SlotCounts, SlotLimits, Slots};
pub use store::{Batch, Checkpoint, Chunk, KeyRange, Store, StoreName, Stores, Write};
