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
    for sample in ["shop", "shop-avro", "product", "users", "analytics", "order-totals", "order-totals-proto"] {
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

/// A `.proto` file and what it imports, as a test has them.
struct Protos([(&'static str, &'static str); 2]);

impl Sources for Protos {
    fn schema(&self, path: &str, _: usize) -> io::Result<Vec<u8>> {
        let found = self.0.iter().find(|(name, _)| *name == path).ok_or(io::ErrorKind::NotFound)?;
        Ok(found.1.as_bytes().to_vec())
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

#[test]
fn the_content_of_a_proto_file_is_what_its_messages_are() {
    let text = "\
skald: 1
topology: pages
topics:
  clicks: { format: protobuf, envelope: none, key: data.page, types: { clicked.v1: \"s/click.proto#Clicked\" } }
pipelines:
  watch: { from: clicks, steps: [{ filter: data.at.x > 1 }] }
";
    let click = "syntax = \"proto3\"; package a; import \"at.proto\"; message Clicked { string page = 1; At at = 2; }";
    let at = "syntax = \"proto3\"; package a; message At { int32 x = 1; }";
    let defined = |click: &'static str, at: &'static str| {
        let sources = Protos([("s/click.proto", click), ("s/at.proto", at)]);
        let loaded = load("pages.yaml", text.as_bytes(), &[], &sources);
        assert!(!loaded.has_errors(), "{:#?}", loaded.findings);
        loaded.definition.unwrap()
    };
    let base = defined(click, at);
    let again = reload("recorded", &base.record()).unwrap();
    assert!(!again.has_errors(), "{:#?}", again.findings);
    let again = again.definition.unwrap();
    assert_eq!((again.hash(), again.record()), (base.hash(), base.record()));
    let noted = "// What was clicked.\nsyntax = \"proto3\"; package a; import \"at.proto\"; message Other {} message Clicked { At at = 2; string page = 1; }";
    assert_eq!(defined(noted, at).hash(), base.hash(), "comments, order and what is not used");
    let renumbered = "syntax = \"proto3\"; package a; message At { int32 x = 2; }";
    let retyped = "syntax = \"proto3\"; package a; message At { sint32 x = 1; }";
    let optional = "syntax = \"proto3\"; package a; message At { optional int32 x = 1; }";
    for other in [renumbered, retyped, optional] {
        assert_ne!(defined(click, other).hash(), base.hash(), "{other}");
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
