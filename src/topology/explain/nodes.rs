//! E6, E8 and E9: aggregates, pipelines, messages.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E601",
        "An aggregate folds events into a state (`evolve`), lets messages meet it (`decide`), or both. This one does neither.",
        "Write `evolve`, `decide`, or leave the aggregate out.",
    ),
    entry!(
        "E602",
        "With `decide` an aggregate applies its own events, those that its handlers emit to `events`. This type is emitted by none of them, so the handler would never run.",
        "Write the type as it is emitted, or emit it. Events of others are handled in `decide`.",
    ),
    entry!(
        "E603",
        "An aggregate applies its own events when they are emitted. Reading them from their topic as well would apply each twice.",
        "Leave the topic out of `from`.",
    ),
    entry!(
        "E604",
        "An event says what has happened, and is applied at once. One that is sent later would change the state behind the back of the decisions in between.",
        "Send a command with the `delay`, and decide the event when it comes.",
    ),
    entry!(
        "E606",
        "Codes of refusals are read by programs and counted in metrics: capital letters, digits and `_`.",
        "Write it so: `OUT_OF_STOCK`.",
    ),
    entry!(
        "E607",
        "States are stored with the version of their shape. When `state_version` is raised, states of every version before it may still be stored, and each becomes one of the next version by a step in `upcast`.",
        "Write one step for each older version, and keep those that are there: a state may have slept for long.",
    ),
    entry!(
        "E608",
        "`cancel_timer` takes away a message that waits, by the name that the message gives as its `timer`. No message of the aggregate has this name.",
        "Write the same name in both places, or give the delayed message a `timer`.",
    ),
    entry!(
        "W601",
        "The aggregate keeps a state that no decision reads: it costs a store, a topic and a write per event.",
        "Decide by the state, or use a pipeline, which has none.",
    ),
    entry!(
        "W602",
        "The message is accepted and nothing comes of it: no event, no answer. Whoever sent it learns nothing.",
        "`emit` what happened, or `reply`.",
    ),
    entry!("E801", "A step has one operator. Two in one step have no order; none does nothing.", "Write one step for each."),
    entry!(
        "E802",
        "What such a step keeps is found by the step's name, so it has one, and no other step of the pipeline that keeps something has the same.",
        "Give the step a `name`, and keep it: under another one nothing is found again.",
    ),
    entry!(
        "E803",
        "The filter before lets nothing through, so this step never runs.",
        "Correct the filter, or leave the steps after it out.",
    ),
    entry!("E804", "An arm without `when` takes every record, so arms after it are never tried.", "Put it last.",),
    entry!(
        "E808",
        "`set` assigns fields of the data, and the data is no map at this step.",
        "`map` gives the record new data of any kind.",
    ),
    entry!(
        "E901",
        "A retry policy with which nothing could be tried, or whose waits make no sense: `attempts` counts all tries, so it is at least 1, `multiplier` too, and `jitter` is a part of the wait, from 0 to 1.",
        "Correct the number; one try without a second is `attempts: 1`.",
    ),
    entry!(
        "E908",
        "The topic declares its `key`, and senders fill the key in by it. A second one beside it could only disagree.",
        "Leave the `key` of the message out, or the one of the topic.",
    ),
    entry!(
        "E909",
        "The id of a command and where it is answered are the step's: a try that was not answered is repeated under the same id, one after an answered failure has a new one, and the reply comes to the saga's own topic.",
        "Leave the field out; what the receiver needs goes into `data`.",
    ),
    entry!(
        "E910",
        "`park` bounds the records of one key and those of a partition of the node, which are those of all keys: the second bound is not below the first. `stop_above` halts when more than a `share` of the records `within` a time cannot be read, so the share lies above 0 and below 1, and the time above nothing and up to 24h.",
        "Correct the number; to halt at the first record that cannot be read, write `undecodable: stop`.",
    ),
];
