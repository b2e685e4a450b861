//! E10: scenario files. Their examples need a topology beside them, `tests/scenario/codes/shop.yaml`, and stand with the scenarios.

use super::{Page, told};

pub(super) const PAGES: &[Page] = &[
    told!(
        "scenario/codes",
        "E1001",
        "The field `skald-test` names the version of the form that a scenario file is written in. This build reads version 1.",
        "Use a build that reads the version, or write the file in this one.",
    ),
    told!(
        "scenario/codes",
        "E1002",
        "A scenario file tries a topology, and that cannot be read or has errors of its own.",
        "Correct its path, which counts from the folder of the scenario file, or mend it: `skald check` tells what is wrong with it.",
    ),
    told!(
        "scenario/codes",
        "E1003",
        "The message goes to, or is expected on, a topic that the topology neither declares nor derives.",
        "Write the topic that was meant.",
    ),
    told!(
        "scenario/codes",
        "E1004",
        "No topic of the topology declares the message type, or the topic that is named does not.",
        "Write the type as it is declared, or declare it.",
    ),
    told!(
        "scenario/codes",
        "E1005",
        "Several topics declare the type, and the message does not say which it belongs to.",
        "Name the topic beside the type.",
    ),
    told!(
        "scenario/codes",
        "E1006",
        "A payload or a state does not fit its schema, so the engine would never meet it as it is written; or data that is said to be invalid fits.",
        "Correct the value, or the schema.",
    ),
    told!(
        "scenario/codes",
        "E1007",
        "The topology has no node of this name.",
        "Write the name of a node as the topology has it."
    ),
    told!(
        "scenario/codes",
        "E1008",
        "An item of a list says several things at once, or nothing that is known here.",
        "Write one thing per item: a message, a state, an act.",
    ),
    told!(
        "scenario/codes",
        "E1009",
        "The message needs a key, and none is given or can be computed by the topic's `key`.",
        "Give the message a `key`, or the data that the topic's `key` reads.",
    ),
    told!(
        "scenario/codes",
        "E1010",
        "The act cannot be done at this place of the case: one that names a worker that is not there, or after which no worker would be left.",
        "Begin with as many `workers` as the case needs, or let one join before.",
    ),
    told!(
        "scenario/codes",
        "E1011",
        "A case is known by its name: in reports, by `--filter`, in JUnit's file. Two of one name cannot be told apart.",
        "Name each case by what it shows.",
    ),
    told!(
        "scenario/codes",
        "E1012",
        "An answer is expected, and no message of the case asks for one; no node answers those who do not ask.",
        "Give the message `reply_to`, with a topic for the answer.",
    ),
    told!(
        "scenario/codes",
        "E1013",
        "What is given or expected of a saga names a status, a step or a state that it cannot have.",
        "Write the name as the topology has it; a step within a `parallel` is reached by the step that holds it.",
    ),
];
