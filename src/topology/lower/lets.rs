//! Names that a file gives: `let`, `as`, `index`.

use super::Lower;
use super::exprs::Want;
use super::usage::Words;
use crate::expr::{Scope, Slot, Type};
use crate::topology::diagnostic::finding;
use crate::topology::model::Let;
use crate::topology::yaml::Node;

impl Lower<'_> {
    /// Names of a handler or step.
    pub(super) fn lets(&mut self, node: Option<&Node>, words: &Words<'_>, scope: &mut Scope) -> Vec<Let> {
        let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
        let Some(entries) = self.map(node, "names with their expressions") else { return Vec::new() };
        let mut lets = Vec::new();
        for entry in entries {
            let compiled = self.expr(&entry.node, scope, Want::Any);
            if let Some(problem) = scope.check_name(&entry.key) {
                self.place(entry.key_range.clone(), problem);
                continue;
            }
            let ty = compiled.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
            let slot = self.local(scope, &entry.key, ty.clone());
            if !words.has(&entry.key) {
                let found = finding("W306", format!("nothing reads `{}`", entry.key)).hint("leave it out");
                self.say(entry.key_range.clone(), found);
            }
            if let Some((expr, _)) = compiled {
                lets.push(Let { name: entry.key.as_str().into(), slot, expr, ty });
            }
        }
        lets
    }

    /// A name that the file chooses: `as`, `index`.
    pub(super) fn named_local(&mut self, node: &Node, ty: Type, scope: &mut Scope) -> Option<Slot> {
        let Some(scalar) = node.scalar() else {
            self.wrong_kind(node, "a name");
            return None;
        };
        if let Some(problem) = scope.check_name(&scalar.text) {
            self.place(node.range.clone(), problem);
            return None;
        }
        Some(self.local(scope, &scalar.text, ty))
    }
}
