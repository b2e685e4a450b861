//! What may be written in a scenario file: one table, from which come the refusal of unknown fields, the JSON Schema for editors
//! and the proof that `docs/testing.md` names every field.

/// A map of a scenario file.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is, for messages: `a case`.
    pub(super) what: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of one.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// For the schema's readers.
    pub(super) text: &'static str,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Count,
    Truth,
    /// `30s`
    Duration,
    /// RFC 3339.
    Moment,
    /// Scalars by name.
    Params,
    /// Any value; in texts `=…` computes.
    Value,
    /// A map whose values are trees.
    Values,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Words, or a map.
    Crash,
    /// A truth value, a type or several.
    None,
    /// Lists of maps.
    Cases,
    Steps,
    Given,
    When,
    Then,
}

const fn field(name: &'static str, kind: Kind, text: &'static str) -> Field {
    Field { name, kind, text }
}

impl Shape {
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }
}

/// Where a worker may die, by name, with the crash point behind it.
pub(super) const POINTS: [(&str, &str); 9] = [
    ("before-commit", "c04"),
    ("while-writing", "c05"),
    ("after-writing", "c06"),
    ("after-offsets", "c07"),
    ("in-commit", "c08"),
    ("after-commit", "c09"),
    ("after-apply", "c11"),
    ("while-restoring", "c02"),
    ("on-revoke", "c13"),
];

/// The words of `crash`.
pub(super) const CRASHES: &[&str] = &[
    "now",
    "before-commit",
    "while-writing",
    "after-writing",
    "after-offsets",
    "in-commit",
    "after-commit",
    "after-apply",
    "while-restoring",
    "on-revoke",
];

pub(super) const FILE: Shape = Shape {
    what: "a scenario file",
    fields: &[
        field("skald-test", Kind::Count, "Version of scenario files: 1."),
        field("topology", Kind::Text, "The topology file, from the folder of this one."),
        field("description", Kind::Text, "For people."),
        field("params", Kind::Params, "Values of params, for all cases."),
        field("partitions", Kind::Count, "Partitions of every topic, in place of those declared."),
        field("workers", Kind::Count, "Workers at the start of a case; 1 where nothing is said."),
        field("now", Kind::Moment, "Where the clock stands at the start of a case; 2026-01-01T00:00:00Z."),
        field("exact", Kind::Truth, "Do values have to have no other fields than those expected?"),
        field("cases", Kind::Cases, "What is tried."),
    ],
};

pub(super) const CASE: Shape = Shape {
    what: "a case",
    fields: &[
        field("name", Kind::Text, "What it shows; no two of a file are the same."),
        field("description", Kind::Text, "For people."),
        field("skip", Kind::Text, "Why it is not run."),
        field("params", Kind::Params, "Values of params."),
        field("partitions", Kind::Count, "Partitions of every topic, in place of those declared."),
        field("workers", Kind::Count, "Workers at the start."),
        field("now", Kind::Moment, "Where the clock stands at the start."),
        field("exact", Kind::Truth, "Do values have to have no other fields than those expected?"),
        field(
            "given",
            Kind::Given,
            "What has happened before: events that are folded, states that are there. Nobody reacts to it.",
        ),
        field("when", Kind::When, "What happens, in order."),
        field("then", Kind::Then, "What must come of it."),
        field("steps", Kind::Steps, "Several rounds of `when` and `then`, in place of these."),
    ],
};

pub(super) const STEP: Shape = Shape {
    what: "a step",
    fields: &[
        field("name", Kind::Text, "For people."),
        field("when", Kind::When, "What happens, in order."),
        field("then", Kind::Then, "What must come of it."),
    ],
};

/// A message that is sent.
pub(super) const MESSAGE: Shape = Shape {
    what: "a message",
    fields: &[
        field("type", Kind::Text, "Its type."),
        field("topic", Kind::Text, "Where it goes; the one topic that declares its type."),
        field("key", Kind::Value, "Its key; what the topic's `key` gives."),
        field("data", Kind::Value, "Its payload; in texts `=…` computes over `sent`, `emitted` and `params`."),
        field("value", Kind::Value, "The whole value of the record, without an envelope; null is a record without a value."),
        field("raw", Kind::Text, "The bytes of the record's value, as text."),
        field("headers", Kind::Values, "Headers, as text."),
        field("metadata", Kind::Values, "Further metadata of the envelope."),
        field("id", Kind::Text, "Its id; one that follows from its place in the file."),
        field("source", Kind::Text, "Who sent it; `test`."),
        field("time", Kind::Moment, "When it was sent; where the clock stands."),
        field("correlation_id", Kind::Value, "The conversation; its id."),
        field("causation_id", Kind::Value, "The message that led to it."),
        field("reply_to", Kind::Text, "Topic where the answer is wanted; it is made if it is not there."),
        field("reply_key", Kind::Text, "Key of the answer."),
        field("partition", Kind::Count, "Partition it lies in, whatever its key says."),
        field("invalid", Kind::Truth, "It is meant not to fit its schema."),
        field("times", Kind::Count, "How often the same record comes."),
        field("delay", Kind::Duration, "It comes so much later, while `advance` lets time pass."),
    ],
};

