//! `skald apply`: creates the topics of a topology and records its definition.

use super::cluster::connect;
use super::gate::{self, Reach};
use super::load::{Checked, Reading};
use super::schemas::Subjects;
use super::{Problem, out, schemas};
use crate::broker::Broker;
use crate::change::{Mark, Part, Verdict};
use crate::clock::SystemClock;
use crate::config::{Apply, Colors, Exit};
use crate::registry::{Registry, Settled};
use crate::runtime;

/// Applies every file; what was done is data, so it goes to stdout.
pub(super) fn apply(settings: &Apply, color: Colors) -> Result<Exit, Problem> {
    let registry = schemas::client(settings.registry.as_ref())?;
    let subjects = Subjects::of(registry.as_ref());
    let all = Reading::with(&settings.paths, &settings.params, subjects.as_ref())?.checked(color.talk)?;
    let broker = connect(&settings.cluster)?;
    for checked in &all {
        one(&broker, registry.as_deref(), checked, settings)
            .map_err(|problem| problem.within(&format!("topology `{}`", checked.plan.topology)))?;
    }
    Ok(Exit::Ok)
}

fn one(broker: &dyn Broker, registry: Option<&dyn Registry>, checked: &Checked, settings: &Apply) -> Result<(), Problem> {
    let clock = SystemClock::new();
    let (topology, version) = (&checked.plan.topology, checked.plan.version);
    let survey = gate::survey(broker, checked)?;
    let all = gate::applied_to(broker, topology)?;
    let mut weighed = gate::weigh(&all, checked, &Reach::of(&survey));
    gate::look_after_instances(broker, &all, checked, &mut weighed)?;
    let nodes = weighed.comparison.as_ref().map_or(&[][..], |comparison| comparison.nodes.as_slice());
    if weighed.records {
        let left_behind = |node: &Part| node.mark == Mark::Removed && node.verdict == Verdict::Refused;
        answered(&settings.discard, nodes, "discard", &left_behind)?;
        answered(&settings.keep, nodes, "keep", &|node| node.verdict == Verdict::Rebuild)?;
    }
    let lines = match &weighed.comparison {
        Some(comparison) if weighed.records => gate::obstacles(comparison, &settings.keep, &settings.discard),
        _ => Vec::new(),
    };
    if weighed.refusal.is_some() || !lines.is_empty() {
        return Err(gate::refused(&weighed, checked, &lines));
    }
    // Before anything is created: a schema that is refused leaves nothing half done.
    for (schema, settled) in registry.map_or_else(|| Ok(Vec::new()), |registry| schemas::settle(registry, checked))? {
        match settled {
            Settled::Registered(id) => {
                out(&format!("{topology}: schema of `{}` registered as `{}`, id {id}\n", schema.kind, schema.wanted.subject))
            }
            Settled::Found(_) => {}
            Settled::Missing => return Err(schemas::missing(&schema)),
        }
    }
    let admin = broker.admin().map_err(|error| super::cluster::failed(&error))?;
    let prepared = runtime::prepare(&checked.plan, &*admin, true).map_err(|error| Problem::of(Exit::Failed, &error))?;
    for topic in &prepared.created {
        out(&format!("{topology}: topic `{topic}` created\n"));
    }
    if weighed.records {
        let mut entry = gate::entry(checked, &clock);
        entry.kept.clone_from(&settings.keep);
        entry.discarded.clone_from(&settings.discard);
        gate::record(broker, &clock, &entry)?;
        out(&format!("{topology}: version {version} recorded in `{}`\n", crate::applied::topic_of(topology)));
    } else {
        out(&format!("{topology}: {}\n", weighed.text));
    }
    if weighed.comparison.is_some_and(|comparison| comparison.regroup) {
        out(&format!(
            "{topology}: the group reads other topics, or its sagas other types: stop all workers, then start the new ones\n"
        ));
    }
    for node in &settings.discard {
        out(&format!("{topology}: `{node}` is gone; its topics `{topology}.{node}.…` are yours to keep or delete\n"));
    }
    Ok(())
}

/// Names that the caller answers for must be of nodes that need it.
fn answered(names: &[String], nodes: &[Part], flag: &str, needs: &dyn Fn(&Part) -> bool) -> Result<(), Problem> {
    match names.iter().find(|name| !nodes.iter().any(|node| node.name == **name && needs(node))) {
        None => Ok(()),
        Some(name) => {
            let mut wanting: Vec<&str> = nodes.iter().filter(|node| needs(node)).map(|node| node.name.as_str()).collect();
            wanting.sort_unstable();
            let hint = match wanting.as_slice() {
                [] => "no node needs it".to_owned(),
                names => format!("these nodes need it: {}", names.join(", ")),
            };
            Err(Problem::new(Exit::Usage, format!("`--{flag} {name}` has nothing to do")).hint(hint))
        }
    }
}
