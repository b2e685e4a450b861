//! E4: what is sent and kept against its schema.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E401",
        "The schema of the type demands a field that this message does not have, or may not have. Such a message is refused when it is written, and the record that caused it becomes a dead letter.",
        "Give the field; `.orValue(…)` gives one that may be missing a value.",
    ),
    entry!(
        "E402",
        "The message has a field that the schema of its type does not know.",
        "Write the field that was meant, leave it out (`omit(data, ['x'])`), or add it to the schema.",
    ),
    entry!(
        "E403",
        "The field is of another type than its schema says.",
        "Convert it: `string(x)`, `int(x)`, `double(x)`; or correct the schema.",
    ),
    entry!(
        "E404",
        "The topic's `key` reads a field that messages of one of its types do not have, or may not have. A message without a key cannot be assigned to a partition by it.",
        "Choose a field that all types of the topic have and require, or give the type a topic of its own.",
    ),
    entry!(
        "E405",
        "The schema of the state demands a field that neither `initial` nor any `set` gives.",
        "Give it a value in `initial`, set it, or do not require it.",
    ),
    entry!(
        "E406",
        "`set` assigns fields, so it is a map of fields with their new values.",
        "Write `set: { field: =value }`; an expression may stand for the whole if it gives a map.",
    ),
    entry!(
        "E407",
        "What `data` of an upcaster makes of an old message must be what the newer type's schema says, for every old message: a record that cannot be made newer becomes a dead letter. Likewise what `upcast` of an aggregate makes of a stored state.",
        "Give the fields that are missing a value (`.orValue(…)`), take those away that the newer one has not (`omit(data, ['x'])`), convert the others.",
    ),
    entry!(
        "E408",
        "An envelope of your own names the places of its parts as dotted paths into the value, and this is none. Or it is metadata of a message in a topic of CloudEvents, whose attributes have names of lower-case letters and digits.",
        "Write names of fields with single dots between: `header.type`. Of a CloudEvent write `tenantid`, not `tenantId`.",
    ),
    entry!(
        "E409",
        "The bytes of an Avro topic are read and written by Avro schemas, those of a Protobuf topic by messages of `.proto` files, those of others by JSON Schema or none. A message that such a topic gets, or one of JSON with `registry: true`, needs a schema for its type; and where the subject is the topic's, there is one schema for all of it.",
        "Name an `.avsc` file, or `file.proto#Message`, for the type (`.json` with `registry: true`), or change `format`; for several types write `subject: topic-record`.",
    ),
    entry!(
        "W401",
        "The topic lists no types, so nothing of its records is known: fields, types and misspelt names in expressions are found when a record fails, not before the start.",
        "List the types, each with its schema; `{}` is any content.",
    ),
    entry!(
        "W402",
        "The schema is a version of a subject in a schema registry, and no registry was named to look it up. Expressions over its values are not checked, and the topology cannot be run.",
        "Name the registry: `skald check --schema-registry http://registry:8081`. A version (`@3`) makes sure that all see the same.",
    ),
];
