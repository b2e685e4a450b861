//! What happens without input: marks that expire.
//!
//! An expiry is an ordinary delete in an epoch, found by the ordered index in the store, in bounded batches; so store and
//! changelog never differ.

use super::crash::point;
use super::epoch::Epoch;
use super::task::{Assignment, Standstill, TaskState};
use super::{Error, Halt, Result};
use crate::record::Millis;
use crate::state;
use std::time::Duration;

/// Marks that one look deletes at most, per store.
const EXPIRE_MAX: usize = 1000;

/// Deletes marks that have expired; tells whether there may be more.
pub(super) fn expire(assignment: &mut Assignment, epoch: &mut Epoch, now: Millis, mono: Duration) -> Result<bool> {
    let mut more = false;
    for (index, task) in assignment.tasks.iter_mut().enumerate().filter(|(_, task)| task.is_running()) {
        for (at, store) in task.stores.iter_mut().enumerate() {
            let expired = match store.slots.expire_marks(now, EXPIRE_MAX) {
                Ok(expired) => expired,
                Err(error @ state::Error::Unreadable { .. }) if std::mem::replace(&mut task.read_anew, true) => {
                    // It was filled anew, and its changelog says the same.
                    let input = assignment.inputs[task.inputs[0]].partition.clone();
                    let halt = Halt { input, offset: None, reason: error.to_string() };
                    task.state = TaskState::Halted(Standstill::Record(halt));
                    break;
                }
                Err(state::Error::Damaged { .. } | state::Error::Unreadable { .. }) => {
                    task.state = TaskState::Halted(Standstill::Damaged(at));
                    break;
                }
                Err(error) => return Err(Error::State(error)),
            };
            if expired > 0 {
                store.slots.keep();
                epoch.involve(index, mono);
                epoch.figures.expired += expired as u64;
                more |= expired == EXPIRE_MAX;
                point("c12")?;
            }
        }
    }
    Ok(more)
}
