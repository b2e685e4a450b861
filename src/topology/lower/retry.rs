//! Retry policies.

use super::Lower;
use super::exprs::Want;
use super::fields::Shape;
use crate::expr::Scope;
use crate::topology::diagnostic::finding;
use crate::topology::model::Retry;
use crate::topology::yaml::Node;

const RETRY: Shape = Shape::new("a retry policy", &["attempts", "backoff", "multiplier", "max_backoff", "jitter", "when"], &[]);

/// More tries than anything needs: at the longest usual wait they take two years.
const ATTEMPTS_MAX: i64 = 1_000_000;

impl Lower<'_> {
    /// A retry policy; `attempts` is how many tries there are where the file does not say, `scope` that of its `when`.
    pub(super) fn retry(&mut self, node: Option<&Node>, attempts: u32, scope: &Scope) -> Retry {
        let mut retry = Retry::of(attempts);
        let Some(fields) = node.and_then(|node| self.fields(node, &RETRY)) else { return retry };
        if let Some(given) = fields.get("attempts").and_then(|node| self.attempts(node)) {
            retry.attempts = given;
        }
        if let Some(given) = fields.get("backoff").and_then(|node| self.duration(node)) {
            retry.backoff = given;
        }
        if let Some(given) = fields.get("max_backoff").and_then(|node| self.duration(node)) {
            retry.max_backoff = given;
        }
        let at_least_one = (1.0..=1e6, "from 1: a wait does not get shorter");
        if let Some(given) = fields.get("multiplier").and_then(|node| self.factor(node, &at_least_one.0, at_least_one.1)) {
            retry.multiplier = given;
        }
        if let Some(given) =
            fields.get("jitter").and_then(|node| self.factor(node, &(0.0..=1.0), "from 0 to 1, a part of the wait"))
        {
            retry.jitter = given;
        }
        retry.when = self.optional_expr(&fields, "when", scope, Want::Bool);
        retry
    }

    fn attempts(&mut self, node: &Node) -> Option<u32> {
        let given = self.integer(node, i64::MIN..=i64::MAX)?;
        if (1..=ATTEMPTS_MAX).contains(&given) {
            return u32::try_from(given).ok();
        }
        let found = finding("E901", format!("{given} tries are not possible"));
        self.say(node.range.clone(), found.hint("all tries are counted: `1` is one without a second"));
        None
    }

    fn factor(&mut self, node: &Node, within: &std::ops::RangeInclusive<f64>, hint: &str) -> Option<f64> {
        let given = self.number(node)?;
        if within.contains(&given) {
            return Some(given);
        }
        self.say(node.range.clone(), finding("E901", format!("`{given}` is out of range")).hint(hint));
        None
    }
}
