//! The content of files: what is part of it, and that a record can be read again.

use super::support::{files, load_file};
use crate::topology::definition::reload;
use crate::topology::{Definition, Loaded, NoSources, Sources, load};
use std::io;

struct Given;

impl Sources for Given {
    fn schema(&self, path: &str, _: usize) -> io::Result<Vec<u8>> {
        match path {
            "page.json" => Ok(
                br#"{"type": "object", "required": ["page"], "properties": {"page": {"type": "string", "pattern": "=a $|b"}}}"#
                    .to_vec(),
            ),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Ok(b"hunter2".to_vec())
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "PRICE").then(|| "5 $".to_owned())
    }
}

const BASE: &str = "\
skald: 1
topology: pages
version: 3
description: Pages
x-note: whatever
params:
  price: ${PRICE}
  token: ${file:token}
  free: 1
topics:
  clicks: { partitions: 2, key: data.page, types: { clicked.v1: page.json } }
aggregates:
  pages:
    from: clicks
    initial: { n: 0, at: =params.price, token: =params.token, free: =params.free }
    evolve:
      clicked.v1:
        set: { n: =state.n + 1 }
";

fn loaded(text: &str, overrides: &[(String, String)]) -> Loaded {
    let loaded = load("pages.yaml", text.as_bytes(), overrides, &Given);
    assert!(!loaded.has_errors(), "{:#?}\n{text}", loaded.findings);
    loaded
}

fn definition(text: &str) -> Definition {
    loaded(text, &[]).definition.unwrap()
}

#[test]
fn what_means_the_same_is_the_same_content() {
    let base = definition(BASE);
    for (what, from, to) in [
        ("version", "version: 3", "version: 4"),
        ("comments and descriptions", "description: Pages", "# none"),
        ("notes", "x-note: whatever", "x-other: 1"),
        ("one for a list", "from: clicks", "from: [clicks]"),
        ("a source written out", "from: clicks", "from: [{ topic: clicks }]"),
        ("a default written out", "from: clicks", "from: clicks\n    store: disk\n    dedupe: 1h"),
        ("blanks", "=state.n + 1", "= state.n+1"),
        ("variables", "${PRICE}", "'5 $$'"),
        ("order", "partitions: 2, key: data.page", "key: data.page, partitions: 2"),
        ("a description of a node", "from: clicks", "description: x\n    from: clicks"),
        ("the default of a topic", "partitions: 2", "partitions: 2, format: json, validate: true"),
    ] {
        let other = BASE.replace(from, to);
        assert_ne!(other, BASE, "{what}");
        let other = definition(&other);
        assert_eq!(other.content, base.content, "{what}");
        assert_eq!(other.hash(), base.hash(), "{what}");
    }
    for (what, from, to) in [
        ("a handler", "state.n + 1", "state.n + 2"),
        ("a param", "free: 1", "free: 2"),
        ("a count", "partitions: 2", "partitions: 4"),
        ("the name of a secret", "file:token", "file:other"),
        ("a list in a template", "n: 0,", "n: [0],"),
    ] {
        assert_ne!(definition(&BASE.replace(from, to)).hash(), base.hash(), "{what}");
    }
    let set = loaded(BASE, &[("free".into(), "2".into())]).definition.unwrap();
    assert_eq!(set.hash(), definition(&BASE.replace("free: 1", "free: 2")).hash());
}

#[test]
fn a_record_is_read_again_without_files_and_variables() {
    let base = definition(BASE);
    let record = base.record();
    assert!(!record.to_string().contains("hunter2"), "{record:#}");
    let again = reload("recorded", &record).unwrap();
    assert!(!again.has_errors(), "{:#?}", again.findings);
    assert_eq!(again.definition.unwrap().content, base.content);
    let mut paths = files("tests/topology/good");
    for sample in ["shop", "product", "users", "analytics", "order-totals"] {
        paths.extend(files(&format!("topologies/{sample}")));
    }
    paths.extend(files("tests/plan"));
    assert!(paths.len() > 10);
    for path in paths {
        let loaded = load_file(&path);
        let Some(definition) = loaded.definition else { continue };
        let again = reload("recorded", &definition.record()).unwrap();
        assert!(!again.has_errors(), "{}: {:#?}", path.display(), again.findings);
        assert_eq!(again.definition.unwrap().hash(), definition.hash(), "{}", path.display());
    }
}

#[test]
fn content_is_found_in_the_file() {
    let definition = definition(BASE);
    let place = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        definition.place(&path).map(|place| (place.line, place.column))
    };
    assert_eq!(place(&["aggregates", "pages", "evolve", "clicked.v1", "set", "n"]), Some((18, 16)));
    assert_eq!(place(&["aggregates", "pages", "from", "0", "topic"]), Some((14, 5)));
    assert_eq!(place(&["topics", "clicks", "types", "clicked.v1", "properties"]), Some((11, 53)));
    assert_eq!(place(&["nowhere"]), None);
}

#[test]
fn hostile_records_are_refused() {
    for text in ["null", "[]", "{}", r#"{"file": 1}"#, r#"{"file": {}, "schemas": []}"#] {
        assert!(reload("recorded", &serde_json::from_str(text).unwrap()).is_none(), "{text}");
    }
    for text in [r#"{"file": 1, "schemas": {}}"#, r#"{"file": {"skald": 2}, "schemas": {}}"#] {
        assert!(reload("recorded", &serde_json::from_str(text).unwrap()).unwrap().has_errors(), "{text}");
    }
    assert!(load("x", b"skald: 1", &[], &NoSources).definition.is_none());
}

#[test]
fn a_saga_is_known_by_what_the_file_says_of_it_alone() {
    let file = |version: u32, comment: &str, timeout: &str| {
        let text = format!(
            "skald: 1\ntopology: t\nversion: {version}\n{comment}\ntopics:\n  a: {{ key: data.id, types: {{ a.v1: {{}}, b.v1: {{}} }} }}\n\
             sagas:\n  s:\n    from: a\n    key: data.id\n    start: {{ type: a.v1 }}\n    steps:\n      - name: wait\n        \
             success: {{ type: b.v1 }}\n        timeout: {timeout}\n"
        );
        let loaded = crate::topology::load("t.yaml", text.as_bytes(), &[], &crate::topology::NoSources);
        let (topology, _) = loaded.checked.unwrap_or_else(|| panic!("{:?}", loaded.findings));
        topology.sagas[0].definition.clone()
    };
    let first = file(1, "", "5m");
    assert_eq!(first.len(), 16);
    assert_eq!(first, file(2, "# another comment", "5m"));
    assert_ne!(first, file(1, "", "6m"));
}
