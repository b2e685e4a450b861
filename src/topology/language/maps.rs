//! The maps, in the order of the language's reference.

use super::{CODE, Field, IDENT, Kind, Map, NAME, TOPIC, TYPE};
use Kind::{Any, Bool, Duration, Either, Expr, Int, Keyed, List, Null, Number, Of, One, Schema, Some, Text, Word};

const ANY_KEY: &str = "";
const STATE: &str = "^[A-Za-z][A-Za-z0-9_-]{0,62}$";

const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, required: false, kind, about }
}

const fn needed(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, required: true, kind, about }
}

const fn map(name: &'static str, what: &'static str, about: &'static str, fields: &'static [Field]) -> Map {
    Map { name, what, about, fields }
}

const DESCRIPTION: Field = field("description", Text, "For readers");
const FROM: Field = needed("from", Some(&Either(&[Word(TOPIC), Of("source")])), "Topics that it reads");
const LET: Field = field("let", Keyed(IDENT, &Expr), "Names for parts of the expressions below");
const REPLIES: Field = field("replies", Word(TOPIC), "Topic for results when a message has no `reply-to`");
const ERRORS: Field = field("errors", Either(&[Null, Of("errors")]), "What is done with failures");
const STORE: Field = field("store", One(&["disk", "memory"]), "Where the state is kept");
const TTL: Field = field("ttl", Duration, "A state goes after so long without a change; never where it is not given");
const SNAPSHOTS: Field = field("snapshots", Word(TOPIC), "Topic of the state; derived where it is not given");
const TYPES_TAKEN: Field = field("type", Some(&Word(TYPE)), "Message types");

const HEADERS: Field = field("headers", Any, "Headers, as a template of a map");
const METADATA: Field = field("metadata", Any, "Metadata of the envelope, as a template of a map");
const ID: Field = field("id", Expr, "Id; derived where it is not given");
const KEY: Field = field("key", Expr, "Key; only where the topic declares none");
const TO: Field = field("to", Text, "Topic, or `=\"prefix.\" + …`; else the one that declares the type");
const DATA: Field = field("data", Any, "Payload, as a template");
const WHEN: Field = field("when", Expr, "Does it hold here?");
const REASON: Field = field("reason", Any, "The saga's reason, as a template");
const TIMEOUT: Field = field("timeout", Duration, "How long an answer is waited for");
const SET_DATA: Field = field("set", Any, "Fields of `saga.data` that are written");
const MESSAGES: Field = field("emit", Some(&Of("message")), "Messages to send");

const THAT: Field = needed("that", Expr, "What must hold");
const REFUSAL: Field = needed("code", Word(CODE), "Code of the refusal: `OUT_OF_STOCK`");
const MESSAGE: Field = field("message", Text, "For people, as a template of text");
const DETAILS: Field = field("details", Any, "For programs, as a template");

