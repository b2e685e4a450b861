//! A sample of `topologies/` as nodes on a bench.

#[path = "folder.rs"]
mod folder;

use folder::Folder;
use skald::node::testing::Bench;
use skald::node::{Node, World};
use skald::topology::{Severity, load};
use std::path::Path;
use std::sync::Arc;

fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    let aggregate = skald::aggregate::compile(world, node);
    aggregate.or_else(|| skald::processor::compile(world, node)).or_else(|| skald::saga::compile(world, node))
}

/// The file at this path of the repository, its topics with so many partitions.
pub(crate) fn bench(path: &str, partitions: u32) -> Bench {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let bytes = std::fs::read(&path).expect("a sample");
    let folder = Folder(path.parent().expect("a folder").to_owned());
    let loaded = load(&path.display().to_string(), &bytes, &[], &folder);
    let errors: Vec<_> = loaded.findings.iter().filter(|found| found.severity() == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let (topology, plan) = loaded.checked.expect("no error was found");
    let mut bench = Bench::new(topology, plan, compile);
    bench.partitions = partitions;
    bench
}
