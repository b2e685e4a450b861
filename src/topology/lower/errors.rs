//! `errors`: what happens with failures, field by field the nearest declaration.

use super::Lower;
use super::fields::Shape;
use super::message::Sender;
use crate::expr::{Scope, names};
use crate::topology::model::{Errors, Then};
use crate::topology::yaml::Node;

const ERRORS: Shape = Shape::new("`errors`", &["undecodable", "then", "emit"], &["retry", "park", "stop_above"]);

impl Lower<'_> {
    /// `errors` of a node, with those of the file for what it leaves out. `scope` is that of a message at hand.
    pub(super) fn errors(&mut self, own: Option<&Node>, defaults: Option<&Node>, scope: &Scope, sender: &Sender<'_>) -> Errors {
        let nearest = |name: &str| {
            let written = |node: Option<&Node>| node.and_then(|node| node.get(name)).is_some();
            if written(own) { own } else { defaults }
        };
        for node in [own, defaults].into_iter().flatten().filter(|node| !node.is_null()) {
            self.fields(node, &ERRORS);
        }
        let road = |lower: &mut Self, name: &str| match nearest(name).and_then(|node| node.get(name)) {
            Some(node) => {
                let words = [("skip", Then::Skip), ("stop", Then::Stop)];
                let later: &[&str] = if name == "then" { &["park"] } else { &[] };
                lower.one_of(node, &words, later).unwrap_or_default()
            }
            None => Then::Skip,
        };
        let undecodable = road(self, "undecodable");
        let then = road(self, "then");
        self.locals = 0;
        let scope = scope.clone().with(names::ERROR, names::error());
        let emit = nearest("emit").and_then(|node| node.get("emit"));
        let emit = emit.map(|node| self.messages(node, &scope, sender)).unwrap_or_default();
        Errors { undecodable, then, emit, locals: self.locals }
    }

    /// `errors` of the file, for records that no node has taken.
    pub(super) fn errors_of_file(&mut self, defaults: Option<&Node>) -> Errors {
        let Some(node) = defaults.filter(|node| !node.is_null()) else { return Errors::default() };
        let data = crate::expr::Type::Any;
        let scope = self.message_scope(data, crate::expr::Type::String);
        self.errors(None, Some(node), &scope, &Sender::failure())
    }
}
