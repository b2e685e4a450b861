//! The graph in mermaid's words, for pages that draw it themselves.

use super::{EdgeKind, Graph, Node, Shape};
use std::fmt::Write as _;

/// A mermaid flowchart: sub-topologies with their nodes and stores, the topics between them.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart LR\n");
    for (index, name) in graph.parts.iter().enumerate() {
        let _ = writeln!(out, "  subgraph s{index} [\"{index} {}\"]", quoted(name));
        for node in graph.nodes.iter().filter(|node| node.part == Some(index)) {
            let _ = writeln!(out, "    {}{}", node.id, shaped(node));
        }
        let _ = writeln!(out, "  end");
    }
    for node in graph.nodes.iter().filter(|node| node.part.is_none()) {
        let _ = writeln!(out, "  {}{}", node.id, shaped(node));
    }
    for edge in &graph.edges {
        let arrow = match edge.kind {
            EdgeKind::Records => "-->",
            EdgeKind::State => "---",
            EdgeKind::Changelog => "-.->",
            EdgeKind::DeadLetters => "-. fails .->",
        };
        let _ = writeln!(out, "  {} {arrow} {}", graph.nodes[edge.from].id, graph.nodes[edge.to].id);
    }
    out
}

fn shaped(node: &Node) -> String {
    let name = quoted(&node.name);
    match node.shape {
        Shape::Topic | Shape::EngineTopic | Shape::Topics => format!("([\"{name}\"])"),
        Shape::DeadLetters => format!("{{{{\"{name}\"}}}}"),
        Shape::Aggregate => format!("[\"{name}<br/>{}\"]", quoted(&node.note)),
        Shape::Saga => format!("[[\"{name}<br/>{}\"]]", quoted(&node.note)),
        Shape::Pipeline | Shape::Repartition => format!(">\"{name}<br/>{}\"]", quoted(&node.note)),
        Shape::Store => format!("[(\"{}\")]", quoted(&node.note)),
    }
}

/// Text within mermaid's double quotes.
fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
