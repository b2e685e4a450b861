//! Valid files with one thing changed: the change is found and named where it is, or the file is as good as before.

use super::here;
use super::support::{Folder, files};
use crate::topology::yaml::{self, Kind, Node};
use crate::topology::{Diagnostic, Findings, Severity, SourceText, load};
use proptest::prelude::*;
use std::path::PathBuf;

/// A file as a tree, and its text.
struct Good {
    folder: PathBuf,
    text: String,
    tree: Node,
}

fn good() -> Vec<Good> {
    let paths = ["tests/topology/good", "tests/plan"].into_iter().flat_map(files);
    paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let tree = yaml::read(&mut Findings::new(SourceText::new("t.yaml", &text))).unwrap();
            Good { folder: path.parent().unwrap().to_owned(), text, tree }
        })
        .collect()
}

fn errors(file: &Good, text: &str) -> Vec<Diagnostic> {
    let loaded = load("t.yaml", text.as_bytes(), &[], &Folder(file.folder.clone()));
    for found in &loaded.findings {
        assert!(loaded.text.get(found.range.clone()).is_some(), "{found:?}");
        assert!((found.line, found.column) <= (found.end.line, found.end.column), "{found:?}");
        assert!(!found.message.is_empty() && found.line as usize <= loaded.text.lines().count() + 1, "{found:?}");
    }
    assert_eq!(loaded.checked.is_none(), loaded.has_errors(), "{text}");
    loaded.findings.into_iter().filter(|found| found.severity() == Severity::Error).collect()
}

/// A key of a map whose fields are the language's, with the map's place.
fn fixed_fields<'n>(node: &'n Node, path: &mut Vec<&'n str>, visit: &mut dyn FnMut(&[&str], &'n yaml::Entry)) {
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| fixed_fields(item, path, visit)),
        Kind::Map(entries) => {
            for entry in entries {
                visit(path, entry);
                path.push(&entry.key);
                fixed_fields(&entry.node, path, visit);
                path.pop();
            }
        }
    }
}

/// Is a map at this path one of the language, and none with keys of the user?
fn is_of_the_language(path: &[&str]) -> bool {
    matches!(
        path,
        [] | ["topics" | "aggregates" | "pipelines" | "repositories" | "sagas", _]
            | ["aggregates", _, "decide" | "evolve", _]
            | ["aggregates", _, "decide", _, "emit" | "require"]
            | ["pipelines", _, "steps"]
    )
}

#[test]
fn every_misspelt_field_is_told_where_it_stands() {
    let mut tried = 0;
    for file in good() {
        let mut keys = Vec::new();
        fixed_fields(&file.tree, &mut Vec::new(), &mut |path, entry| {
            if is_of_the_language(path) && !entry.key.starts_with("x-") {
                keys.push(entry.key_range.clone());
            }
        });
        for range in keys {
            let mut text = file.text.clone();
            text.replace_range(range.clone(), "zzz_unknown");
            let found = errors(&file, &text);
            let told = found.iter().any(|found| found.code == "E105" && found.range == (range.start..range.start + 11));
            assert!(told, "{}: {found:#?}", &file.text[range]);
            tried += 1;
        }
    }
    assert!(tried > 150, "{tried}");
}

#[test]
fn every_field_of_another_kind_is_told_where_it_stands() {
    let mut tried = 0;
    for file in good() {
        let mut values = Vec::new();
        fixed_fields(&file.tree, &mut Vec::new(), &mut |path, entry| {
            let of_text = [
                "description",
                "schema",
                "validate",
                "initial",
                "map",
                "set",
                "reply",
                "data",
                "details",
                "headers",
                "metadata",
            ];
            // What may be anything is told elsewhere or not at all.
            if is_of_the_language(path) && !entry.key.starts_with("x-") && !of_text.contains(&entry.key.as_str()) {
                values.push((entry.key_range.clone(), entry.node.range.clone()));
            }
        });
        // What others repeat by an alias would be missing there first.
        values.retain(|(_, value)| !file.text[value.clone()].contains('&'));
        for (key, value) in values {
            // One line takes the place of the value, however long it was: a list within a list fits nowhere.
            let mut text = file.text.clone();
            text.replace_range(key.end..value.end, ": [[{}]]");
            let found = errors(&file, &text);
            let line = file.text[..key.start].matches('\n').count() as u32 + 1;
            assert!(found.iter().any(|found| found.line == line), "{}: {found:#?}", &file.text[key.start..value.end]);
            tried += 1;
        }
    }
    assert!(tried > 120, "{tried}");
}

