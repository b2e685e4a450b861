//! Records to play with: made from a seed, so that the same seed makes the same records.
//!
//! [`Shop`] knows the sample: orders, cancellations, goods, repetitions, and a small share of records that nobody can read,
//! so that dead letters show. [`Schemas`] makes records for any topology from the JSON Schemas that it declares. Both only
//! make records; when they are sent is the affair of whoever asks for the next one.

mod schemas;
mod shop;

pub use schemas::{Input, Schemas};
pub use shop::Shop;

use crate::record::{Header, Millis};

/// A record about to be sent. Its partition follows from the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Topic.
    pub topic: String,
    /// Key.
    pub key: Vec<u8>,
    /// Value; `None` for a record without one.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<Header>,
}

/// Makes records.
pub trait Traffic: Send {
    /// The next record. `now` is its time.
    fn next(&mut self, now: Millis) -> Made;
}

/// Name of the source that generated events bear.
pub const SOURCE: &str = "dev";

/// An id from the seed, in the form of a UUID.
fn id(rng: &mut fastrand::Rng) -> String {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid().to_string()
}

/// An event in the usual envelope.
fn event(rng: &mut fastrand::Rng, now: Millis, kind: &str, data: &serde_json::Value) -> Vec<u8> {
    let time = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    let event = serde_json::json!({ "id": id(rng), "type": kind, "source": SOURCE, "timestamp": time, "data": data });
    event.to_string().into_bytes()
}