/// What is done besides.
pub(super) const ACTS: Shape = Shape {
    what: "an item of `when`",
    fields: &[
        field("advance", Kind::Duration, "So much time passes; what falls due in it happens."),
        field("duplicate", Kind::Count, "The record before comes again, so often."),
        field("crash", Kind::Crash, "A worker dies, at a point of its work or at once, and is started again."),
        field("rebalance", Kind::Words(&["join", "leave"]), "A further worker joins the group, or the last one leaves it."),
        field("hold", Kind::Text, "Records of this topic stay unread, as if whoever reads it stood still."),
        field("release", Kind::Text, "The topic is read again."),
    ],
};

pub(super) const CRASH: Shape = Shape {
    what: "a crash",
    fields: &[
        field("at", Kind::Words(CRASHES), "Where in its work the worker dies; `now` is at once."),
        field("passing", Kind::Count, "At which passing of that point, from 1."),
        field("worker", Kind::Count, "Which worker, from 1; whichever comes there first."),
        field("down", Kind::Duration, "It is started again after so long; at once where nothing is said."),
        field("disk", Kind::Words(&["kept", "lost"]), "What becomes of its disk; `kept`."),
    ],
};

pub(super) const GIVEN_STATE: Shape = Shape {
    what: "a given state",
    fields: &[
        field("state", Kind::Text, "The aggregate."),
        field("key", Kind::Value, "Key of the instance."),
        field("version", Kind::Count, "Events applied so far; 1."),
        field("state_version", Kind::Count, "Version of its shape; that of the file. An older one is migrated."),
        field("value", Kind::Value, "The state."),
    ],
};

/// The answer of somebody who was asked.
pub(super) const ANSWER: Shape = Shape {
    what: "an answer",
    fields: &[
        field("answer", Kind::Text, "Type of the request: the first of that type that is not answered yet, else the last one."),
        field("data", Kind::Value, "Which request: fields of its payload."),
        field("accepted", Kind::Value, "It is accepted, with this result."),
        field("rejected", Kind::Text, "It is rejected, with this code."),
        field("message", Kind::Value, "What the asker is told of a rejection."),
        field("details", Kind::Value, "What the asker is told of a rejection."),
        field("times", Kind::Count, "How often the same answer comes."),
        field("delay", Kind::Duration, "It comes so much later, while `advance` lets time pass."),
    ],
};

/// An instance of a saga that is there.
pub(super) const GIVEN_SAGA: Shape = Shape {
    what: "a given saga",
    fields: &[
        field("saga", Kind::Text, "The saga."),
        field("key", Kind::Value, "Id of the instance."),
        field("step", Kind::Text, "The step whose outcome it waits for; those before are done."),
        field("state", Kind::Text, "The state that it is in."),
        field("status", Kind::Words(ENDS), "How it has ended."),
        field("data", Kind::Value, "What it knows: `saga.data`."),
        field("reason", Kind::Value, "Why: `saga.reason`."),
    ],
};

/// The statuses that a given saga may have ended with.
pub(super) const ENDS: &[&str] = &["completed", "compensated", "failed", "cancelled"];

/// A message that must have been emitted.
pub(super) const EMITTED: Shape = Shape {
    what: "an expected message",
    fields: &[
        field("type", Kind::Text, "Its type."),
        field("topic", Kind::Text, "Where it lies."),
        field("key", Kind::Value, "Its key."),
        field("data", Kind::Value, "Its payload, or those fields of it that matter."),
        field("headers", Kind::Values, "Headers."),
        field("metadata", Kind::Values, "Metadata."),
        field("id", Kind::Value, "Its id."),
        field("source", Kind::Value, "Who sent it: the topology."),
        field("time", Kind::Value, "Its time."),
        field("correlation_id", Kind::Value, "The conversation."),
        field("causation_id", Kind::Value, "The message that led to it."),
        field("partition", Kind::Value, "Where it lies."),
        field("exact", Kind::Truth, "Its values have no other fields."),
    ],
};

pub(super) const STATE: Shape = Shape {
    what: "an expected state",
    fields: &[
        field("state", Kind::Text, "The aggregate."),
        field("key", Kind::Value, "Key of the instance."),
        field("version", Kind::Value, "Events applied."),
        field("value", Kind::Value, "The state, or those fields of it that matter."),
        field("exists", Kind::Truth, "Is there such an instance?"),
        field("exact", Kind::Truth, "The value has no other fields."),
    ],
};

