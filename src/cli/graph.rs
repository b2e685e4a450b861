//! `skald graph`: the picture of a topology file.

use super::load::Reading;
use super::{Problem, out};
use crate::config::{Colors, Exit, Graph as Settings, GraphFormat};
use crate::graph::{Graph, Layout, dot, json, mermaid, svg};

/// Draws the plan of one file; the picture is data, so it goes to stdout.
pub(super) fn graph(settings: &Settings, color: Colors) -> Result<Exit, Problem> {
    let reading = Reading::of(std::slice::from_ref(&settings.path), &settings.params)?;
    for checked in reading.checked(color.talk)? {
        let graph = Graph::of(&checked.topology, &checked.plan);
        let text = match settings.output {
            GraphFormat::Mermaid => mermaid(&graph),
            GraphFormat::Dot => dot(&graph),
            GraphFormat::Svg => svg(&graph, &Layout::of(&graph)),
            GraphFormat::Json => format!("{:#}\n", json(&graph, &Layout::of(&graph))),
        };
        out(&text);
    }
    Ok(Exit::Ok)
}
