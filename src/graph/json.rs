//! The picture as JSON: everything that a page needs to draw it.

use super::svg::path;
use super::{Graph, Layout, Point};
use serde_json::{Value, json};

/// Boxes with their places and lines with their ways, in pixels; `path` is the way in the words of SVG.
pub fn json(graph: &Graph, layout: &Layout) -> Value {
    let nodes: Vec<Value> = graph
        .nodes
        .iter()
        .zip(&layout.places)
        .map(|(node, place)| {
            json!({
                "id": node.id,
                "shape": node.shape.name(),
                "name": node.name,
                "note": node.note,
                "subtopology": node.part,
                "x": place.x,
                "y": place.y,
                "width": place.width,
                "height": place.height,
            })
        })
        .collect();
    let edges: Vec<Value> = graph
        .edges
        .iter()
        .zip(&layout.routes)
        .map(|(edge, route)| {
            let points: Vec<[i32; 2]> = route.points.iter().map(|Point { x, y }| [*x, *y]).collect();
            json!({
                "from": graph.nodes[edge.from].id,
                "to": graph.nodes[edge.to].id,
                "kind": edge.kind.name(),
                "points": points,
                "path": path(route),
            })
        })
        .collect();
    json!({
        "topology": graph.topology,
        "version": graph.version,
        "subtopologies": graph.parts,
        "width": layout.width,
        "height": layout.height,
        "nodes": nodes,
        "edges": edges,
    })
}
