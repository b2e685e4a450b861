//! What an engine has done so far, in figures that are committed.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Figures of one epoch, or of all committed ones together.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Figures { $($(#[$doc])* pub $name: u64,)* }

        impl Figures {
            /// Adds another's.
            pub fn add(&mut self, other: &Self) { $(self.$name += other.$name;)* }
        }

        /// Figures that worker threads add to and others read.
        #[derive(Debug, Default)]
        pub struct Totals {
            $($name: AtomicU64,)*
        }

        impl Totals {
            /// All of them now. Each is right by itself; a commit under way may be in some and not yet in others.
            pub fn get(&self) -> Figures {
                Figures { $($name: self.$name.load(Ordering::Relaxed),)* }
            }

            pub(super) fn add(&self, figures: &Figures) {
                $(if figures.$name > 0 { self.$name.fetch_add(figures.$name, Ordering::Relaxed); })*
            }
        }
    };
}

figures! {
    /// Records read.
    records_in,
    /// Bytes of keys, values and headers of these.
    bytes_in,
    /// Records written to topics other than changelogs and dead letters.
    records_out,
    /// Records written to changelogs.
    changelog_records,
    /// Dead letters written.
    dead_letters,
    /// Records without any node that takes them.
    untaken,
    /// Records without a value where their envelope needs one.
    without_value,
    /// Steps that handled their record.
    processed,
    /// Steps that passed their record over.
    passed_over,
    /// Steps that refused their record.
    refused,
    /// Steps that repeated an answer.
    repeated,
    /// Steps that failed.
    failed,
    /// Records kept behind a failure of their key.
    parked,
    /// Further tries of records that had failed.
    retried,
    /// Epochs committed.
    epochs,
    /// Epochs rolled back.
    rollbacks,
    /// Epochs whose outcome had to be found out.
    unknown_outcomes,
    /// Assignments let go before the outcome of their last epoch was known.
    let_go_late,
    /// Times that inputs were paused because an outcome, or room on the disk, was waited for too long.
    standstills,
    /// Producers rebuilt.
    rebuilds,
    /// Times that a producer of ours was fenced.
    fenced,
    /// Predecessors' transactions that were ended because they held up a restore.
    predecessors_fenced,
    /// Offsets freed at the start of repartition topics.
    purged,
    /// Times that nothing could be deleted there.
    purge_failures,
    /// Changelog records read by restores.
    restored,
    /// Marks that expired.
    expired,
    /// What happened by time: timers that fired, and all that expired.
    acts,
    /// Stored states that were written in a later shape in the background.
    migrated,
}
