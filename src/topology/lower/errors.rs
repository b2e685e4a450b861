//! `errors`: what happens with failures, field by field the nearest declaration.

use super::Lower;
use super::fields::Shape;
use super::message::Sender;
use crate::expr::{Scope, names};
use crate::record::Millis;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Errors, Park, Retry, StopAbove, Then};
use crate::topology::yaml::Node;

const ERRORS: Shape = Shape::new("`errors`", &["undecodable", "retry", "then", "park", "stop_above", "emit"], &[]);
const PARK: Shape = Shape::new("`park`", &["per_key", "per_partition"], &[]);
const STOP_ABOVE: Shape = Shape::new("`stop_above`", &["share", "within", "at_least"], &[]);

/// More than memory should hold the keys of.
const PARKED_MAX: i64 = 10_000_000;
/// Of a share over fewer records one says little; over more the partition would halt too late.
const AT_LEAST_MAX: i64 = 1_000_000_000;
/// Counts are kept for so long at most.
const WITHIN_MAX_MS: Millis = 24 * 60 * 60 * 1000;

impl Lower<'_> {
    /// `errors` of a node, with those of the file for what it leaves out. `scope` is that of a message at hand.
    pub(super) fn errors(&mut self, own: Option<&Node>, defaults: Option<&Node>, scope: &Scope, sender: &Sender<'_>) -> Errors {
        let nearest = |name: &str| [own, defaults].into_iter().flatten().find_map(|node| node.get(name));
        for node in [own, defaults].into_iter().flatten().filter(|node| !node.is_null()) {
            self.fields(node, &ERRORS);
        }
        let words = [("skip", Then::Skip), ("stop", Then::Stop), ("park", Then::Park)];
        let mut road = |name: &str, words: &[(&str, Then)]| {
            nearest(name).and_then(|node| self.one_of(node, words, &[])).unwrap_or_default()
        };
        let undecodable = road("undecodable", &words[..2]);
        let then = road("then", &words);
        let retry = self.errors_retry(nearest("retry"));
        let park = nearest("park").map_or_else(Park::default, |node| self.park(node));
        let stop_above = nearest("stop_above").filter(|node| !node.is_null()).and_then(|node| self.stop_above(node));
        self.locals = 0;
        let scope = scope.clone().with(names::ERROR, names::error());
        let emit = nearest("emit").map(|node| self.messages(node, &scope, sender)).unwrap_or_default();
        Errors { undecodable, retry, then, park, stop_above, emit, locals: self.locals }
    }

    fn errors_retry(&mut self, node: Option<&Node>) -> Retry {
        let scope = Scope::new().with(names::PARAMS, self.params_type()).with(names::ERROR, names::error());
        self.retry(node, Errors::ATTEMPTS, &scope)
    }

    fn park(&mut self, node: &Node) -> Park {
        let mut park = Park::default();
        let Some(fields) = self.fields(node, &PARK) else { return park };
        let mut number = |name: &str| {
            let given = fields.get(name).and_then(|node| self.integer(node, 1..=PARKED_MAX));
            given.map(i64::unsigned_abs)
        };
        let (per_key, per_partition) = (number("per_key"), number("per_partition"));
        park.per_partition = per_partition.unwrap_or(park.per_partition);
        // What is not written fits what is.
        park.per_key = per_key.unwrap_or(park.per_key.min(park.per_partition));
        if per_partition.is_none() {
            park.per_partition = park.per_partition.max(park.per_key);
        }
        if park.per_key > park.per_partition {
            let message = format!("{} of one key are more than {} of all", park.per_key, park.per_partition);
            let found = finding("E910", message).hint("`per_partition` counts the records of all keys");
            self.say(fields.key_range("per_key"), found);
        }
        park
    }

    fn stop_above(&mut self, node: &Node) -> Option<StopAbove> {
        let fields = self.fields(node, &STOP_ABOVE)?;
        let mut above = StopAbove { share: 0.5, within: 60_000, at_least: 100 };
        if let Some(node) = fields.get("share")
            && let Some(share) = self.number(node)
        {
            if share > 0.0 && share < 1.0 {
                above.share = share;
            } else {
                let found = finding("E910", format!("`{share}` is no share of records to halt above"));
                self.say(
                    node.range.clone(),
                    found.hint("above 0 and below 1: `0.5` is half of them; `undecodable: stop` halts at the first"),
                );
            }
        }
        if let Some(node) = fields.get("within")
            && let Some(length) = self.duration(node)
        {
            let millis = Millis::try_from(length.as_millis()).unwrap_or(Millis::MAX);
            if (1..=WITHIN_MAX_MS).contains(&millis) {
                above.within = millis;
            } else {
                let found = finding("E910", "records are not counted over such a time".to_owned());
                self.say(node.range.clone(), found.hint("above nothing, and up to `24h`"));
            }
        }
        if let Some(number) = fields.get("at_least").and_then(|node| self.integer(node, 1..=AT_LEAST_MAX)) {
            above.at_least = number.unsigned_abs();
        }
        Some(above)
    }

    /// `errors` of the file, for records that no node has taken.
    pub(super) fn errors_of_file(&mut self, defaults: Option<&Node>) -> Errors {
        let Some(node) = defaults.filter(|node| !node.is_null()) else { return Errors::default() };
        let data = crate::expr::Type::Any;
        let scope = self.message_scope(data, crate::expr::Type::String);
        self.errors(None, Some(node), &scope, &Sender::failure())
    }
}
