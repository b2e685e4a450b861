//! Steps: what is done, how it ends, what undoes it.

use super::{Common, Place, take};
use crate::expr::{Scope, Type, names};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::lower::Lower;
use crate::topology::lower::answers::Answer;
use crate::topology::lower::exprs::Want;
use crate::topology::lower::fields::{Fields, Shape};
use crate::topology::lower::message::Sender;
use crate::topology::lower::scalars::NAME;
use crate::topology::lower::usage::Words;
use crate::topology::model::saga::{
    Action, Answered, Awaits, Body, Cancel, Compensation, Direction, Outcome, Step, Steps, Taken, UndoOrder,
};
use crate::topology::model::{Message, MessageKind, MessageTarget, Position, Retry, glob_matches};
use crate::topology::yaml::{Kind, Node};
use jiff::SignedDuration;
use std::ops::Range;

const STEP: Shape = Shape::new(
    "a step",
    &[
        "name",
        "description",
        "when",
        "for_each",
        "require",
        "send",
        "emit",
        "parallel",
        "success",
        "failure",
        "timeout",
        "retry",
        "compensate",
        "optional",
        "pivot",
    ],
    &["call"],
);
const COMPENSATE: Shape = Shape::new("`compensate`", &["send", "emit", "success", "failure", "timeout", "retry"], &["call"]);
const SUCCESS: Shape = Shape::new("`success`", &["type", "when", "set"], &[]);
const FAILURE: Shape = Shape::new("`failure`", &["type", "when", "set", "reason"], &[]);
const CANCEL: Shape = Shape::new("`cancel`", &["type", "when", "reason"], &[]);

/// How long a try may take by default.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(30);
/// Tries of a step, and of what undoes one.
const ATTEMPTS: u32 = 1;
const UNDO_ATTEMPTS: u32 = 10;

/// The steps so far, with where each is named in the file.
#[derive(Default)]
pub(super) struct Built {
    pub(super) steps: Vec<Step>,
    pub(super) ranges: Vec<Range<usize>>,
}

/// What an outcome is read with: the names around it, and whose it is.
struct Around<'n> {
    /// The step or compensation.
    node: &'n Node,
    fields: Fields<'n>,
    /// Names without a message.
    scope: Scope,
    /// Name of the element.
    item: Option<&'n str>,
    awaits: Awaits,
}

