//! E2: names that refer to each other.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E201",
        "Aggregates, repositories, sagas and pipelines share one space of names: topics, stores and metrics are named by node, and two nodes of one name would find each other's state.",
        "Give one of them another name. A node that has run keeps its name, since its state is found by it.",
    ),
    entry!(
        "E202",
        "The topic is neither declared under `topics` nor derived by a node of this file. Topics are not created by being named: a misspelt one would be read for ever and give nothing.",
        "Write the topic that was meant, or declare it under `topics`.",
    ),
    entry!(
        "E203",
        "No topic of `from` declares messages of this type, so the handler would never run.",
        "Write the type as its topic declares it, add the topic to `from`, or declare the type.",
    ),
    entry!(
        "E204",
        "A message without `to` goes to the one topic that declares its type. Here none does, or several do.",
        "Write `to`, or declare the type under `types` of the topic that it belongs to.",
    ),
    entry!(
        "E205",
        "The topic lists its types, and this one is not among them: whoever reads the topic does not expect it.",
        "Write the type as declared, add it to the topic, or send to another topic.",
    ),
    entry!(
        "E208",
        "A transition, or the start of the saga, names a state that the saga does not have.",
        "Correct the name, or add the state under `states`.",
    ),
    entry!(
        "E209",
        "The topic's name is one that the engine derives from the topology and a node. The file that derives it does not declare it: partitions and policies follow from the node.",
        "Leave the declaration out, or give the topic another name. Other files may declare it to read it.",
    ),
    entry!(
        "E210",
        "A value is given for a param from outside (`--set params.x=…`), and the file has no such param or one of another type. The type of a param is that of the value in the file.",
        "Give a value of that type, or correct the name.",
    ),
    entry!(
        "E212",
        "The schema cannot be used: the file is not there or is no JSON, it is no JSON Schema, or it refers to another document. Schemas stand on their own, nothing is fetched.",
        "Correct the schema, or the name of its file, which counts from the folder of the topology.",
    ),
    entry!(
        "E213",
        "`upcasters` makes messages of an old type newer ones before anything sees them, one step after the other. So a handler names the newest type only, a chain ends, and the topics in which the old type lies know the newer one.",
        "Let the handler name the newest type; declare both types under `types` of the topic; take a circle apart.",
    ),
    entry!(
        "E214",
        "A computed topic must begin with a literal that ends in a dot. Otherwise a record could choose any topic of the cluster, the engine's own included.",
        "Begin with a text: `=\"copies.\" + data.region`.",
    ),
    entry!(
        "W201",
        "The topic or param is declared and nothing uses it. Often its name is misspelt where it should be.",
        "Use it, or leave it out.",
    ),
    entry!(
        "W202",
        "Over all files that are checked together, a topic is written and read, and one of its types is emitted by nothing or handled by nothing. Messages of a type that nothing handles are counted and passed over. Commands, which an aggregate decides about, may come from outside of the files.",
        "Correct the type, handle it, or leave it out. Where another system writes or reads it, the warning may stand.",
    ),
    entry!(
        "W203",
        "The node handles no type of message: whatever comes, it does nothing.",
        "List the types that it handles, or leave the node out.",
    ),
];
