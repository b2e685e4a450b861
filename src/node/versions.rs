//! Versions of a topology beside the one that runs: what began under one of them goes on as it said.

use super::World;
use crate::record::Text;
use std::fmt;
use std::sync::Arc;

/// The versions that were applied, as far as a worker knows them.
pub trait Versions: Send + Sync + fmt::Debug {
    /// Does a saga take this type in another version than the one that runs?
    fn takes(&self, saga: &str, kind: &str) -> bool;

    /// The version whose saga has this definition, made ready beside the one that runs; `None`: none was applied that has it. An error
    /// names the version and says why it cannot be read. May look what was applied in the meantime, and then takes a while.
    fn world(&self, saga: &str, definition: &str) -> Result<Option<Arc<World>>, Text>;
}