pub(super) const ACCEPTED: Shape = Shape {
    what: "an expected acceptance",
    fields: &[
        field("accepted", Kind::Value, "The result that the asker is told; nothing stands for any."),
        field("version", Kind::Value, "Version of the aggregate."),
        field("topic", Kind::Text, "Where the reply lies."),
        field("key", Kind::Value, "Key of the reply."),
        field("correlation_id", Kind::Value, "The conversation."),
        field("causation_id", Kind::Value, "Id of the request."),
        field("exact", Kind::Truth, "The result has no other fields."),
    ],
};

pub(super) const REJECTED: Shape = Shape {
    what: "an expected rejection",
    fields: &[
        field("rejected", Kind::Value, "The code that the asker is told."),
        field("message", Kind::Value, "What the asker is told."),
        field("details", Kind::Value, "What the asker is told."),
        field("topic", Kind::Text, "Where the reply lies."),
        field("key", Kind::Value, "Key of the reply."),
        field("correlation_id", Kind::Value, "The conversation."),
        field("causation_id", Kind::Value, "Id of the request."),
        field("exact", Kind::Truth, "The details have no other fields."),
    ],
};

pub(super) const DEAD_LETTER: Shape = Shape {
    what: "an expected dead letter",
    fields: &[
        field("dead_letter", Kind::Value, "Its code."),
        field("class", Kind::Value, "`undecodable` or `permanent`."),
        field("node", Kind::Value, "Where the record failed; empty where no node had it yet."),
        field("stage", Kind::Value, "Where in the node."),
        field("message", Kind::Value, "Why."),
        field("details", Kind::Value, "Why, for programs."),
        field("topic", Kind::Value, "Where the record was read."),
        field("key", Kind::Value, "The record's key."),
        field("value", Kind::Value, "The record's value: as JSON, or as text where it is none."),
        field("exact", Kind::Truth, "Its values have no other fields."),
    ],
};

pub(super) const SAGA: Shape = Shape {
    what: "an expected saga",
    fields: &[
        field("saga", Kind::Text, "The saga."),
        field("key", Kind::Value, "Id of the instance."),
        field("exists", Kind::Truth, "Is there one at all?"),
        field("status", Kind::Value, "Where it stands: `running`, `completed`, `compensating`, `compensated`, …"),
        field("step", Kind::Value, "The step at work; several with commas between."),
        field("state", Kind::Value, "The state that it is in."),
        field("failed_step", Kind::Value, "The step that failed."),
        field("reason", Kind::Value, "Why it is not on its way."),
        field("data", Kind::Value, "What it knows, or those fields of it that matter."),
        field(
            "steps",
            Kind::Values,
            "What became of steps: `open`, `done`, `failed`, `skipped`, `undoing`, `undone`, `undo_failed`, `left`.",
        ),
        field("history", Kind::Value, "What it went through since the last `then`, in this order: words, or maps of details."),
        field("exact", Kind::Truth, "Its data has no other fields, and nothing else happened."),
    ],
};

pub(super) const HALTED: Shape = Shape {
    what: "an expected standstill",
    fields: &[field("halted", Kind::Text, "The node whose partition stands still."), field("reason", Kind::Value, "Why.")],
};

pub(super) const NONE: Shape = Shape {
    what: "what must not come",
    fields: &[field(
        "none",
        Kind::None,
        "True: nothing else is emitted, nor a dead letter written. A type or several: none of these.",
    )],
};

pub(super) const ANY_ORDER: Shape = Shape {
    what: "messages in any order",
    fields: &[field("any_order", Kind::Then, "These messages and dead letters come, in whatever order.")],
};

/// What an item of `given` may be.
pub(super) const GIVEN: [&Shape; 4] = [&GIVEN_STATE, &GIVEN_SAGA, &ANSWER, &MESSAGE];
/// What an item of `when` may be.
pub(super) const WHEN: [&Shape; 3] = [&ACTS, &ANSWER, &MESSAGE];
/// What an item of `then` may be, each known by its first field.
pub(super) const THEN: [&Shape; 9] = [&EMITTED, &SAGA, &STATE, &ACCEPTED, &REJECTED, &DEAD_LETTER, &HALTED, &NONE, &ANY_ORDER];
/// All of them.
#[cfg(test)]
pub(super) const ALL: [&Shape; 18] = [
    &FILE,
    &CASE,
    &STEP,
    &MESSAGE,
    &ACTS,
    &CRASH,
    &GIVEN_STATE,
    &GIVEN_SAGA,
    &ANSWER,
    &EMITTED,
    &SAGA,
    &STATE,
    &ACCEPTED,
    &REJECTED,
    &DEAD_LETTER,
    &HALTED,
    &NONE,
    &ANY_ORDER,
];
