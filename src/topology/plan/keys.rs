//! How the instances of nodes are told: what a change of it would part from their state.

use super::build::{KeyedNode, keyed_nodes};
use super::normal::normal;
use crate::record::Text;
use crate::topology::model::{SourceFrom, Topology};

/// How a node tells its instances from the records of one of its topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    /// The topic.
    pub topic: Text,
    /// The expression; where the node says nothing it is that of the topic, else the record's `key`.
    pub text: Text,
    /// The expression in a form that is equal for equal expressions.
    pub form: String,
}

/// For every node with instances, by name: how they are told, topic by topic.
pub fn instance_keys(topology: &Topology) -> Vec<(Text, Vec<InstanceKey>)> {
    let of_node = |node: KeyedNode<'_>| {
        let keys = node.sources.iter().filter_map(|source| {
            let SourceFrom::Topic(topic) = source.from else { return None };
            let topic = &topology.topics[topic];
            let own = node.key_of(source).filter(|key| normal(&key.text) != "key");
            let text = own.or(topic.key.as_ref()).map_or_else(|| Text::from("key"), |key| key.text.trim().into());
            Some(InstanceKey { topic: topic.name.clone(), form: normal(&text), text })
        });
        (node.name.clone(), keys.collect())
    };
    keyed_nodes(topology).map(of_node).collect()
}
