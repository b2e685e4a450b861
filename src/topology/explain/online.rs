//! E5 and W5 that only a cluster tells (`skald check --online`). Lines of the examples that begin with `# cluster` say what it has.

use super::{Page, told};

pub(super) const PAGES: &[Page] = &[
    told!(
        "topology/online",
        "E509",
        "The topic is on the cluster with another number of partitions, or another cleanup policy. A worker would not start: keys are found by the number of partitions, and states live by the policy.",
        "Declare the number that the topic has, or make a new topic; set a policy with the command of the hint.",
    ),
    told!(
        "topology/online",
        "E510",
        "The topic is not there, and the cluster was asked whether it would create it as the file has it. It would not: it does not know a setting, has too few brokers for the replication, or has a rule of its own.",
        "Correct `config`, `replication` or `partitions` of the topic. The log of the cluster's controller says more than it answers.",
    ),
    told!(
        "topology/online",
        "E511",
        "The principal that asks may not do what a worker must do. Without it the worker does not start or its task halts; where dead letters cannot be written, at the first record that fails.",
        "Grant the right that is named; `skald plan` lists all of them. Check as the principal that runs the topology.",
    ),
    told!(
        "topology/online",
        "W504",
        "The file declares the topic, and the cluster does not have it. `skald run` does not start without it, unless with `--create-topics`. A topic that the principal may not describe looks the same.",
        "`skald apply` creates it; a check after that is without the warning.",
    ),
    told!(
        "topology/online",
        "W505",
        "The file declares a setting, or the engine would make its own topic with it, and the topic on the cluster has another one. The engine never changes the settings of a topic that is there.",
        "Set it with the command of the hint, or declare what is.",
    ),
    told!(
        "topology/online",
        "W506",
        "The principal that asks lacks a right without which a worker runs, but not as well: committed records of repartition topics stay, a topic that is not there must be made by somebody else, or what is run is not recorded.",
        "Grant the right that is named, or let a principal that has it run `skald apply`.",
    ),
];