impl Lower<'_> {
    pub(super) fn saga_steps(
        &mut self,
        fields: &Fields<'_>,
        common: &Common,
        timeout: Option<SignedDuration>,
    ) -> (Body, Vec<Taken>) {
        let mut built = Built::default();
        let mut order = Vec::new();
        let mut pivots = Vec::new();
        if let Some(node) = fields.get("steps") {
            for item in self.list_of_steps(node) {
                let index = built.steps.len();
                order.push(index);
                self.saga_step(item, None, common, &mut built);
                if let Some(pivot) = item.get("pivot").filter(|pivot| self.boolean(pivot) == Some(true)) {
                    pivots.push((index, pivot.range.clone()));
                }
            }
        }
        if let Some((_, range)) = pivots.get(1) {
            let found = finding("E107", "the saga has a pivot already").hint("after the first one nothing is undone anyway");
            self.say(range.clone(), found);
        }
        let orders = [("reverse", UndoOrder::Reverse), ("parallel", UndoOrder::Parallel)];
        let undo = fields.get("compensation").and_then(|node| self.one_of(node, &orders, &[])).unwrap_or_default();
        let cancel = self.cancel(fields, common);
        let takes = takes(&built.steps, cancel.as_ref());
        let Built { steps, ranges } = built;
        let body = Steps { steps, order, undo, cancel, pivot: pivots.first().map(|(index, _)| *index) };
        self.undoable(&body, &ranges, fields);
        self.in_time(&body, &ranges, timeout, fields);
        (Body::Steps(body), takes)
    }

    fn list_of_steps<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            Kind::List(items) if !items.is_empty() => items,
            Kind::List(_) => {
                self.say(node.range.clone(), finding("E107", "there are no steps in this list"));
                &[]
            }
            _ => {
                self.wrong_kind(node, "a list of steps");
                &[]
            }
        }
    }

    /// Puts a step, and those within it, behind the others: one for each node, whatever is wrong with it.
    fn saga_step(&mut self, node: &Node, parent: Option<usize>, common: &Common, built: &mut Built) {
        let index = built.steps.len();
        let mut step = blank(parent, self.position(node.range.start));
        let Some(fields) = self.fields(node, &STEP) else {
            built.steps.push(step);
            built.ranges.push(node.range.clone());
            return;
        };
        let named = self.required(&fields, "name", &STEP);
        let range = named.map_or_else(|| self.head(node), |node| node.range.clone());
        if let Some(name) = named.and_then(|node| self.word(node, &NAME)) {
            if let Some(first) = built.steps.iter().find(|step| step.name == name) {
                let message = format!("`{name}` is a step of line {} already", first.at.line);
                let found = finding("E713", message).hint("the ids of commands follow from the names of steps");
                self.say(range.clone(), found);
            }
            step.name = name;
        }
        step.description = fields.get("description").and_then(|node| self.text(node));

        let scope = self.saga_scope(Place::Step(index));
        step.when = self.optional_expr(&fields, "when", &scope, Want::Bool);
        let mut inner = scope;
        step.for_each = fields.get("for_each").and_then(|node| self.step_for_each(node, &mut inner));
        let item = fields.get("for_each").and_then(|each| Some(each.get("as")?.scalar()?.text.as_str()));
        step.require = fields.get("require").map(|node| self.require(node, &inner, &Sender::saga())).unwrap_or_default();
        step.optional = fields.get("optional").and_then(|node| self.boolean(node)).unwrap_or(false);

        let action = self.action(&fields, &["send", "emit", "parallel", "call"], "step");
        let awaits = self.awaits(&fields, action);
        self.fields_of_parallel(&fields, action, parent);
        if action == Some("parallel") {
            step.action = Action::Parallel(Vec::new());
            built.steps.push(step);
            built.ranges.push(range);
            let inner = self.steps_within(&fields, index, common, built);
            built.steps[index].action = Action::Parallel(inner);
            return;
        }
        let around = Around { node, fields, scope: inner, item, awaits };
        step.action = self.acted(&around, action, common);
        step.success = self.outcome(&around, "success", common);
        step.failure = self.outcome(&around, "failure", common);
        (step.timeout, step.retry) = self.tries(&around, ATTEMPTS);
        step.compensate = fields.get("compensate").and_then(|node| self.compensate(node, index, &around, common));
        built.steps.push(step);
        built.ranges.push(range);
    }

    fn steps_within(&mut self, fields: &Fields<'_>, index: usize, common: &Common, built: &mut Built) -> Vec<usize> {
        let mut inner = Vec::new();
        if let Some(node) = fields.get("parallel") {
            for item in self.list_of_steps(node) {
                inner.push(built.steps.len());
                self.saga_step(item, Some(index), common, built);
            }
        }
        inner
    }

    /// What a step with `parallel` leaves to those within it, and they to it.
    fn fields_of_parallel(&mut self, fields: &Fields<'_>, action: Option<&str>, parent: Option<usize>) {
        if parent.is_some() && fields.get("pivot").is_some() {
            let found = finding("E105", "a step within `parallel` is no pivot").hint("the step that holds it may be");
            self.say(fields.key_range("pivot"), found);
        }
        if action != Some("parallel") {
            return;
        }
        if fields.get("for_each").is_some() {
            self.later(fields.key_range("for_each"), "`for_each` over `parallel`");
        }
        for name in ["success", "failure", "timeout", "retry", "compensate"] {
            if fields.get(name).is_some() {
                let found = finding("E105", format!("a step with `parallel` has no `{name}`"));
                self.say(fields.key_range(name), found.hint("those within it have their own"));
            }
        }
    }

    /// E702: the one action of a step or a compensation.
    fn action(&mut self, fields: &Fields<'_>, actions: &[&'static str], what: &str) -> Option<&'static str> {
        let written: Vec<&'static str> = actions.iter().copied().filter(|name| fields.get(name).is_some()).collect();
        if let Some(second) = written.get(1) {
            let found = finding("E702", format!("`{}` and `{second}` in one {what}", written[0]));
            self.say(fields.key_range(second), found.hint("write one step for each; `parallel` does several at once"));
        }
        let first = *written.first()?;
        if first == "emit" && fields.get("success").is_some_and(|success| success.get("type").is_some()) {
            let found = finding("E702", "an `emit` and a wait in one step").cause("an `emit` is done at once");
            self.say(fields.key_range("success"), found.hint("`send` waits for its outcome; or wait in the next step"));
        }
        Some(first)
    }

    /// What a step waits for; and what it can then not have.
    fn awaits(&mut self, fields: &Fields<'_>, action: Option<&str>) -> Awaits {
        let typed = |name: &str| fields.get(name).is_some_and(|outcome| outcome.get("type").is_some());
        let awaits = match action {
            Some("parallel") => return Awaits::Inner,
            // Known, and refused: what it would have is not looked at.
            Some("call") => return Awaits::Reply,
            Some("send") if !typed("success") => Awaits::Reply,
            Some("send") | None if typed("success") => Awaits::Message,
            _ => Awaits::Nothing,
        };
        if typed("failure") && !typed("success") {
            let found = finding("E703", "`failure` names a type and `success` does not");
            let found = found.cause("a type is waited for in place of the reply, which then tells nothing");
            self.say(fields.key_range("failure"), found.hint("name the type of `success` too, or neither"));
            return awaits;
        }
        let (none, why): (&[&str], _) = match awaits {
            Awaits::Nothing => (&["failure", "timeout", "retry"], "it is done at once"),
            Awaits::Message if action.is_none() => (&["retry"], "it waits, and nothing is sent that could be sent again"),
            _ => (&[], ""),
        };
        for name in none.iter().filter(|name| fields.get(name).is_some()) {
            let found = finding("E105", format!("this step has no `{name}`")).cause(why);
            self.say(fields.key_range(name), found);
        }
        awaits
    }

    fn acted(&mut self, around: &Around<'_>, action: Option<&str>, common: &Common) -> Action {
        match (action, around.fields.get("send"), around.fields.get("emit")) {
            (Some("send"), Some(send), _) => match self.command(send, &around.scope, &Sender::saga()) {
                Some(message) => {
                    if around.awaits == Awaits::Reply {
                        self.answered(&message, send, common);
                    }
                    Action::Send(Box::new(message))
                }
                None => Action::None,
            },
            (Some("emit"), _, Some(emit)) => Action::Emit(self.messages(emit, &around.scope, &Sender::saga())),
            _ => Action::None,
        }
    }

    /// E704: somebody must answer where a reply is waited for.
    fn answered(&mut self, message: &Message, send: &Node, common: &Common) {
        let (MessageTarget::Topic(topic), MessageKind::Named(kind)) = (&message.to, &message.kind) else { return };
        let range = send.get("type").map_or_else(|| self.head(send), |node| node.range.clone());
        match self.answer_to(*topic, kind) {
            Answer::Elsewhere => {}
            Answer::Never(node) => {
                let found = finding("E704", format!("`{node}` takes `{kind}` and replies to nobody"));
                let found = found.cause("without types in `success` the step waits for the reply");
                self.say(range, found.hint("`reply` there, or name the types of the outcome"));
            }
            Answer::Result(_) => {
                let replies = self.derived(&common.name, "replies");
                if !self.reply_to.iter().any(|glob| glob_matches(glob, &replies)) {
                    let found = finding("E704", format!("`reply_to` lets no reply go to `{replies}`"));
                    self.say(range, found.hint("add `*.replies` to the `reply_to` of this file"));
                }
            }
        }
    }

    fn outcome(&mut self, around: &Around<'_>, name: &str, common: &Common) -> Outcome {
        let succeeds = name == "success";
        let shape = if succeeds { &SUCCESS } else { &FAILURE };
        let Some(node) = around.fields.get(name) else { return Outcome::default() };
        let Some(fields) = self.fields(node, shape) else { return Outcome::default() };
        let types = fields.get("type").map(|node| self.types_of(node, common)).unwrap_or_default();
        let data = self.answer_data(around.node, succeeds, &common.sources);
        let is_reply = types.is_empty() && around.awaits == Awaits::Reply;
        let key = if is_reply { Type::String } else { common.key.clone() };
        let scope = match data {
            Some(data) => self.with_message(&around.scope, data, key),
            None => around.scope.clone(),
        };
        // Of a message of its types it is asked which it is, of an accepted reply whether it is as it should be.
        let asks = !types.is_empty() || succeeds && around.awaits == Awaits::Reply;
        if !asks && fields.get("when").is_some() {
            let found = finding("E105", "there is no message whose outcome this could tell").hint("`type` names one");
            self.say(fields.key_range("when"), found);
        }
        let when = self.optional_expr(&fields, "when", &scope, Want::Bool);
        if let Some(item) = around.item.filter(|_| !types.is_empty()) {
            self.told_apart(&fields, item);
        }
        let set = self.saga_set(fields.get("set"), &scope);
        Outcome { types, when, set, reason: self.reason(&fields, &scope) }
    }

    /// E716: whose outcome is it?
    fn told_apart(&mut self, fields: &Fields<'_>, item: &str) {
        if fields.get("when").is_some_and(|when| Words::of(when).has(item)) {
            return;
        }
        let name = if fields.get("when").is_some() { "when" } else { "type" };
        let found = finding("E716", "which element this message is about cannot be told");
        let found = found.cause("the step is done for each element, and each waits for its own");
        self.say(fields.key_range(name), found.hint(format!("`when` compares the message with `{item}`")));
    }

    fn tries(&mut self, around: &Around<'_>, attempts: u32) -> (Option<SignedDuration>, Retry) {
        let given = around.fields.get("timeout").and_then(|node| self.duration(node));
        let default = around.fields.get("send").map(|_| TIMEOUT);
        let scope = around.scope.clone().with(names::REASON, Type::String);
        let retry = self.retry(around.fields.get("retry"), attempts, &scope);
        (given.or(default), retry)
    }

    fn compensate(&mut self, node: &Node, step: usize, around: &Around<'_>, common: &Common) -> Option<Compensation> {
        let fields = self.fields(node, &COMPENSATE)?;
        let mut scope = self.saga_scope(Place::Undo(step));
        // The element has the slot that it has in the step: it is the first local of both.
        if let Some((item, (_, ty))) = around.item.and_then(|item| Some((item, around.scope.find(item)?))) {
            let ty = ty.clone();
            self.local(&mut scope, item, ty);
        }
        let action = self.action(&fields, &["send", "emit", "call"], "compensation");
        if action.is_none() {
            let found = finding("E106", "`compensate` needs `send` or `emit`");
            self.say(self.head(node), found);
        }
        let awaits = if action.is_some() { self.awaits(&fields, action) } else { Awaits::Nothing };
        let around = Around { node, fields, scope, item: around.item, awaits };
        let action = self.acted(&around, action, common);
        if let Action::Emit(_) = action {
            let found = finding("W703", "nobody confirms that this is undone").cause("an `emit` is done at once");
            self.say(fields.key_range("emit"), found.hint("`send` waits until it is, and tries again"));
        }
        let success = self.outcome(&around, "success", common);
        let failure = self.outcome(&around, "failure", common);
        let (timeout, retry) = self.tries(&around, UNDO_ATTEMPTS);
        Some(Compensation { action, success, failure, timeout, retry, at: self.position(node.range.start) })
    }

    fn cancel(&mut self, fields: &Fields<'_>, common: &Common) -> Option<Cancel> {
        let node = fields.get("cancel").filter(|node| !node.is_null())?;
        let fields = self.fields(node, &CANCEL)?;
        let types = self.required(&fields, "type", &CANCEL).map(|node| self.types_of(node, common))?;
        let scope = self.saga_scope(Place::Left);
        let scope = self.with_message(&scope, self.source_data(&common.sources, Some(&types)), common.key.clone());
        let when = self.optional_expr(&fields, "when", &scope, Want::Bool);
        Some(Cancel { types, when, reason: self.reason(&fields, &scope) })
    }
}

