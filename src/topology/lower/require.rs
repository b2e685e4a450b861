//! Rules: what must hold, and what a refusal says.

use super::Lower;
use super::exprs::Want;
use super::fields::Shape;
use super::message::Sender;
use super::scalars::{is_code, shortened};
use super::topics::elements;
use crate::expr::Scope;
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Check, Message, Require};
use crate::topology::yaml::Node;

const IN_DECIDE: Shape = Shape::new("a rule", &["that", "code", "message", "details", "emit", "dead_letter"], &[]);
const IN_SAGA: Shape = Shape::new("a rule", &["that", "code", "message", "details"], &[]);
const IN_PIPELINE: Shape = Shape::new("a rule", &["that", "code", "message", "details", "retryable"], &[]);

impl Lower<'_> {
    /// `require` of a handler or a step.
    pub(super) fn require(&mut self, node: &Node, scope: &Scope, sender: &Sender<'_>) -> Vec<Require> {
        elements(node).iter().filter_map(|rule| self.rule(rule, scope, sender)).collect()
    }

    fn rule(&mut self, node: &Node, scope: &Scope, sender: &Sender<'_>) -> Option<Require> {
        let shape = match (sender.decides(), sender.is_saga()) {
            (true, _) => &IN_DECIDE,
            (_, true) => &IN_SAGA,
            _ => &IN_PIPELINE,
        };
        let fields = self.fields(node, shape)?;
        let that = self.required(&fields, "that", shape).and_then(|node| self.expr(node, scope, Want::Bool));
        let code = self.required(&fields, "code", shape).and_then(|node| self.code(node));
        let message = fields.get("message").and_then(|node| self.text_template(node, scope));
        let details = fields.get("details").and_then(|node| self.template(node, scope));
        let emit: Vec<Message> = fields.get("emit").map(|node| self.messages(node, scope, sender)).unwrap_or_default();
        let dead_letter = fields.get("dead_letter").and_then(|node| self.boolean(node)).unwrap_or(false);
        let retryable =
            fields.get("retryable").filter(|_| !sender.is_saga()).and_then(|node| self.boolean(node)).unwrap_or(false);
        let details = details.map(|(template, _)| template);
        let at = self.position(node.range.start);
        Some(Require { check: Check::That(that?.0), code: code?, message, details, emit, dead_letter, retryable, at })
    }

    fn code(&mut self, node: &Node) -> Option<Text> {
        let Some(scalar) = node.scalar() else {
            self.wrong_kind(node, "a code");
            return None;
        };
        if is_code(&scalar.text) {
            return Some(scalar.text.as_str().into());
        }
        let found = finding("E606", format!("`{}` is not a code", shortened(&scalar.text)));
        self.say(node.range.clone(), found.hint("capital letters, digits and `_`: `OUT_OF_STOCK`"));
        None
    }
}
