//! E5: topics, partitions and keys.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E501",
        "A node reads these topics together, and its state is shared out by partition number: the same key must have the same number in each. That needs one count of partitions.",
        "Give the topics one number of partitions, or feed one of them through a pipeline into a topic of its own.",
    ),
    entry!(
        "E503",
        "A compacted topic keeps the last record of each key; a record without a key cannot be written to it.",
        "Declare how its records are keyed with `key`, or give the messages a `key`.",
    ),
    entry!(
        "E504",
        "Snapshots are the state of an aggregate: the last one of each key must be kept for ever. Under any other policy than `compact` states would be lost.",
        "`cleanup: compact` on the topic.",
    ),
    entry!(
        "E505",
        "What the node writes would come back to it, for ever; or a pattern matches a topic that this topology writes.",
        "Send to another topic, list the types that the node takes under `type`, or leave the topic out of the pattern.",
    ),
    entry!(
        "E506",
        "A pattern feeds steps without a state. Members of the group see a new topic at different moments and would share out the partitions differently for a while, so a state behind it could have two owners.",
        "Name the topics of a node with a state, and leave them out of patterns of the same topology.",
    ),
    entry!("E507", "The setting has a field of its own, or the engine relies on it.", "Write the field that the hint names.",),
    entry!(
        "W501",
        "The node is keyed otherwise than the records of its topic, so each record goes through one more topic on its way. That costs a write, a read and some time.",
        "If the records are keyed so, declare that `key` on the topic; otherwise the warning is the price of the other key.",
    ),
    entry!(
        "W502",
        "The node takes the record's key for its own, and the topic does not say what that key is. If some sender keys its records otherwise, states are split over partitions.",
        "Declare `key` on the topic: what disagrees is then found at the first record.",
    ),
    entry!(
        "W503",
        "The events of an aggregate are its history: the state can be rebuilt, after a change of `evolve` or a loss, from events that are still there only.",
        "`retention: forever` on the topic.",
    ),
];
