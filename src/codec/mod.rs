//! From bytes to events and back: formats, envelopes, schemas.
//!
//! What a topic's contract says decides how a record is read ([`Event`]) and how a message is written. A record that does not
//! fit is a [`crate::failure::Failure`] with the bytes left untouched; nothing here panics on foreign input.

mod event;

pub use event::Event;