fn blank(parent: Option<usize>, at: Position) -> Step {
    Step {
        name: Text::default(),
        description: None,
        parent,
        when: None,
        for_each: None,
        require: Vec::new(),
        action: Action::None,
        success: Outcome::default(),
        failure: Outcome::default(),
        timeout: None,
        retry: Retry::of(ATTEMPTS),
        compensate: None,
        optional: false,
        at,
    }
}

/// What the types of outcomes and of `cancel` do.
fn takes(steps: &[Step], cancel: Option<&Cancel>) -> Vec<Taken> {
    let mut takes = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let undo = step
            .compensate
            .iter()
            .flat_map(|undo| [(&undo.success, Direction::Back, true), (&undo.failure, Direction::Back, false)]);
        let done = [(&step.success, Direction::Forward, true), (&step.failure, Direction::Forward, false)];
        for (outcome, direction, success) in done.into_iter().chain(undo) {
            for kind in &outcome.types {
                take(&mut takes, kind).answers.push(Answered { step: index, direction, success });
            }
        }
    }
    for kind in cancel.iter().flat_map(|cancel| &cancel.types) {
        take(&mut takes, kind).cancels = true;
    }
    takes
}

/// Is there a `send` among these steps, or what undoes them, whose outcome is its reply?
pub(in crate::topology::lower) fn hears_replies(saga: &Node) -> bool {
    let hears = |node: &Node| {
        let typed = node.get("success").is_some_and(|success| success.get("type").is_some());
        node.get("send").is_some() && !typed
    };
    fn within(step: &Node, hears: &dyn Fn(&Node) -> bool) -> bool {
        hears(step)
            || step.get("compensate").is_some_and(hears)
            || items(step.get("parallel")).iter().any(|inner| within(inner, hears))
    }
    items(saga.get("steps")).iter().any(|step| within(step, &hears))
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.kind) {
        Some(Kind::List(items)) => items,
        _ => &[],
    }
}
