//! Settings of the commands around a topology's life on a cluster: plan, apply.

use super::{Cluster, Error, OutputFormat, Param, SchemaRegistry, flags};
use std::path::PathBuf;

/// `skald plan`
#[derive(Clone, Debug)]
pub struct Plan {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// Where Kafka is, if it is asked.
    pub cluster: Option<Cluster>,
    /// Where the schema registry is, if it is asked.
    pub registry: Option<SchemaRegistry>,
    /// What to compare with.
    pub against: Against,
    /// For people, or JSON.
    pub output: OutputFormat,
    /// Do differences have an exit code?
    pub exit_code: bool,
}

/// What a plan is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// With nothing.
    Nothing,
    /// With what was applied to the cluster.
    Cluster,
    /// With another file.
    File(PathBuf),
}

/// `skald apply`
#[derive(Clone, Debug)]
pub struct Apply {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// Where Kafka is.
    pub cluster: Cluster,
    /// Where the schema registry is.
    pub registry: Option<SchemaRegistry>,
    /// Nodes whose states stay as other rules have made them.
    pub keep: Vec<String>,
    /// Nodes whose states are given up.
    pub discard: Vec<String>,
}

pub(super) fn plan(raw: flags::Plan) -> Result<Plan, Error> {
    let (cluster, registry) = (maybe(raw.cluster), raw.registry.into());
    let against = match raw.against {
        Some(file) if file.as_os_str() != "cluster" => Against::File(file),
        Some(_) if cluster.is_none() => return Err(Error::Conflict("--against cluster needs --brokers".into())),
        _ if cluster.is_some() => Against::Cluster,
        _ => Against::Nothing,
    };
    let (params, output, exit_code) = (raw.params.set, raw.output, raw.exit_code);
    Ok(Plan { paths: raw.paths, params, cluster, registry, against, output, exit_code })
}

pub(super) fn apply(raw: flags::Apply) -> Apply {
    let (params, cluster) = (raw.params.set, raw.cluster.into());
    Apply { paths: raw.paths, params, cluster, registry: raw.registry.into(), keep: raw.keep, discard: raw.discard }
}

/// The cluster, where one is named.
pub(super) fn maybe(raw: flags::MaybeCluster) -> Option<Cluster> {
    raw.brokers.map(|brokers| Cluster { brokers, properties: raw.property })
}
