//! `tests/plan`: a topology in, its plan out, as JSON and as a picture.

use super::here;
use super::support::{expect, files, load_file};
use crate::graph::{Graph, mermaid};
use crate::topology::plan;

#[test]
fn plans_are_as_described_beside_their_files() {
    let paths = files("tests/plan");
    assert!(paths.len() >= 4);
    for path in paths {
        let loaded = load_file(&path);
        super::no_errors(&loaded);
        let (topology, planned) = loaded.checked.as_ref().expect("there were no errors");
        let json = serde_json::to_string_pretty(&plan::json(topology, planned)).expect("JSON is written");
        let mermaid = mermaid(&Graph::of(topology, planned));
        let text = format!("{json}\n\n{mermaid}\nsubscription:\n{}\n", planned.subscription);
        expect(&path.with_extension("expected"), &text);
    }
    assert!(here("tests/plan").is_dir());
}
