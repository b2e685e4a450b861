//! The records that jobs read: orders of some size, whose customers and amounts follow from a seed.

use super::zipf::Zipf;
use std::io::Write as _;

/// One record in so many is a look at an order and no order: what a fold leaves out.
const VIEWED_EVERY: u64 = 10;
/// Amounts are below this.
const AMOUNTS: u64 = 10_000;
/// What ids of conversations begin with; the rest is the record's number.
const MARK: &str = "b-";

/// What records are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// What they follow from.
    pub seed: u64,
    /// Number of customers.
    pub keys: u64,
    /// Exponent of Zipf's law: 0 is all customers alike.
    pub skew: f64,
    /// Bytes of a value, as near as the text allows.
    pub bytes: usize,
    /// Are records keyed by their order, each its own key, rather than by their customer?
    pub by_order: bool,
}

/// Makes them, one after the other.
#[derive(Clone, Debug)]
pub struct Maker {
    workload: Workload,
    zipf: Zipf,
    random: fastrand::Rng,
    number: u64,
    /// Of the record made last.
    pub(super) key: Vec<u8>,
    /// Likewise.
    pub(super) value: Vec<u8>,
}

/// What a job may ask of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// An order, or only a look at one?
    pub(super) placed: bool,
    /// In hundredths.
    pub(super) amount: u64,
}

impl Maker {
    /// From the first record on.
    pub fn new(workload: Workload) -> Self {
        Self {
            workload,
            zipf: Zipf::new(workload.keys, workload.skew),
            random: fastrand::Rng::with_seed(workload.seed),
            number: 0,
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Makes the next record.
    pub(super) fn next(&mut self) -> Made {
        let number = self.number;
        self.number += 1;
        let customer = self.zipf.draw(&mut self.random);
        let amount = self.random.u64(..AMOUNTS);
        // Looks at orders are for folds to leave out; an order that is its own key is always placed.
        let placed = self.workload.by_order || !number.is_multiple_of(VIEWED_EVERY);
        self.key.clear();
        let key = if self.workload.by_order { ("order", number) } else { ("customer", customer) };
        write_all(&mut self.key, format_args!("{}-{}", key.0, key.1));
        let kind = if placed { "placed" } else { "viewed" };
        self.value.clear();
        write_all(
            &mut self.value,
            format_args!(
                "{{\"id\":\"event-{number}\",\"type\":\"order.{kind}.v1\",\"version\":\"1\",\"source\":\"webshop\",\
                 \"timestamp\":\"2026-01-02T03:04:05Z\",\"data\":{{\"orderId\":\"order-{number}\",\
                 \"customerId\":\"customer-{customer}\",\"amount\":{amount},\"currency\":\"EUR\",\"note\":\""
            ),
        );
        let mut tail = [0_u8; 64];
        let mut rest = &mut tail[..];
        // Longest: 20 digits.
        let room = rest.len();
        let written = write!(rest, "\"}},\"metadata\":{{\"correlationId\":\"{MARK}{number}\"}}}}").map(|()| room - rest.len());
        let tail = &tail[..written.unwrap_or_default()];
        let note = self.workload.bytes.saturating_sub(self.value.len() + tail.len());
        self.value.extend(NOTE.iter().cycle().take(note));
        self.value.extend_from_slice(tail);
        Made { placed, amount }
    }
}

const NOTE: &[u8] = b"two parcels, please leave them with the neighbours ";

fn write_all(to: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    to.write_fmt(text).expect("memory takes everything");
}

/// The number of the record that a message goes back to, by the id of its conversation.
pub(super) fn number_of(value: &[u8]) -> Option<u64> {
    const FIELD: &[u8] = b"\"correlationId\":\"b-";
    // It stands near the end.
    let at = value.windows(FIELD.len()).rposition(|window| window == FIELD)?;
    let digits = value[at + FIELD.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .copied()
        .map(|digit| u64::from(digit - b'0'))
        .try_fold(None, |number: Option<u64>, digit| Some(Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKLOAD: Workload = Workload { seed: 3, keys: 100, skew: 0.0, bytes: 330, by_order: false };

    fn texts(workload: Workload, count: usize) -> Vec<(String, String)> {
        let mut maker = Maker::new(workload);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (0..count)
            .map(|_| {
                maker.next();
                (text(&maker.key), text(&maker.value))
            })
            .collect()
    }

    #[test]
    fn records_follow_from_their_seed_and_have_the_size_asked_for() {
        assert_eq!(texts(WORKLOAD, 50), texts(WORKLOAD, 50));
        assert_ne!(texts(WORKLOAD, 50), texts(Workload { seed: 4, ..WORKLOAD }, 50));
        for (bytes, least, most) in [(330, 330, 330), (1_000, 1_000, 1_000), (0, 200, 260)] {
            for (_, value) in texts(Workload { bytes, ..WORKLOAD }, 20) {
                assert!((least..=most).contains(&value.len()), "{bytes}: {} of {value}", value.len());
            }
        }
    }

    #[test]
    fn a_record_says_what_its_maker_says() {
        for by_order in [false, true] {
            let mut maker = Maker::new(Workload { by_order, ..WORKLOAD });
            for number in 0..100_u64 {
                let made = maker.next();
                let value: serde_json::Value = serde_json::from_slice(&maker.value).unwrap();
                assert_eq!(value["data"]["amount"], made.amount);
                assert_eq!(value["type"], if made.placed { "order.placed.v1" } else { "order.viewed.v1" });
                assert_eq!(value["data"]["orderId"], format!("order-{number}"));
                let key = if by_order { "orderId" } else { "customerId" };
                assert_eq!(value["data"][key], String::from_utf8(maker.key.clone()).unwrap());
                assert_eq!(number_of(&maker.value), Some(number));
            }
        }
    }

    #[test]
    fn only_an_own_conversation_has_a_number() {
        for (value, expected) in [
            (r#"{"metadata":{"correlationId":"b-17","causationId":"x"}}"#, Some(17)),
            (r#"{"data":{"correlationId":"b-1"},"metadata":{"correlationId":"b-2"}}"#, Some(2)),
            (r#"{"metadata":{"correlationId":"b-"}}"#, None),
            (r#"{"metadata":{"correlationId":"c-17"}}"#, None),
            (r#"{"metadata":{"correlationId":"b-99999999999999999999999"}}"#, None),
            ("", None),
        ] {
            assert_eq!(number_of(value.as_bytes()), expected, "{value}");
        }
    }
}
