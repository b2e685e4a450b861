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
            inputs_with_one_partition_number_keep_their_own_positions
            a_token_commits_until_its_generation_is_over
            without_transactions_records_are_seen_at_once_and_offsets_are_taken_from_the_owner_alone
            a_transaction_without_offsets_commits
            an_empty_list_of_offsets_changes_nothing
            offsets_come_back_with_their_stamp
            an_aborted_offset_is_forgotten
            a_token_is_refused_after_its_member_has_left
            a_token_taken_before_any_assignment_is_never_refused
            a_second_process_with_the_same_instance_id_ends_the_first
            who_leaves_gives_its_partitions_to_the_others_at_once
            who_stays_away_for_less_than_a_session_finds_its_partitions_and_nobody_else_notices
            who_stays_away_for_longer_loses_its_partitions
            range_goes_topic_by_topic_over_sorted_instance_ids
            members_that_subscribe_unequally_split_topics_of_one_count
            a_stable_read_waits_for_pending_offsets_and_an_unstable_one_gives_the_older
            a_new_producer_of_the_same_id_ends_the_old_ones_transaction
            a_dead_owners_transaction_is_ended_by_fencing_its_id
            ends_differ_by_isolation_while_a_transaction_is_open
            a_record_too_large_for_the_client_is_refused_and_the_transaction_commits
            a_record_too_large_for_the_topic_fails_its_delivery_and_the_transaction
            a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced
            a_topic_deleted_within_a_transaction_does_not_keep_the_rest_from_committing
            nothing_is_delivered_while_paused_and_a_seek_goes_exactly_there
            an_offset_beyond_the_end_is_trouble
            an_offset_that_was_trimmed_away_is_trouble
            a_lane_deletes_records_before_an_offset
            a_topic_s_settings_can_be_replaced
            offsets_by_time_are_those_of_the_first_record_not_before_it
            topics_are_created_once_and_described_with_their_settings
            counts_grow_with_the_topic
            members_of_a_group_are_listed_by_their_client_id
            a_pattern_subscribes_to_topics_by_their_whole_name
            a_topic_that_is_not_there_is_trouble_and_does_not_keep_the_others_from_being_read
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
