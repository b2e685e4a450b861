//! `state_version` and `upcast` of an aggregate: how stored states of older shapes become those of the present one.

use super::Lower;
use super::fields::Fields;
use crate::expr::{Scope, Type, names};
use crate::topology::diagnostic::finding;
use crate::topology::model::{StateType, StateUpcast};
use crate::topology::yaml::{Entry, Node};

/// Each version needs a step: more would not fit a file.
const VERSION_MAX: i64 = 1_000;

impl Lower<'_> {
    /// The version of the state's shape, and the steps to it.
    pub(super) fn state_upcasts(&mut self, fields: &Fields<'_>, state: &StateType) -> (u32, Vec<StateUpcast>) {
        let version = fields.get("state_version").and_then(|node| self.integer(node, 1..=VERSION_MAX)).unwrap_or(1) as u32;
        let entries = match fields.get("upcast").filter(|node| !node.is_null()) {
            Some(node) => self.map(node, "`upcast`: versions with what their states become").unwrap_or(&[]),
            None => &[],
        };
        let mut steps: Vec<(u32, &Entry)> = Vec::new();
        for entry in entries {
            // As it is stored: no sign, no zero in front.
            let from = entry.key.parse().ok().filter(|from: &u32| (1..version).contains(from) && from.to_string() == entry.key);
            match from {
                Some(from) => steps.push((from, entry)),
                None => {
                    let message = format!("`{}` is no version before {version}, that of the state now", entry.key);
                    let found = finding("E607", message);
                    self.say(entry.key_range.clone(), found.hint("`state_version` is raised with each new shape of the state"));
                }
            }
        }
        steps.sort_by_key(|(from, _)| *from);
        let missing: Vec<String> =
            (1..version).filter(|from| steps.iter().all(|(known, _)| known != from)).map(|from| from.to_string()).collect();
        if !missing.is_empty() {
            let found = finding("E607", format!("`upcast` has no step from version {}", missing.join(", ")));
            let range = fields.key_range(if fields.get("upcast").is_some() { "upcast" } else { "state_version" });
            self.say(range, found.hint(format!("say what a state of version {} becomes: `{0}: {{ … }}`", missing[0])));
        }
        // What was stored before is known by what made it, which is in no file; what one step gives the next one reads.
        let mut before = Type::Any;
        let mut upcasts = Vec::new();
        for (from, entry) in steps {
            let scope = Scope::new().with(names::STATE, before).with(names::KEY, Type::String);
            let lowered = self.template(&entry.node, &scope);
            before = lowered.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
            let Some((template, ty)) = lowered else { continue };
            if self.is_state(&entry.node, &ty) && from + 1 == version {
                let what = "the state";
                match &state.schema {
                    Some(schema) => self.becomes(&entry.node, &ty, schema, what),
                    None => self.becomes_type(&entry.node, &ty, &state.ty, what),
                }
            }
            upcasts.push(StateUpcast { from, state: template, at: self.position(entry.key_range.start) });
        }
        (version, upcasts)
    }

    fn is_state(&mut self, node: &Node, ty: &Type) -> bool {
        let is_map = ty.meets(&Type::map(Type::Any));
        if !is_map {
            self.say(node.range.clone(), finding("E407", format!("a state is a map, this is {ty}")));
        }
        is_map
    }
}