/// What is done to one node.
#[derive(Clone, Debug)]
enum Change {
    Drop,
    Rename(&'static str),
    Retype(&'static str),
    Repeat,
    /// It is replaced by another node of the file.
    Graft(prop::sample::Index),
    /// The file ends within it.
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let names = ["", "on", "data", "a b", "=x", "<<", "skald", "é", "a.b.v1", "0"];
    let values = [
        "",
        "null",
        "[]",
        "{}",
        "-1",
        "1e400",
        "\"\"",
        "'=data'",
        "[[1]]",
        "{a: {b: [c]}}",
        "\"{x\"",
        "!t x",
        "*a",
        "2026-01-01",
    ];
    prop_oneof![
        Just(Change::Drop),
        prop::sample::select(names.to_vec()).prop_map(Change::Rename),
        prop::sample::select(values.to_vec()).prop_map(Change::Retype),
        Just(Change::Repeat),
        any::<prop::sample::Index>().prop_map(Change::Graft),
        any::<prop::sample::Index>().prop_map(Change::Cut),
    ]
}

/// Writes a tree as JSON, which is YAML, with one entry or element changed: the `at`th in order.
struct Writer<'a> {
    change: &'a Change,
    at: usize,
    seen: usize,
    grafts: &'a [&'a Node],
    out: String,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let json = crate::topology::schema::json_of(&scalar.value);
                self.out.push_str(&json.to_string());
            }
            Kind::List(items) => {
                self.out.push('[');
                for item in items {
                    self.part(None, item);
                }
                self.out.push_str("]\n");
            }
            Kind::Map(entries) => {
                self.out.push('{');
                for entry in entries {
                    self.part(Some(&entry.key), &entry.node);
                }
                self.out.push_str("}\n");
            }
        }
    }

    fn part(&mut self, key: Option<&str>, node: &Node) {
        let chosen = self.seen == self.at;
        self.seen += 1;
        let write = |writer: &mut Self, key: Option<&str>, node: &Node| {
            if let Some(key) = key {
                writer.out.push_str(&serde_json::Value::from(key).to_string());
                writer.out.push_str(": ");
            }
            writer.node(node);
            writer.out.push_str(", ");
        };
        match self.change {
            _ if !chosen => write(self, key, node),
            Change::Drop => {}
            Change::Rename(name) => write(self, key.map(|_| *name), node),
            Change::Retype(value) => {
                let key = key.map_or(String::new(), |key| format!("{}: ", serde_json::Value::from(key)));
                self.out.push_str(&format!("{key}{value}, "));
            }
            Change::Repeat => {
                write(self, key, node);
                write(self, key, node);
            }
            Change::Graft(index) => {
                let graft = self.grafts[index.index(self.grafts.len())];
                write(self, key, graft);
            }
            Change::Cut(_) => write(self, key, node),
        }
    }
}

fn nodes<'n>(node: &'n Node, all: &mut Vec<&'n Node>) {
    all.push(node);
    match &node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| nodes(item, all)),
        Kind::Map(entries) => entries.iter().for_each(|entry| nodes(&entry.node, all)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_change_gives_a_good_file_or_errors_with_their_places(
        which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), change in change(),
    ) {
        let files = good();
        let file = which.get(&files);
        let mut all = Vec::new();
        nodes(&file.tree, &mut all);
        let mut writer = Writer { change: &change, at: at.index(all.len().max(2) - 1), seen: 0, grafts: &all, out: String::new() };
        writer.node(&file.tree);
        let mut text = writer.out;
        if let Change::Cut(index) = &change {
            let mut end = index.index(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        errors(file, &text);
    }
}

#[test]
fn the_folder_of_good_files_is_there() {
    assert!(here("tests/topology/good").is_dir() && good().len() >= 8);
}
