//! What instances that began under one version would lack under another: they are led by their own, but the file that runs decides
//! what is read.

use super::Side;
use crate::topology::model::{Contract, Saga, SourceFrom};

/// What the new file must have for instances of the old file's saga, one line each; nothing where one of the two has no such saga.
pub fn lacks(old: Side<'_>, new: Side<'_>, saga: &str) -> Vec<String> {
    let of = |side: Side<'_>| side.topology.sagas.iter().position(|model| model.name == saga);
    let (Some(was), Some(is)) = (of(old), of(new)) else { return Vec::new() };
    let (was, is) = (&old.topology.sagas[was], &new.topology.sagas[is]);
    let mut lacks = Vec::new();
    let stays: Vec<&str> = topics(new, is).collect();
    for topic in topics(old, was) {
        if !stays.contains(&topic) {
            lacks.push(format!("`{topic}` must stay in its `from`"));
            continue;
        }
        let (Some(before), Some(after)) = (contract(old, topic), contract(new, topic)) else { continue };
        // Where a contract lists no types, nobody knows which of them the topic carries, or all are read.
        if before.types.is_none() || after.types.is_none() {
            continue;
        }
        let came_by_it = was.takes.iter().map(|taken| &taken.kind).filter(|kind| before.message_type(kind).is_some());
        for kind in came_by_it.filter(|kind| after.message_type(kind).is_none()) {
            lacks.push(format!("`{kind}` must stay among the types of `{topic}`"));
        }
    }
    if was.replies.is_some() && is.replies.is_none() {
        lacks.push("a step that waits for a reply must stay, so that replies are read".to_owned());
    }
    lacks
}

fn contract<'a>(side: Side<'a>, topic: &str) -> Option<&'a Contract> {
    side.topology.topic(topic).map(|index| &side.topology.topics[index])
}

fn topics<'a>(side: Side<'a>, saga: &'a Saga) -> impl Iterator<Item = &'a str> {
    saga.sources.iter().filter_map(move |source| match source.from {
        SourceFrom::Topic(topic) => Some(side.topology.topics[topic].name.as_str()),
        SourceFrom::Pattern(_) => None,
    })
}
