//! E1: the file and its YAML.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E101",
        "A topology file is text in UTF-8. Bytes of another encoding would be read as other characters than were meant, so nothing of the file is taken.",
        "Save the file as UTF-8; most editors name the encoding in their status line.",
    ),
    entry!(
        "E102",
        "The file is not YAML at this place, or not the YAML that was meant. The usual reason is an expression that holds what YAML gives a meaning to: `: ` makes a key, a second quote ends the text, `[` and `{` open a list or a map, a backslash in double quotes is an escape.",
        "Put the whole value into quotes that it does not hold itself; where it begins with a quote, a `=` in front is enough.",
    ),
    entry!(
        "E103",
        "Within `{ }` and `[ ]` a comma ends a value, also one between the arguments of a function. What is left is half an expression and a key without a value.",
        "Quote the value, or write the map in block style, one field a line. `skald check --fix` quotes it.",
    ),
    entry!(
        "E104",
        "A key stands twice in one map. YAML readers take the first or the last of them without a word, so one of the two would be lost.",
        "Keep one of them.",
    ),
    entry!(
        "E105",
        "The language has no such field here. What is not known is refused rather than passed over: a misspelt field would silently keep its default.",
        "Write the field that was meant, often named in the hint. Notes of your own go into comments or into keys at the top that begin with `x-`.",
    ),
    entry!("E106", "A field that has no default is missing, or nothing is written behind it.", "Write the field."),
    entry!(
        "E107",
        "The value is of another kind than this field takes: a map where a list is wanted, a word that is no choice here, a text where a number must stand.",
        "Write a value of the kind that the message names.",
    ),
    entry!(
        "E108",
        "YAML reads a text that begins with `!` as a tag: a type for the value behind it, which is then empty. `!has(data.x)` would be a condition that says nothing.",
        "Begin with `=`, which means nothing in an expression and keeps YAML from reading a tag, or quote the text. `skald check --fix` writes the `=`.",
    ),
    entry!(
        "E109",
        "`<<` merges one map into another in YAML 1.1. It is not part of YAML 1.2, readers differ in what it does with keys that are on both sides, and so it is not part of the language.",
        "Write the fields out, or repeat a whole value by an anchor and its alias.",
    ),
    entry!(
        "E110",
        "A file, an expression or a value is larger, deeper or more than the language allows: 1 MiB, 64 levels and 10,000 values after aliases for a file. The bounds keep a hostile file from using up time and memory.",
        "Split the file into several topologies, or flatten the value.",
    ),
    entry!(
        "E111",
        "`${NAME}` is filled in from the environment, and the variable is not set; or a `${` is not closed, or names a file that cannot be read.",
        "Set the variable, or give a default: `${NAME:-100}`. A dollar itself is written `$$`.",
    ),
    entry!(
        "E112",
        "Variables are filled into scalars that are plain values. In names, topics, types, keys and expressions they would change what the file means from one machine to the next, and content from a file might end up in the log.",
        "Declare a param whose value is the variable, and read `params.…` in the expression.",
    ),
    entry!(
        "E113",
        "A length of time is a number with its unit: `100ms`, `30s`, `5m`, `1h30m`, `7d`. A bare number could be seconds or milliseconds, and both are common.",
        "Write the unit.",
    ),
    entry!(
        "E114",
        "Names end up in topics, metrics and paths, so each kind has its own letters: nodes `[a-z][a-z0-9-]*`, names in expressions `[a-zA-Z_][a-zA-Z0-9_]*`, topics what Kafka takes, types like `order.created.v1`.",
        "Choose a name of these letters.",
    ),
    entry!(
        "E115",
        "`---` begins a second document. One file is one topology: its name is the consumer group, and two of them in one file could not be told apart by path.",
        "Put the second document into a file of its own; `skald check` and `skald run` take several files.",
    ),
    entry!(
        "E116",
        "The field `skald` names the version of the language that the file is written in. This build speaks version 1.",
        "Use a build that speaks the version, or write the file in this one.",
    ),
    entry!(
        "E117",
        "The language has this field or choice, and this build does not. It is refused rather than passed over: a topology that runs without a part of what it says is wrong in silence.",
        "Leave it out, or use a build that has it.",
    ),
    entry!(
        "W101",
        "The text is a text here, by YAML 1.2. Readers of YAML 1.1, which many tools still are, take it for a truth value or a number: `NO` for false, `0123` for 83, `12:30` for 750.",
        "Quote it. `skald check --fix` does.",
    ),
];
