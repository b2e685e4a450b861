//! The orderly end of a process.

use super::crash::point;
use super::{Error, Result};
use crate::state::Stores;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A worker thread has let everything go. The last one of the process writes the stores' buffers out, so that the next open
/// replays nothing; nothing is lost when that does not happen.
pub(super) fn rest(stores: &dyn Stores, siblings: &AtomicUsize) -> Result<()> {
    if siblings.fetch_sub(1, Ordering::AcqRel) > 1 {
        return Ok(());
    }
    point("c19")?;
    stores.rotate().map_err(Error::State)?;
    point("c20")
}
