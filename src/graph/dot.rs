//! The graph in the words of Graphviz.

use super::{EdgeKind, Graph, Node, Shape};
use std::fmt::Write as _;

/// A directed graph in the language of `dot`.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "digraph {} {{", quoted(&graph.topology));
    out.push_str("  rankdir=LR;\n  node [fontname=\"monospace\", fontsize=11];\n  edge [color=\"#59636e\"];\n");
    for (index, name) in graph.parts.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{index} {{\n    label={};", quoted(&format!("{index} {name}")));
        for node in graph.nodes.iter().filter(|node| node.part == Some(index)) {
            let _ = writeln!(out, "    {}", shaped(node));
        }
        out.push_str("  }\n");
    }
    for node in graph.nodes.iter().filter(|node| node.part.is_none()) {
        let _ = writeln!(out, "  {}", shaped(node));
    }
    for edge in &graph.edges {
        let style = match edge.kind {
            EdgeKind::Records => "",
            EdgeKind::State => " [dir=none, color=\"#8250df\"]",
            EdgeKind::Changelog => " [style=dashed, color=\"#8250df\"]",
            EdgeKind::DeadLetters => " [style=dotted, color=\"#cf222e\", constraint=false]",
        };
        let _ = writeln!(out, "  {} -> {}{style};", graph.nodes[edge.from].id, graph.nodes[edge.to].id);
    }
    out.push_str("}\n");
    out
}

fn shaped(node: &Node) -> String {
    let style = match node.shape {
        Shape::Topic => "shape=box, style=rounded",
        Shape::EngineTopic => "shape=box, style=\"rounded,dashed\"",
        Shape::Topics => "shape=box, style=\"rounded,dotted\"",
        Shape::DeadLetters => "shape=octagon, color=\"#cf222e\"",
        Shape::Aggregate => "shape=box, penwidth=2",
        Shape::Saga => "shape=box, peripheries=2",
        Shape::Pipeline => "shape=cds",
        Shape::Repartition => "shape=cds, style=dashed",
        Shape::Store => "shape=cylinder, color=\"#8250df\"",
    };
    format!("{} [{style}, label={}];", node.id, quoted(&format!("{}\n{}", node.name, node.note)))
}

/// A string of `dot`: backslashes begin escapes there, quotes end it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
