//! Valid files with one thing changed: the change is found and named where it is, or the file is as good as before.

use super::here;
use super::support::{Folder, files};
use crate::topology::yaml::{self, Kind, Node};
use crate::topology::{Diagnostic, Findings, Severity, SourceText, load};
use proptest::prelude::*;
use std::ops::Range;
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
    /// Maps and lists around the place where it writes.
    depth: usize,
    /// What was changed: the map or the list that it stood in, and its words.
    changed: Option<Changed>,
}

/// How deep the nodes of a topology stand: in the file, in its section.
const NODE_DEPTH: usize = 2;

/// A part that was changed.
struct Changed {
    /// The bytes of the node of the topology that it stands in, else of the map around it, in the text that was written: what is
    /// wrong behind it in a pipeline may follow from it.
    around: Range<usize>,
    /// Its key and every key and text in it.
    words: Vec<String>,
}

impl Changed {
    fn words_of(key: Option<&str>, node: &Node) -> Vec<String> {
        let mut words: Vec<String> = key.into_iter().map(str::to_owned).collect();
        let mut all = Vec::new();
        nodes(node, &mut all);
        for node in all {
            match &node.kind {
                Kind::Scalar(scalar) => words.push(scalar.text.clone()),
                Kind::List(_) => {}
                Kind::Map(entries) => words.extend(entries.iter().map(|entry| entry.key.clone())),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// Does a finding lead to what was changed: by where it stands, or by a name?
    fn is_told(&self, found: &Diagnostic, text: &str) -> bool {
        let near = found.range.start <= self.around.end && self.around.start <= found.range.end;
        let said = [Some(found.message.as_str()), found.cause.as_deref(), found.hint.as_deref(), text.get(found.range.clone())];
        near || said
            .into_iter()
            .flatten()
            .any(|said| self.words.iter().any(|word| said.contains(word.as_str()) || word.contains(said)))
    }
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let json = crate::topology::schema::json_of(&scalar.value);
                self.out.push_str(&json.to_string());
            }
            Kind::List(items) => {
                let (start, changed) = (self.out.len(), self.changed.is_some());
                self.out.push('[');
                self.depth += 1;
                for item in items {
                    self.part(None, item);
                }
                self.out.push_str("]\n");
                self.depth -= 1;
                self.around(start, changed);
            }
            Kind::Map(entries) => {
                let (start, changed) = (self.out.len(), self.changed.is_some());
                self.out.push('{');
                self.depth += 1;
                for entry in entries {
                    self.part(Some(&entry.key), &entry.node);
                }
                self.out.push_str("}\n");
                self.depth -= 1;
                self.around(start, changed);
            }
        }
    }

    /// A map or a list that the change stands in is closed.
    fn around(&mut self, start: usize, changed_before: bool) {
        let end = self.out.len();
        if let (Some(changed), false) = (&mut self.changed, changed_before)
            && (changed.around.is_empty() || self.depth >= NODE_DEPTH)
        {
            changed.around = start..end;
        }
    }

    fn part(&mut self, key: Option<&str>, node: &Node) {
        let chosen = self.seen == self.at;
        self.seen += 1;
        if chosen {
            self.changed = Some(Changed { around: 0..0, words: Changed::words_of(key, node) });
        }
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
        let at = at.index(all.len().max(2) - 1);
        let mut writer = Writer { change: &change, at, seen: 0, grafts: &all, out: String::new(), depth: 0, changed: None };
        writer.node(&file.tree);
        let (mut text, changed) = (writer.out, writer.changed);
        if let Change::Cut(index) = &change {
            let mut end = index.index(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        let found = errors(file, &text);
        if let (Some(changed), false) = (&changed, matches!(change, Change::Graft(_) | Change::Cut(_))) {
            let led = found.is_empty() || found.iter().any(|found| changed.is_told(found, &text));
            prop_assert!(led, "{change:?} of {:?} gives {found:#?}\n{text}", changed.words);
        }
    }
}

/// Every third part of every file is dropped, every third has another name: what that breaks leads back to it. The other thirds
/// are left to chance, above.
#[test]
fn what_is_missing_or_has_another_name_is_told_at_its_place_or_by_its_name() {
    let (mut broken, mut tried) = (0, 0);
    let mut lost = Vec::new();
    for file in good() {
        let mut all = Vec::new();
        nodes(&file.tree, &mut all);
        for at in (0..all.len() - 1).filter(|at| at % 3 < 2) {
            let change = if at % 3 == 0 { Change::Drop } else { Change::Rename("zzz-other") };
            let mut writer = Writer { change: &change, at, seen: 0, grafts: &all, out: String::new(), depth: 0, changed: None };
            writer.node(&file.tree);
            let (text, changed) = (writer.out, writer.changed.expect("one part of them was written"));
            let found = errors(&file, &text);
            let led = found.is_empty() || found.iter().any(|found| changed.is_told(found, &text));
            if !led {
                let said: Vec<String> = found.iter().map(ToString::to_string).collect();
                lost.push(format!("{change:?} of {:?} gives {said:#?}", changed.words));
            }
            broken += usize::from(!found.is_empty());
            tried += 1;
        }
    }
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    assert!(tried > 500 && broken > tried / 4, "{broken} of {tried}");
}

#[test]
fn the_folder_of_good_files_is_there() {
    assert!(here("tests/topology/good").is_dir() && good().len() >= 8);
}
