//! The names of the language (`language.md` §4): one table for all positions, so that a name that exists elsewhere is told
//! from one that exists nowhere.

use super::{Object, Type};

/// Number of a name: what a compiled expression reads in place of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot as an index into a table of values.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The number among the locals, of a local.
    pub fn local(self) -> Option<usize> {
        self.index().checked_sub(FIRST_LOCAL.index())
    }
}

macro_rules! names {
    ($($slot:ident $number:literal $name:literal $place:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $place, ".")] pub const $slot: Slot = Slot($number);)*

        /// All names with where they exist, by slot.
        const TABLE: &[(&str, Slot, &str)] = &[$(($name, $slot, $place)),*];
    };
}

names! {
    DATA 0 "data" "wherever a message is at hand";
    EVENT 1 "event" "wherever a message is at hand";
    KEY 2 "key" "in handlers and steps, once the key is known";
    HEADERS 3 "headers" "in handlers and steps, and in HTTP routes";
    RECORD 4 "record" "in handlers and steps";
    CTX 5 "ctx" "in handlers, steps and HTTP routes";
    PARAMS 6 "params" "everywhere but in `topics`, `upcasters` and `upcast`";
    TABLES 7 "tables" "in `decide`, pipeline steps and sagas";
    STATE 8 "state" "in `decide`, `evolve`, `updates`, `upcast` and `window.set`";
    VERSION 9 "version" "in `decide`, `evolve` and `updates`";
    SAGA 10 "saga" "in sagas";
    ERROR 11 "error" "in `errors` and in the `failure` of a `call`";
    REASON 12 "reason" "in `retry.when` of a saga's step";
    RESPONSE 13 "response" "in `success` and `failure` of a `call`, and in pipeline steps after one";
    WINDOW 14 "window" "in and after a `window` step";
    OTHER 15 "other" "in and after a `join` step";
    REQUEST 16 "request" "in HTTP routes";
    PATH 17 "path" "in HTTP routes";
    QUERY 18 "query" "in HTTP routes";
    BODY 19 "body" "in HTTP routes";
    CLAIMS 20 "claims" "in HTTP routes";
}

/// Slot of the first local: a `let`, an `as`, an operation's name. The others follow in the order declared.
pub const FIRST_LOCAL: Slot = Slot(TABLE.len() as u16);

/// Words that CEL keeps for itself: no name may be one of them.
pub const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// The slot of a name of the language.
pub fn slot(name: &str) -> Option<Slot> {
    TABLE.iter().find(|(known, _, _)| *known == name).map(|(_, slot, _)| *slot)
}

/// The name of a slot of the language.
pub fn name(slot: Slot) -> Option<&'static str> {
    TABLE.get(slot.index()).map(|(name, _, _)| *name)
}

/// Where a name of the language exists, to follow "exists".
pub(super) fn place(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|(known, _, _)| *known == name).map(|(_, _, place)| *place)
}

/// Type of `event`, which is the same everywhere.
pub fn event() -> Type {
    Object::closed()
        .with("id", Type::String)
        .with("type", Type::String)
        .with("source", Type::String)
        .with("correlationId", Type::String)
        .with("time", Type::Timestamp)
        .with_optional("version", Type::String)
        .with_optional("causationId", Type::String)
        .with("metadata", Type::map(Type::Any))
        .into()
}

/// Type of `record`.
pub fn record() -> Type {
    Object::closed()
        .with("topic", Type::String)
        .with("partition", Type::Int)
        .with("offset", Type::Int)
        .with("timestamp", Type::Timestamp)
        .into()
}

/// Type of `ctx`.
pub fn ctx() -> Type {
    Object::closed().with("time", Type::Timestamp).with("id", Type::String).into()
}

/// Type of `ctx` where a record may be tried again.
pub fn ctx_of_try() -> Type {
    Object::closed().with("time", Type::Timestamp).with("id", Type::String).with("attempt", Type::Int).into()
}

/// Type of `headers`.
pub fn headers() -> Type {
    Type::map(Type::String)
}

/// Type of `saga`, with `saga.data` of that type; of a saga of steps (`led`) or of states. Texts are empty where there is none.
pub fn saga(data: Type, led: bool) -> Type {
    let object = Object::closed()
        .with("id", Type::String)
        .with("name", Type::String)
        .with("status", Type::String)
        .with("reason", Type::String)
        .with("attempt", Type::Int)
        .with("startedAt", Type::Timestamp)
        .with("data", data);
    match led {
        true => object.with("step", Type::String).with("failedStep", Type::String),
        false => object.with("state", Type::String),
    }
    .into()
}

/// Type of `error`.
pub fn error() -> Type {
    Object::closed()
        .with("id", Type::String)
        .with("code", Type::String)
        .with("class", Type::String)
        .with("message", Type::String)
        .with("node", Type::String)
        .with("stage", Type::String)
        .with("attempts", Type::Int)
        .with("retryable", Type::Bool)
        .with("firstAt", Type::Timestamp)
        .with("details", Type::Any)
        .into()
}