/// All maps. Maps that findings give the same name differ by where they stand.
pub(super) const MAPS: &[Map] = &[
    map(
        "topology",
        "a topology",
        "A topology: one file, one consumer group",
        &[
            needed("skald", Int(1, 1), "Version of the language"),
            needed("topology", Word(NAME), "Name: the consumer group, and the prefix of all derived names"),
            field("version", Int(1, u32::MAX as i64), "Version of the content"),
            DESCRIPTION,
            field("params", Keyed(IDENT, &Any), "Values that expressions read as `params.…`"),
            field("topics", Keyed(TOPIC, &Either(&[Null, Of("topic")])), "Contracts of the topics that are read and written"),
            field("upcasters", Keyed(TYPE, &Of("upcaster")), "What messages of old types become before anything sees them"),
            field("aggregates", Keyed(NAME, &Of("aggregate")), "Nodes with a state per key"),
            field("repositories", Keyed(NAME, &Of("repository")), "Aggregates whose state is an entity"),
            field("pipelines", Keyed(NAME, &Of("pipeline")), "Nodes of steps without a state"),
            field("sagas", Keyed(NAME, &Of("saga")), "Processes over several messages, with undo"),
            ERRORS,
            field("reply_to", Some(&Text), "Globs of topics that a `reply-to` header may name"),
        ],
    ),
    map(
        "upcaster",
        "an upcaster",
        "An old type of messages, and the newer one that it becomes",
        &[
            needed("to", Word(TYPE), "The newer type"),
            needed("data", Any, "The newer payload, as a template over `data` and `event` of the old message"),
        ],
    ),
    map(
        "topic",
        "a topic",
        "The contract of a topic",
        &[
            DESCRIPTION,
            field("partitions", Int(1, 100_000), "Number of partitions"),
            field("replication", Int(1, 1_000), "Replication factor"),
            field("retention", Either(&[One(&["forever"]), Duration]), "How long records are kept"),
            field("cleanup", One(&["delete", "compact", "both"]), "Cleanup policy"),
            field("config", Keyed(ANY_KEY, &Text), "Other settings of the broker"),
            field(
                "types",
                Either(&[List(&Word(TYPE)), Keyed(TYPE, &Schema)]),
                "Message types with their schemas; `{}` is anything",
            ),
            field("key", Expr, "How records are keyed, over `data` and `event`"),
            field(
                "envelope",
                Either(&[One(&["event", "cloudevents", "none"]), Of("envelope")]),
                "Where a record says what it is",
            ),
            field("type_header", Text, "With `envelope: none`: the header that names the type"),
            field("format", One(&["json", "avro", "protobuf", "auto", "string", "bytes"]), "From bytes to a payload"),
            field("key_format", One(&["json", "string", "bytes"]), "From bytes to a key"),
            field("validate", Bool, "Are payloads checked against their schema?"),
            field("registry", Bool, "With `format: json`: does the id of a schema stand before each value?"),
            field(
                "subject",
                One(&["topic", "record", "topic-record"]),
                "Where values carry the ids of schemas: what these are called in the registry",
            ),
            field("auto_register", Bool, "Where values carry the ids of schemas: are these registered where they are not?"),
        ],
    ),
    map(
        "envelope",
        "an envelope",
        "A foreign envelope, which is read only: dotted paths into the value",
        &[
            field("id", Text, ""),
            needed("type", Text, ""),
            field("source", Text, ""),
            field("time", Text, ""),
            needed("data", Text, ""),
            field("correlation_id", Text, ""),
            field("causation_id", Text, ""),
        ],
    ),
    map(
        "source",
        "a source",
        "A topic, or topics by a pattern",
        &[
            field("topic", Word(TOPIC), "A topic"),
            field("pattern", Text, "A regular expression over whole names; for pipelines"),
            field("key", Expr, "In place of the node's key"),
            field("start", Text, "`earliest`, `latest` or a timestamp: where nothing is committed"),
            field("max_age", Duration, "Older records are dead letters"),
        ],
    ),
    map(
        "errors",
        "`errors`",
        "What is done with failures",
        &[
            field("undecodable", One(&["skip", "stop"]), "Records that cannot be read"),
            field("retry", Of("retry"), "Tries of what may pass, while its key waits"),
            field("then", One(&["skip", "stop", "park"]), "Permanent failures, and tries used up"),
            field("park", Of("park"), "How many records may wait"),
            field("stop_above", Either(&[Null, Of("stop-above")]), "Halts when more than a share cannot be read"),
            field("emit", Some(&Of("message")), "Messages beside the dead letter"),
        ],
    ),
    map(
        "park",
        "`park`",
        "How many records may wait; over it the partition pauses",
        &[
            field("per_key", Int(1, 10_000_000), "Of one key"),
            field("per_partition", Int(1, 10_000_000), "Of a partition of the node"),
        ],
    ),
    map(
        "stop-above",
        "`stop_above`",
        "The partition halts when more than a share of its records cannot be read",
        &[
            field("share", Number, "Of the records, above 0 and below 1"),
            field("within", Duration, "Counted over so long, up to 24h"),
            field("at_least", Int(1, 1_000_000_000), "Of fewer records nothing follows"),
        ],
    ),
    map(
        "message",
        "a message",
        "A message to send",
        &[
            field("type", Word(TYPE), "Message type; in a pipeline the current one where it is not given"),
            TO,
            KEY,
            DATA,
            HEADERS,
            METADATA,
            ID,
            field("when", Expr, "Is it sent at all?"),
            field("for_each", Of("for-each"), "One message per element of a list"),
            field("delay", Either(&[Duration, Word("^=")]), "Kept for so long, then sent"),
            field("timer", Text, "Name of the delay, as a template of text: another of the same name and key takes its place"),
        ],
    ),
    map(
        "for-each",
        "`for_each`",
        "",
        &[
            needed("in", Expr, "A list"),
            needed("as", Word(IDENT), "Name of the element"),
            field("index", Word(IDENT), "Name of its index"),
        ],
    ),
    map("rule", "a rule", "What must hold, and what a refusal says", &[THAT, REFUSAL, MESSAGE, DETAILS]),
    map(
        "rule-of-decide",
        "a rule",
        "What must hold, and what a refusal says",
        &[
            THAT,
            REFUSAL,
            MESSAGE,
            DETAILS,
            field("emit", Some(&Of("message")), "Messages in place of the handler's"),
            field("dead_letter", Bool, "Is a refusal a permanent error too?"),
        ],
    ),
    map(
        "rule-of-step",
        "a rule",
        "What must hold, and what a refusal says",
        &[THAT, REFUSAL, MESSAGE, DETAILS, field("retryable", Bool, "Is it tried again?")],
    ),
    map(
        "retry",
        "a retry policy",
        "",
        &[
            field("attempts", Int(1, 1_000_000), "All tries"),
            field("backoff", Duration, "Wait before the second try"),
            field("multiplier", Number, "How the waits grow"),
            field("max_backoff", Duration, "Longest wait"),
            field("jitter", Number, "Part of a wait that is random, 0 to 1"),
            field("when", Expr, "Is there another try?"),
        ],
    ),
    map(
        "aggregate",
        "an aggregate",
        "Messages meet a state per key (`decide`), events change it (`evolve`)",
        &[
            DESCRIPTION,
            FROM,
            field("key", Expr, "Key of the instance; the record's where it is not given"),
            field("events", Word(TOPIC), "Topic of decided events"),
            field("initial", Any, "State before the first event, as a template"),
            field("schema", Schema, "Type of the state"),
            field("decide", Keyed(TYPE, &Of("decide")), "Message types that meet the state"),
            field("evolve", Keyed(TYPE, &Either(&[Null, Of("evolve")])), "Event types that change the state"),
            field("updates", Some(&Of("message")), "Messages after each applied event, with the new state"),
            REPLIES,
            field("dedupe", Duration, "How long an answered request is remembered; `0s`: not"),
            TTL,
            STORE,
            SNAPSHOTS,
            ERRORS,
            field("state_version", Int(1, 1_000), "Version of the state's shape; stored states of older ones are migrated"),
            field(
                "upcast",
                Keyed("^[1-9][0-9]*$", &Any),
                "Older versions, each with its states in the next one, as a template",
            ),
        ],
    ),
    map(
        "decide",
        "a handler of `decide`",
        "A message meets the state",
        &[
            LET,
            field("when", Expr, "Is it for this state?"),
            field("require", Some(&Of("rule-of-decide")), "What must hold; the first that does not refuses"),
            field("cancel_timer", Some(&Text), "Timers of delayed messages that are not sent after all"),
            MESSAGES,
            field("reply", Any, "Result for who asked, as a template"),
        ],
    ),
    map(
        "evolve",
        "a handler of `evolve`",
        "An event changes the state",
        &[
            LET,
            field("set", Any, "Fields that are assigned, as a template of a map"),
            field("unset", Some(&Text), "Fields that are taken away"),
            field("delete", Bool, "Does the state end?"),
        ],
    ),
    map(
        "repository",
        "a repository",
        "An aggregate whose state is an entity: create, update, delete",
        &[
            DESCRIPTION,
            needed("schema", Schema, "Schema of the entity"),
            field("key", Expr, "Key of the entity"),
            field("commands", Word(TOPIC), "Topic of its commands; derived where it is not given"),
            field("events", Word(TOPIC), "Topic of its events; derived where it is not given"),
            SNAPSHOTS,
            REPLIES,
            TTL,
            STORE,
            ERRORS,
        ],
    ),
    map(
        "pipeline",
        "a pipeline",
        "Steps that each record goes through",
        &[DESCRIPTION, FROM, TYPES_TAKEN, needed("steps", List(&Of("step")), "In this order"), REPLIES, STORE, ERRORS],
    ),
    map(
        "step",
        "a step",
        "One operator",
        &[
            field("name", Word(NAME), "Name"),
            DESCRIPTION,
            LET,
            field("filter", Expr, "False ends the record here"),
            field("rekey", Expr, "A new key"),
            field("flat_map", Expr, "A list: one record per element"),
            field("map", Any, "New data, as a template"),
            field("set", Any, "Fields assigned to the data, as a template of a map"),
            field("validate", Schema, "Schema that the data must fit"),
            field("require", Some(&Of("rule-of-step")), "What must hold"),
            field("branch", List(&Of("arm")), "The first arm that holds takes the record"),
            MESSAGES,
            field("reply", Any, "Result for who asked, as a template"),
            field("dedupe", Of("dedupe"), "What was seen within a time ends here; the step needs a name"),
        ],
    ),
    map(
        "dedupe",
        "a `dedupe`",
        "Knows records again",
        &[needed("by", Expr, "What a record is known by"), needed("within", Duration, "How long it is known")],
    ),
    map(
        "arm",
        "an arm of a branch",
        "",
        &[field("when", Expr, "Without it: all that came so far"), needed("steps", List(&Of("step")), "")],
    ),
    map(
        "saga",
        "a saga",
        "A process over several messages: `steps` one after the other, or `states` that follow what others do",
        &[
            DESCRIPTION,
            FROM,
            field("key", Expr, "Id of the instance"),
            needed("start", Either(&[Of("saga-start"), Of("saga-start-state")]), "The message that begins it"),
            field("early", Of("early"), "Messages before their saga"),
            field("compensation", One(&["reverse", "parallel"]), "Order of undoing"),
            field("cancel", Of("cancel"), "A message that undoes it"),
            field("timeout", Duration, "Time of the whole saga"),
            field("retain", Duration, "How long it is kept after its end"),
            field("completed", Of("ending"), ""),
            field("compensated", Of("ending"), ""),
            field("failed", Of("ending"), ""),
            field("steps", List(&Of("saga-step")), "In this order"),
            field("states", Keyed(STATE, &Either(&[Null, Of("state")])), "By name"),
            field("transitions", Some(&Of("transition")), "Transitions of every state that is not final"),
            ERRORS,
        ],
    ),
    map("saga-start", "`start`", "", &[needed("type", Some(&Word(TYPE)), ""), WHEN, DATA]),
    map(
        "saga-start-state",
        "`start`",
        "",
        &[needed("type", Some(&Word(TYPE)), ""), WHEN, DATA, field("state", Word(STATE), "State that it begins in")],
    ),
    map(
        "early",
        "`early`",
        "",
        &[
            field("within", Duration, "How long they are kept"),
            field("limit", Int(0, 10_000), "How many of one saga"),
            field("then", One(&["dead_letter", "drop"]), "What becomes of them then"),
        ],
    ),
    map("ending", "the end of a saga", "", &[MESSAGES, field("reply", Any, "Answer to who asked, as a template")]),
    map("cancel", "`cancel`", "", &[TYPES_TAKEN, WHEN, REASON]),
    map(
        "saga-step",
        "a step",
        "One action, what answers it, and what undoes it",
        &[
            needed("name", Word(NAME), "Name; its state is found by it"),
            DESCRIPTION,
            field("when", Expr, "False: skipped"),
            field("for_each", Of("step-for-each"), "Once per element of a list"),
            field("require", Some(&Of("rule")), "What must hold"),
            field("send", Of("send"), "A message whose answer is waited for"),
            MESSAGES,
            field("parallel", List(&Of("saga-step")), "Steps at the same time"),
            field("success", Of("success"), "What makes it succeed"),
            field("failure", Of("failure"), "What makes it fail"),
            TIMEOUT,
            field("retry", Of("retry"), ""),
            field("compensate", Of("compensate"), "What undoes it"),
            field("optional", Bool, "Does its failure fail nothing?"),
            field("pivot", Bool, "Is nothing undone once it is done?"),
        ],
    ),
    map("send", "`send`", "", &[needed("type", Word(TYPE), ""), TO, KEY, DATA, HEADERS, METADATA, ID]),
    map("step-for-each", "`for_each` of a step", "", &[needed("in", Expr, "A list"), needed("as", Word(IDENT), "")]),
    map("success", "`success`", "", &[TYPES_TAKEN, WHEN, SET_DATA]),
    map("failure", "`failure`", "", &[TYPES_TAKEN, WHEN, SET_DATA, REASON]),
    map(
        "compensate",
        "`compensate`",
        "",
        &[
            field("send", Of("send"), ""),
            MESSAGES,
            field("success", Of("success"), ""),
            field("failure", Of("failure"), ""),
            TIMEOUT,
            field("retry", Of("retry"), ""),
        ],
    ),
    map(
        "state",
        "a state",
        "",
        &[
            DESCRIPTION,
            field("emit", Some(&Of("message")), "On entering"),
            field("transitions", Some(&Of("transition")), "The first that fits"),
            field("ignore", Some(&Word(TYPE)), "Types that are passed over"),
            field("final", One(&["completed", "compensated", "failed"]), "The end"),
        ],
    ),
    map(
        "transition",
        "a transition",
        "",
        &[
            TYPES_TAKEN,
            field("after", Duration, "So long after entering"),
            WHEN,
            field("to", Word(STATE), "The next state; without it this one stays"),
            SET_DATA,
            MESSAGES,
            REASON,
        ],
    ),
];
