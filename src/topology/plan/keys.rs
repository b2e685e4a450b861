//! How the instances of nodes are told: what a change of it would part from their state.

use super::build::keyed_nodes;
use super::normal::normal;
use crate::record::Text;
use crate::topology::model::{SourceFrom, Topology};

/// For every node with instances, by name: how they are told from the records of each of its topics, in one form for expressions
/// that are the same. Where a node says nothing it is the key of the topic's records.
pub fn instance_keys(topology: &Topology) -> Vec<(Text, Vec<(Text, String)>)> {
    let of_node = |node: super::build::KeyedNode<'_>| {
        let keys = node.sources.iter().filter_map(|source| {
            let SourceFrom::Topic(topic) = source.from else { return None };
            let topic = &topology.topics[topic];
            let own = node.key_of(source).map(|key| normal(&key.text)).filter(|key| key != "key");
            let key = own.or_else(|| topic.key.as_ref().map(|key| normal(&key.text))).unwrap_or_else(|| "key".to_owned());
            Some((topic.name.clone(), key))
        });
        (node.name.clone(), keys.collect())
    };
    keyed_nodes(topology).map(of_node).collect()
}
