//! The head of a file: version of the language, name, params, `reply_to`; and the names of its nodes.

use super::fields::Fields;
use super::scalars::{NAME, shortened};
use super::{Lower, NodeName, ROOT};
use crate::record::{Text, Value};
use crate::topology::diagnostic::finding;
use crate::topology::yaml::{Entry, Node, resolve};

/// Name, version, description, `reply_to`.
pub(super) type Head = (Text, u32, Option<Text>, Vec<Text>);

impl Lower<'_> {
    pub(super) fn head_of(&mut self, fields: &Fields<'_>, overrides: &[(String, String)]) -> Option<Head> {
        let marked = self.required(fields, "skald", &ROOT);
        let language = marked.is_some_and(|node| self.language(node));
        let name = self.required(fields, "topology", &ROOT).and_then(|node| self.word(node, &NAME));
        // Derived names need one; what is wrong with it was said.
        self.name = name.clone().unwrap_or_else(|| "topology".into());
        let version = match fields.get("version") {
            None => Some(1),
            Some(node) => self.integer(node, 1..=i64::from(u32::MAX)).map(|version| version as u32),
        };
        let description = fields.get("description").and_then(|node| self.text(node));
        let reply_to = match fields.get("reply_to") {
            None => vec![Text::from("*.replies")],
            Some(node) => self.globs(node),
        };
        if let Some(node) = fields.get("params").filter(|node| !node.is_null()) {
            self.params_of(node);
        }
        self.override_params(fields, overrides);
        language.then_some((name?, version?, description, reply_to))
    }

    fn language(&mut self, node: &Node) -> bool {
        match node.scalar().map(|scalar| &scalar.value) {
            Some(Value::Int(1)) => true,
            Some(Value::Int(other)) => {
                let found = finding("E116", format!("the file is written in version {other} of the language"));
                self.say(node.range.clone(), found.hint("this build speaks version 1"));
                false
            }
            _ => {
                self.wrong_kind(node, "the version of the language, `1`");
                false
            }
        }
    }

    fn globs(&mut self, node: &Node) -> Vec<Text> {
        let nodes = self.one_or_list(node);
        nodes.iter().filter_map(|node| self.glob(node)).collect()
    }

    fn glob(&mut self, node: &Node) -> Option<Text> {
        let text = self.text(node)?;
        let fits = text.len() <= 249 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-*?".contains(&b));
        if fits && !text.is_empty() {
            return Some(text);
        }
        let found = finding("E114", format!("`{}` is not a glob of topics", shortened(&text)));
        self.say(node.range.clone(), found.hint("a topic in which `*` stands for any text: `*.replies`"));
        None
    }

    fn params_of(&mut self, node: &Node) {
        let Some(entries) = self.map(node, "params") else { return };
        for entry in entries {
            if let Some(problem) = crate::expr::Scope::new().check_name(&entry.key) {
                self.place(entry.key_range.clone(), problem);
                continue;
            }
            match self.literal(&entry.node) {
                Some((value, secret)) => {
                    if secret {
                        self.secrets.push(entry.key.as_str().into());
                    }
                    self.params.insert(entry.key.as_str().into(), value);
                }
                // It was said what is wrong; that its readers miss it would only repeat that.
                None => self.params_whole = false,
            }
        }
    }

    /// Values from outside take the place of those in the file and must be of their type.
    fn override_params(&mut self, fields: &Fields<'_>, overrides: &[(String, String)]) {
        for (name, text) in overrides {
            let range = fields.get("params").map_or_else(|| self.head(fields.node), |node| node.range.clone());
            let Some(known) = self.params.get(name) else {
                let names: Vec<String> = self.params.iter().map(|(name, _)| name.to_string()).collect();
                let found = finding("E210", format!("a value is given for `{}`, which is no param", shortened(name)));
                self.say(range, found.meant(name, names.iter().map(String::as_str)));
                continue;
            };
            let value = match (known, resolve(text).0) {
                (Value::Str(_), _) => Some(Value::from(text.as_str())),
                (Value::Double(_), Value::Int(number)) => Some(Value::Double(number as f64)),
                (Value::Int(_), value @ Value::Int(_)) => Some(value),
                (Value::Double(_), value @ Value::Double(_)) => Some(value),
                (Value::Bool(_), value @ Value::Bool(_)) => Some(value),
                (Value::Null, value) => Some(value),
                _ => None,
            };
            match value {
                Some(value) => self.params.insert(name.as_str().into(), value),
                None => {
                    let message = format!("the value given for the param `{name}` is not of its type, {}", known.kind());
                    self.say(range, finding("E210", message));
                }
            }
        }
    }

    /// Takes the name of a node; two nodes of one name would find each other's state.
    pub(super) fn node_name(&mut self, entry: &Entry) {
        let Some(name) = self.checked_word(&entry.key, entry.key_range.clone(), &NAME) else { return };
        if let Some(first) = self.nodes.iter().find(|node| node.name == name) {
            let (line, _) = self.findings.source().line_column(first.range.start);
            let message = format!("`{name}` is a node of line {line} already");
            self.say(entry.key_range.clone(), finding("E201", message).hint("names are unique over all kinds of nodes"));
            return;
        }
        self.nodes.push(NodeName { name, range: entry.key_range.clone() });
    }
}
