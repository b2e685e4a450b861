//! The contract of the Kafka boundary as tests: one function for each answer that a real Kafka gives, asked of any broker.
//!
//! A test binary brings a [`Harness`] and writes `contract::contract_rows!(harness())`: every row becomes a test there, with a
//! harness of its own. Rows wait for conditions, never for a while, and tolerate a cluster that takes its time.
//! `architecture-notes.md` §12 has the list of answers.

#![allow(unreachable_pub, reason = "shared by test binaries, each a crate of its own")]

pub mod kit;
pub mod rows;

use skald::broker::Broker;
use std::time::Duration;

/// What a row needs besides the traits of the broker.
pub trait Harness {
    /// The cluster.
    fn broker(&self) -> &dyn Broker;

    /// Lets a moment pass: sleeps some milliseconds, or moves the clock by them.
    fn pause(&self);

    /// Time since some moment: real, or the clock's.
    fn elapsed(&self) -> Duration;

    /// Ends names, so that rows and runs do not meet; letters, digits and `-`.
    fn suffix(&self) -> String;

    /// The shortest session that the cluster grants.
    fn session_timeout(&self) -> Duration;

    /// Deletes a topic; it may take a while until everybody knows.
    fn delete_topic(&self, name: &str);

    /// Adds partitions to a topic.
    fn grow_topic(&self, name: &str, partitions: u32);
}

/// Makes every row a test, each with a harness of its own.
macro_rules! contract_rows {
    ($harness:expr) => {
        $crate::contract::contract_rows! { @each $harness;
            only_committed_records_are_delivered_in_order
            records_come_back_as_they_were_written
            a_position_at_the_end_passes_control_markers_and_aborted_records
            a_token_commits_until_its_generation_is_over
            a_transaction_without_offsets_commits
        }
    };
    (@each $harness:expr; $($row:ident)*) => {
        $(
            #[test]
            fn $row() {
                $crate::contract::rows::$row(&$harness);
            }
        )*
    };
}
pub(crate) use contract_rows;
