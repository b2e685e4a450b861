//! The table of diagnostics: every code that this build can say, once.

/// Codes with what each is about. A code keeps its meaning for ever; one that is no longer said is not given away again. Each
/// has its page in [`explain`](super::explain) and its two examples in `tests/topology/codes`.
const CODES: &[(&str, &str)] = &[
    ("E101", "the file is not UTF-8"),
    ("E102", "YAML syntax"),
    ("E103", "a value is cut by a comma"),
    ("E104", "a key is written twice"),
    ("E105", "unknown field"),
    ("E106", "a field is missing"),
    ("E107", "wrong kind of value"),
    ("E108", "a tag"),
    ("E109", "a merge key"),
    ("E110", "a limit is passed"),
    ("E111", "a variable is not set"),
    ("E112", "variables are not filled in here"),
    ("E113", "not a duration"),
    ("E114", "not a name"),
    ("E115", "several documents in one file"),
    ("E116", "another version of the language"),
    ("E117", "known, not in this build"),
    ("W101", "other YAML tools read this differently"),
    ("E201", "two nodes of one name"),
    ("E202", "unknown topic"),
    ("E203", "a type that no topic of `from` has"),
    ("E204", "the topic of a message is ambiguous or unknown"),
    ("E205", "the topic does not declare the type"),
    ("E208", "unknown state"),
    ("E209", "a derived topic is declared"),
    ("E210", "param"),
    ("E212", "a schema cannot be used"),
    ("E213", "an upcaster in a circle or without an end, or a handler of an old type"),
    ("E214", "a computed topic without a literal prefix"),
    ("W201", "declared and not used"),
    ("W202", "a type that nothing emits, or nothing handles"),
    ("W203", "a node that nothing reaches"),
    ("E301", "expression syntax"),
    ("E302", "unknown name"),
    ("E303", "unknown function"),
    ("E304", "wrong arguments"),
    ("E305", "an operator does not take these types"),
    ("E306", "an expression gives another type than is wanted here"),
    ("E307", "unknown field of a value"),
    ("E308", "an expression is too long, too deep or too nested"),
    ("E309", "a name hides another"),
    ("E310", "a reserved word"),
    ("E311", "a constant part always fails"),
    ("E312", "an aggregate function outside of a window"),
    ("E313", "a name that exists, but not here"),
    ("W301", "a text that looks like an expression"),
    ("W302", "the field may be missing"),
    ("W303", "the division may truncate"),
    ("W304", "a text that is one placeholder"),
    ("W305", "the comparison is always false"),
    ("W306", "a `let` that nothing reads"),
    ("E401", "a required field is missing"),
    ("E402", "a field that the schema does not have"),
    ("E403", "a field of another type"),
    ("E404", "the schema does not have the field that the topic's key reads"),
    ("E405", "a state field that is never set"),
    ("E406", "`set` gives no map"),
    ("E407", "what an old message or state becomes does not fit"),
    ("E408", "a path or a name that the envelope cannot have"),
    ("E409", "schema and format of a topic do not go together"),
    ("W401", "a topic without types"),
    ("W402", "a schema of a registry was not looked up"),
    ("E501", "partition counts differ"),
    ("E503", "a compacted topic without a key"),
    ("E504", "cleanup policy of a snapshots topic"),
    ("E505", "a source reads what its own node, or its own topology, writes"),
    ("E506", "a pattern meets a stateful node"),
    ("E507", "a setting that the engine owns"),
    ("W501", "a repartition topic is planned"),
    ("W502", "the key of a topic is not declared"),
    ("W503", "events are not kept for ever"),
    ("E601", "neither `decide` nor `evolve`"),
    ("E602", "an `evolve` of a type that the aggregate does not emit"),
    ("E603", "an aggregate reads its own events"),
    ("E604", "a delayed event of the aggregate's own"),
    ("E606", "not a code"),
    ("E607", "no step from an older version of the state"),
    ("E608", "a timer that no message has"),
    ("W601", "a state that nothing reads"),
    ("W602", "a request that is neither answered nor acted on"),
    ("E701", "steps and states, or neither"),
    ("E702", "several actions in one step"),
    ("E703", "a type of the failure without one of the success"),
    ("E704", "nobody replies"),
    ("E705", "a field of `saga.data` that nothing writes"),
    ("E706", "a field of `saga.data` that may not be set here"),
    ("E708", "a saga has less time than its steps"),
    ("E709", "a state, or an end, that is never reached"),
    ("E710", "no final state can be reached"),
    ("E711", "a final state with transitions"),
    ("E712", "a transition that is never taken"),
    ("E713", "two steps of one name"),
    ("E714", "a compensation after the pivot"),
    ("E716", "elements of a `for_each` that are not told apart"),
    ("W701", "a step that nothing undoes"),
    ("W702", "a wait that may not end"),
    ("W703", "a compensation that nobody confirms"),
    ("W704", "a required step after the pivot without `retry`"),
    ("E801", "not exactly one operator"),
    ("E802", "a step that keeps something, without a name of its own"),
    ("E803", "a step that is never reached"),
    ("E804", "the arm without `when` is not the last"),
    ("E808", "the data is no map here"),
    ("E901", "tries, jitter or multiplier of a retry policy"),
    ("E908", "the key of a message"),
    ("E909", "a field that the step owns"),
    ("E910", "bounds of what waits, or of what cannot be read"),
];

/// Codes of scenario files (`skald test`), beside those of any YAML.
const SCENARIO: &[(&str, &str)] = &[
    ("E1001", "another version of scenario files"),
    ("E1002", "the topology of a scenario file cannot be used"),
    ("E1003", "a topic that the topology does not have"),
    ("E1004", "a message type that the topic does not have"),
    ("E1005", "the topic of a message is not clear"),
    ("E1006", "a value that does not fit its schema"),
    ("E1007", "unknown node"),
    ("E1008", "it is not clear what an item is"),
    ("E1009", "the key of a message cannot be told"),
    ("E1010", "something that cannot be done to a worker"),
    ("E1011", "two cases of one name"),
    ("E1012", "an answer where nobody asks"),
    ("E1013", "a status, step or state that the saga does not have"),
];

/// Codes of what `skald check --online` finds on a cluster.
const ONLINE: &[(&str, &str)] = &[
    ("E509", "a topic of the cluster is not what the topology needs"),
    ("E510", "the cluster would not create a topic"),
    ("E511", "a right that the topology needs is missing"),
    ("W504", "a declared topic is not on the cluster"),
    ("W505", "the cluster has another setting for a topic"),
    ("W506", "a right is missing that a worker can do without"),
];

/// What a code is about; `None`: this build never says it.
pub fn title(code: &str) -> Option<&'static str> {
    CODES.iter().chain(ONLINE).chain(SCENARIO).find(|(known, _)| *known == code).map(|(_, title)| *title)
}

/// The codes that only scenario files have, with what each is about.
pub fn of_scenarios() -> impl Iterator<Item = (&'static str, &'static str)> {
    SCENARIO.iter().copied()
}

/// The codes that need a cluster beside the file, with what each is about.
pub fn of_clusters() -> impl Iterator<Item = (&'static str, &'static str)> {
    ONLINE.iter().copied()
}

/// The codes of topology files alone, with what each is about.
pub fn of_topologies() -> impl Iterator<Item = (&'static str, &'static str)> {
    CODES.iter().copied()
}

/// All codes that this build can say, with what each is about.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    CODES.iter().chain(ONLINE).chain(SCENARIO).copied()
}
