//! What an evaluation may spend.
//!
//! The source is bounded before the start, so only what depends on data is counted: an iteration costs the size of its body,
//! a function the elements it touches and a step per [`BYTES_A_STEP`] bytes, whatever is built its size.

use super::error::{Kind, Res, fail};
use std::cell::Cell;

/// Steps of one evaluation.
pub const STEPS_MAX: u32 = 100_000;
/// Size of a result, and of any text or list on the way to it.
pub const RESULT_BYTES_MAX: usize = 1 << 20;
/// Everything that one evaluation builds, taken together.
const BUILT_BYTES_MAX: usize = 8 << 20;
/// Bytes that are read, compared or searched in one step.
const BYTES_A_STEP: usize = 128;
/// Bytes that an element of a list or an entry of a map counts for when it is built.
pub(super) const ELEMENT_BYTES: usize = 64;

/// The budget of one evaluation, or of several that share it.
#[derive(Clone, Debug)]
pub struct Fuel {
    steps: Cell<u32>,
    bytes: Cell<usize>,
}

impl Default for Fuel {
    fn default() -> Self {
        Self::new()
    }
}

impl Fuel {
    /// A full budget.
    pub fn new() -> Self {
        Self::steps(STEPS_MAX)
    }

    /// A budget of so many steps.
    pub fn steps(steps: u32) -> Self {
        Self { steps: Cell::new(steps), bytes: Cell::new(BUILT_BYTES_MAX) }
    }

    /// Steps that are left.
    pub fn left(&self) -> u32 {
        self.steps.get()
    }

    pub(super) fn burn(&self, steps: usize) -> Res<()> {
        match u32::try_from(steps).ok().and_then(|steps| self.steps.get().checked_sub(steps)) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => {
                self.steps.set(0);
                fail(Kind::Fuel, "took more steps than allowed")
            }
        }
    }

    /// For bytes that are read.
    pub(super) fn scan(&self, bytes: usize) -> Res<()> {
        self.burn(bytes / BYTES_A_STEP)
    }

    /// For something of that size, before it is built.
    pub(super) fn build(&self, bytes: usize) -> Res<()> {
        if bytes > RESULT_BYTES_MAX {
            return fail(Kind::TooLarge, "a value would be larger than 1 MiB");
        }
        match self.bytes.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes.set(left);
                Ok(())
            }
            None => fail(Kind::TooLarge, "built more than allowed on the way"),
        }
    }

    /// For a list or map of so many elements, before it is built.
    pub(super) fn build_elements(&self, count: usize) -> Res<()> {
        self.burn(count)?;
        self.build(count.saturating_mul(ELEMENT_BYTES))
    }
}
