//! Expressions and templates of the topology language (`language.md` §2–§4): checked before the start, then run per record.
//!
//! [`compile`] takes the text of an expression and the [`Scope`] of its position and gives all that is wrong with it at once,
//! each [`Finding`] with its place, and where nothing is, a [`Program`]. The syntax is CEL's, parsed by the `cel` crate; the
//! checker and the code are ours, over [`record::Value`](crate::record::Value) by reference, so that an expression costs
//! about as much as the fields it reads.
//!
//! Promises: compiling any text and evaluating any program over any values ends, in bounded time, memory and stack, with a
//! result or an error, never in a panic; evaluation has no clock, no randomness and no I/O, so the same values give the same
//! result (time zones by name are the operating system's and the exception). What depends on the position — which names
//! there are and what type they have — is the caller's to say.

mod ast;
mod check;
mod code;
mod error;
mod eval;
mod finding;
mod fuel;
mod functions;
mod lex;
pub mod names;
mod ops;
mod parse;
mod program;
mod reference;
mod scope;
mod template;
mod types;

#[cfg(test)]
mod tests;

pub use error::{EvalError, Kind};
pub use eval::Names;
pub use finding::{Finding, Severity};
pub use fuel::{Fuel, RESULT_BYTES_MAX, STEPS_MAX};
pub use names::Slot;
pub use parse::{DEPTH_MAX, SOURCE_BYTES_MAX, roomy};
pub use program::{Compiled, Expect, Fields, Program, Read, compile};
pub use reference::reference_page;
pub use scope::Scope;
pub use template::{Placed, Template, TemplateSource};
pub use types::{Field, Object, Type};
