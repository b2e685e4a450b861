//! The Kafka cluster that a command works with.

use super::Problem;
use crate::broker::kafka::{GroupProtocol, Kafka, Properties};
use crate::broker::{self, ErrorClass};
use crate::config::{Cluster, Exit};

/// A client with the properties given; nothing is connected yet.
pub(super) fn client(cluster: &Cluster) -> Result<Kafka, Problem> {
    member(cluster, GroupProtocol::default())
}

/// The same for a worker, whose groups share partitions by this protocol.
pub(super) fn member(cluster: &Cluster, protocol: GroupProtocol) -> Result<Kafka, Problem> {
    let mut properties = Properties::new(cluster.brokers.as_str());
    properties.set_group_protocol(protocol);
    for property in &cluster.properties {
        properties.set(&property.key, &property.value).map_err(|error| Problem::of(Exit::Usage, &error))?;
    }
    Kafka::new(properties).map_err(|error| Problem::of(Exit::Usage, &error))
}

/// Waits until a broker answers.
pub(super) fn contact(kafka: &Kafka, cluster: &Cluster) -> Result<(), Problem> {
    kafka.contact().map_err(|error| {
        Problem::new(Exit::BrokerUnreachable, format!("no broker answers at {}", cluster.brokers))
            .because(&error)
            .hint("check the address; to try a topology without Kafka: `skald dev`")
    })
}

/// A client whose broker has answered.
pub(super) fn connect(cluster: &Cluster) -> Result<Kafka, Problem> {
    let kafka = client(cluster)?;
    contact(&kafka, cluster)?;
    Ok(kafka)
}

/// An error of the boundary, with the code that scripts act on and, where a right is missing, its name.
pub(super) fn failed(error: &broker::Error) -> Problem {
    let exit = match error.class {
        ErrorClass::Retry => Exit::BrokerUnreachable,
        ErrorClass::Missing(_) => Exit::NotFound,
        _ => Exit::Failed,
    };
    with_right(Problem::of(exit, error), error)
}

/// Names the right that is missing, where that is the cause.
pub(super) fn with_right(problem: Problem, cause: &broker::Error) -> Problem {
    match &cause.class {
        ErrorClass::Denied(right) => problem.hint(format!("this principal needs the right `{right}`")),
        _ => problem,
    }
}
