//! E3: expressions and templates.

use super::{Page, entry};

pub(super) const PAGES: &[Page] = &[
    entry!(
        "E301",
        "The text is no expression of CEL: something is missing, left over or not closed.",
        "The usual slips: `and`, `or`, `not` are written `&&`, `||`, `!`; equality is `==`; YAML has cut the text at ` #` or a comma, and quotes around the whole keep it together.",
    ),
    entry!(
        "E302",
        "The name is neither one of the language (`data`, `event`, `key`, `state`, …) nor a `let`, param or loop variable.",
        "Write the name that was meant. A text within an expression needs quotes of its own.",
    ),
    entry!(
        "E303",
        "There is no function of this name. Expressions have no clock and no randomness, so that a replay gives the same answer: `now()` and `random()` are absent on purpose.",
        "Use the function that the hint names; `ctx.time` stands for the time, `hash01(x)` for chance.",
    ),
    entry!(
        "E304",
        "The function exists and takes other arguments: in number, in kind, or as a method of another value.",
        "Write the arguments that the message lists; `string(x)`, `int(x)` and `double(x)` convert.",
    ),
    entry!(
        "E305",
        "The operator has no meaning for values of these types. Nothing is converted silently, a number does not become text by being added to one.",
        "Convert one side: `string(x)`, `int(x)`, `double(x)`.",
    ),
    entry!(
        "E306",
        "The expression gives a value of another type than its place takes: a condition gives true or false, a key is text or an integer, `for_each.in` is a list.",
        "Write what gives that type: a comparison for a condition, `.orValue(…)` for an optional.",
    ),
    entry!(
        "E307",
        "The value has no field of this name: by the schema of its type, by the state that the file builds, or by the language.",
        "Write the field that was meant, or add it to the schema.",
    ),
    entry!(
        "E308",
        "Expressions are bounded, so that checking and running them is: 4 KiB, 32 levels, comprehensions at most 2 within each other.",
        "Give a part a name with `let`.",
    ),
    entry!(
        "E309",
        "A name of your own would hide one that is in scope, and readers would take it for that.",
        "Choose another name.",
    ),
    entry!(
        "E310",
        "The word is kept by CEL for itself and cannot be a name.",
        "Choose another name. A field of that name is read in brackets: `data['in']`.",
    ),
    entry!(
        "E311",
        "A part of the expression depends on nothing and always fails: a regular expression that is none, a division by zero, a text that is no timestamp.",
        "Correct the constant.",
    ),
    entry!(
        "E312",
        "`count`, `top`, `collect` and their like aggregate what a window saw. Outside of a window they have nothing to count.",
        "Use the functions of lists: `size(l)`, `sum(l)`, `min(l)`, `max(l)`.",
    ),
    entry!(
        "E313",
        "The name is one of the language, at other places than this: `state` belongs to the handlers of an aggregate, a pipeline has none.",
        "The message says where the name exists. What is needed here must come with the record, or the logic belongs there.",
    ),
    entry!(
        "W301",
        "The text is a literal, and reads like an expression over names in scope. A value computes only where it begins with `=` or holds `{…}`.",
        "Begin with `=`. If the text itself is meant, write `='…'`. `skald check --fix` writes the `=` where the schema knows the field.",
    ),
    entry!(
        "W302",
        "By its schema the field may be missing. Reading a field that is not there is an error of the record, which becomes a dead letter.",
        "Ask with `has(…)` before, or read with `.?field` and `.orValue(…)`; or make the field required in the schema.",
    ),
    entry!(
        "W303",
        "Of two integers `/` gives an integer and drops the fraction. Neither is declared to be an integer, so this may be a surprise that depends on the record.",
        "`double(x)` for a fraction, `int(x)` to say that the whole number is meant.",
    ),
    entry!(
        "W304",
        "The text is nothing but one placeholder, so a number becomes text on its way.",
        "`=expr` keeps the type. Where text is meant: `=string(expr)`. `skald check --fix` writes `=` where the value is text anyway.",
    ),
    entry!(
        "W305",
        "Values of these two types are never equal, whatever they hold: the comparison decides nothing.",
        "Compare values of one type; convert with `string(x)` or `int(x)`.",
    ),
    entry!("W306", "The `let` is given a name that nothing reads.", "Read it or leave it out."),
];
