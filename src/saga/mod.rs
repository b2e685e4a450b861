//! Sagas: processes that wait, across services, with what undoes them.
//!
//! [`step`] is the core: the row of an instance and one [`Input`] in, the new row and wanted [`Action`]s out. It looks at nothing
//! else, so a crash between two inputs loses nothing and a repetition of the same input on the same row says the same. Around it
//! the node carries the actions out in the epoch of the record or timer: rows, timers, messages, histories, replies.
//!
//! Promises: an instance moves only as [`Status`] says, and its end is absorbing; a command's id follows from saga, step, element,
//! direction and answered tries, so a try that was not answered is repeated under its id; an answer is taken only by the operation
//! that waits for it; whatever succeeded, or may have, is undone before an instance is "compensated". An instance keeps the
//! definition that it began with, whichever version of the file runs: it is led by that one's edition, and where no version is known
//! to have it, it is not stepped ([`Error::OtherDefinition`]).
//!
//! Left to others: when timers fire and what commits (`runtime`), what a file may say (`topology`).

mod act;
mod action;
mod answer;
mod counts;
mod drive;
mod edition;
mod ending;
mod error;
mod follow;
mod forward;
mod given;
mod ids;
mod instance;
mod node;
mod operator;
pub mod passed;
mod row;
mod status;
mod step;
mod stepper;
mod timer;
mod undo;

#[cfg(test)]
mod tests;

pub use act::{ACT, Act, Deed};
pub use action::{Action, Input, Stepped, What};
pub use counts::{COUNTS_KEY, Counts};
pub use drive::{Changed, Hands, KeptMessage, drive};
pub use error::Error;
pub use given::{At, Given};
pub use instance::{Asker, Early, Instance, Kept, Op, OpState, Place, Progress, Row, Run, RunState, Start};
pub use node::{HISTORY, compile, give};
pub use row::{Summary, decode, encode, summary};
pub use status::Status;
pub use step::step;
pub use stepper::Setting;
pub use timer::Timer;
