//! Pipelines: stream steps, one file per operator.
//!
//! [`compile`] makes the node of a pipeline. A record goes through the steps in order; `flat_map` makes several of one, each of
//! which goes the rest of the way. What is sent is gathered and sent at the end, so that a refused request has no other effect
//! than its rejection.

mod branch;
mod dedupe;
mod emit;
mod filter;
mod flat_map;
mod map;
mod rekey;
mod reply;
mod require;
mod set;
mod validate;

#[cfg(test)]
mod tests;

use crate::codec::Event;
use crate::failure::Failure;
use crate::node::{
    Answer, Context, Drafted, Firing, Frame, Input, Node, Outbox, Outcome, Place, Policy, Refusal, Rejoinder, Stop, World,
    failed, send_kept,
};
use crate::record::{Millis, RecordRef, Text};
use crate::state::Expiring;
use crate::state::layout::Tag;
use crate::topology::model::{Operator, Pipeline as Model, Step};
use crate::topology::plan::NodeKind;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Compiles the plan's node `node`, if it is a pipeline.
pub fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    match world.plan.nodes.get(node)?.kind {
        NodeKind::Pipeline(index) => {
            Some(Box::new(Pipeline { world: Arc::clone(world), index, store: world.plan.nodes[node].store }))
        }
        _ => None,
    }
}

struct Pipeline {
    world: Arc<World>,
    /// Of the model.
    index: usize,
    /// Of the plan: where it keeps what it keeps.
    store: Option<usize>,
}

/// A record on its way through the steps.
struct Run<'a, 'o> {
    frame: Frame<'a>,
    outbox: Outbox<'o>,
    /// What is to be sent, in order.
    effects: Vec<Effect>,
    /// Steps that are still to be done, those of the innermost branch last.
    ahead: Vec<&'a [Step]>,
    /// Further records that `flat_map` made, the next one last.
    waiting: Vec<Waiting<'a>>,
    /// Records that `flat_map` made in all.
    made: usize,
    /// What its `dedupe`s see for the first time, and until when it is known.
    seen: BTreeMap<Vec<u8>, Millis>,
    /// The pipeline's store, by index in the plan.
    store: Option<usize>,
}

struct Waiting<'a> {
    ahead: Vec<&'a [Step]>,
    place: Place,
}

enum Effect {
    Message(Box<Drafted>),
    Reply(Answer),
}

/// What a step does to the way of its record.
enum Flow {
    /// It goes on.
    On,
    /// It ends here.
    End,
    /// The whole of what was read is refused.
    Refuse(Refusal),
}

impl Pipeline {
    fn model(&self) -> &Model {
        &self.world.topology.pipelines[self.index]
    }
}

impl Run<'_, '_> {
    /// Goes all ways to their ends. Says whether any reached the end, or what it was refused with.
    fn finish(&mut self, context: &mut dyn Context) -> Result<Result<bool, Refusal>, Stop> {
        let mut arrived = false;
        loop {
            match self.walk(context)? {
                Flow::On => arrived = true,
                Flow::End => {}
                Flow::Refuse(refusal) => return Ok(Err(refusal)),
            }
            let Some(next) = self.waiting.pop() else { return Ok(Ok(arrived)) };
            self.ahead = next.ahead;
            self.frame.return_to(next.place);
        }
    }

    /// Goes one way to its end.
    fn walk(&mut self, context: &mut dyn Context) -> Result<Flow, Stop> {
        while let Some(steps) = self.ahead.pop() {
            let Some((step, rest)) = steps.split_first() else { continue };
            self.ahead.push(rest);
            self.frame.define(&step.lets);
            let flow = match &step.operator {
                None => Flow::On,
                Some(Operator::Filter(expr)) => filter::run(self, expr)?,
                Some(Operator::Rekey(expr)) => rekey::run(self, expr)?,
                Some(Operator::FlatMap(expr)) => flat_map::run(self, expr)?,
                Some(Operator::Map(template)) => map::run(self, template)?,
                Some(Operator::Set(template)) => set::run(self, template)?,
                Some(Operator::Validate(schema)) => validate::run(self, schema)?,
                Some(Operator::Require(rules)) => require::run(self, rules)?,
                Some(Operator::Branch(arms)) => branch::run(self, arms)?,
                Some(Operator::Emit(messages)) => emit::run(self, messages)?,
                Some(Operator::Reply(template)) => reply::run(self, template)?,
                Some(Operator::Dedupe(dedupe)) => {
                    let store = self.store.expect("the plan gives a pipeline that knows records again a store");
                    dedupe::run(self, dedupe, store, context)?
                }
            };
            if !matches!(flow, Flow::On) {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }
}

impl Node for Pipeline {
    fn name(&self) -> &Text {
        &self.model().name
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let model = self.model();
        if !model.handles(&input.event.kind) {
            return Ok(Outcome::PassedOver);
        }
        let mut run = Run {
            frame: Frame::new(&self.world, input.event, model.locals)
                .with_record(input.record, self.world.key_format(input.topic))
                .with_attempt(context.tries().attempts),
            outbox: Outbox::new(&self.world, &model.name, input.record, input.event),
            effects: Vec::new(),
            ahead: vec![&model.steps],
            waiting: Vec::new(),
            made: 0,
            seen: BTreeMap::new(),
            store: self.store,
        };
        let arrived = match run.finish(context)? {
            Ok(arrived) => arrived,
            Err(refusal) => {
                let code = refusal.code.clone();
                run.outbox.reply(Answer::Rejected(refusal), model.replies, context)?;
                return Ok(Outcome::Refused(code));
            }
        };
        if let Some(store) = self.store {
            for (mark, expires_at) in std::mem::take(&mut run.seen) {
                context.put_expiring(store, Tag::Mark, &mark, Some(Expiring { expires_at, value: Bytes::new() }))?;
            }
        }
        let acted = !run.effects.is_empty();
        for effect in run.effects {
            match effect {
                Effect::Message(message) => run.outbox.dispatch(&message, self.store, context)?,
                Effect::Reply(answer) => drop(run.outbox.reply(answer, model.replies, context)?),
            }
        }
        Ok(if arrived || acted { Outcome::Processed } else { Outcome::PassedOver })
    }

    fn failed(
        &self,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let model = self.model();
        let rejoinder = Rejoinder {
            world: &self.world,
            node: &model.name,
            errors: &model.errors,
            replies: model.replies,
            store: self.store,
            key_format: self.world.key_format(self.world.topic(record.topic)),
            handles: &|kind| model.handles(kind),
        };
        failed(rejoinder, record, event, None, failure, context)
    }

    fn policy(&self) -> Option<Policy<'_>> {
        let model = self.model();
        Some(Policy { world: &self.world, node: &model.name, errors: &model.errors, parks: model.parks() })
    }

    fn takes(&self, kind: &str) -> bool {
        self.model().handles(kind)
    }

    fn fire(&self, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        send_kept(&self.world, self, firing, context)
    }
}
