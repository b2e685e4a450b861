//! The orderly end of a process.

use super::Result;
use super::crash::point;
use crate::state::Stores;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A worker thread has let everything go. The last one of the process writes the stores' buffers out, so that the next open
/// replays nothing; nothing is lost when that does not happen.
pub(super) fn rest(stores: &dyn Stores, siblings: &AtomicUsize) -> Result<()> {
    if siblings.fetch_sub(1, Ordering::AcqRel) > 1 {
        return Ok(());
    }
    point("c19")?;
    if let Err(error) = stores.rotate() {
        // All is committed; the next open replays a little more, or finds out by itself what is damaged.
        tracing::warn!(%error, "the stores' buffers could not be written out");
    }
    point("c20")
}
