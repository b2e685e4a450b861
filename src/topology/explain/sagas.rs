//! E7: sagas.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E701",
        "A saga either leads (`steps`, one after the other, undone when one fails) or follows (`states`, between which messages and time lead).",
        "Write one of the two. A process that needs both is two sagas that wait for each other's messages.",
    ),
    entry!(
        "E702",
        "A step does one thing: `send`, `emit`, `parallel`, or nothing. Of two it could not be said which of them its outcome and its compensation are about.",
        "Write one step for each; `parallel` does several at once.",
    ),
    entry!(
        "E703",
        "An outcome either comes by the reply to the command, or by messages of the named types, and then replies are not looked at. With a type for the failure alone the step could only fail.",
        "Name the type of `success` too, or no type at all.",
    ),
    entry!(
        "E704",
        "Without types in `success` the step waits for the reply to its command. Whoever takes the command in this file sends none, or `reply_to` does not let it: every try would time out.",
        "Answer there (`decide` of an aggregate always does, a pipeline by `reply`), or name the types of the outcome.",
    ),
    entry!(
        "E705",
        "`saga.data` has the fields that `start.data` gives and those that a `set` writes; this one is none of them.",
        "Correct the name, or write the field in `start.data` or a `set`.",
    ),
    entry!(
        "E706",
        "The field is written by a step that comes later, that is optional or may be skipped, or, in a compensation, by the very answer of the step that is undone. A step whose outcome is unknown is undone too, so its compensation cannot rely on what it answered.",
        "Choose ids yourself, in `start.data` or an earlier step, and send them along; else ask `has(saga.data.x)` first, or read `.?x` with `.orValue(…)`.",
    ),
    entry!(
        "E708",
        "The time of the whole saga is shorter than what its steps may take with their tries, one after the other. It would be undone although each of them is within its time.",
        "Give the saga more time, or its steps less.",
    ),
    entry!(
        "E709",
        "No way from the start leads to this state; or the saga never comes to this end.",
        "Write the transition that leads there, or leave it out.",
    ),
    entry!(
        "E710",
        "From here on no final state can be reached, so a saga would never end: it is kept for ever, and whoever waits for it too.",
        "Write a transition to a state with `final: completed`, `compensated` or `failed`.",
    ),
    entry!(
        "E711",
        "A saga ends in a final state. What comes afterwards is counted and ignored, so nothing leads on from it.",
        "Leave out `final`, or the transitions.",
    ),
    entry!(
        "E712",
        "The first transition that fits is taken. One before always fits when this one would, or comes earlier in time.",
        "Give the other one a `when`, change their order, or leave this one out.",
    ),
    entry!(
        "E713",
        "The ids of commands, by which those who get them know a repetition, follow from the names of the steps. Two steps of one name would send two commands of one id.",
        "Give each step a name of its own, those within `parallel` too.",
    ),
    entry!(
        "E714",
        "Once the pivot is done the saga only goes forward, and nothing is undone. What undoes a later step would never run.",
        "Leave `compensate` out, or move the pivot behind the last step that may have to be undone.",
    ),
    entry!(
        "E716",
        "The step is done for each element, and each waits for its own message. Without a `when` that reads the element, the first message would be taken for all of them.",
        "Compare the message with the element: `when: data.sku == item.sku`.",
    ),
    entry!(
        "W701",
        "The step sends a command and has nothing to undo it, although the saga may fail or be stopped afterwards. What it did then stays.",
        "Write `compensate`. If there is nothing to undo, `emit` says so.",
    ),
    entry!(
        "W702",
        "Nothing ends this wait: neither the step, or state, nor the whole saga has a time. A message that never comes leaves the saga there for ever.",
        "Write `timeout` for the step or the saga; for a state, a transition with `after`.",
    ),
    entry!(
        "W703",
        "An `emit` is done at once. Whether what it asks for was done, nobody hears, and the saga counts as compensated all the same.",
        "Undo by a `send`: it is tried again until it is confirmed.",
    ),
    entry!(
        "W704",
        "After the pivot nothing can be undone, so a required step that fails leaves the saga stuck, waiting for an operator.",
        "Let it be tried more often (`retry`), or let its failure fail nothing (`optional: true`).",
    ),
];
