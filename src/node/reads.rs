//! Which fields of a topic's payloads anybody reads: the others need not be made into values.
//!
//! Found from the compiled expressions of every node that takes the topic. All parts of a node are taken apart by name here, so
//! that one which is added is not forgotten.

use super::World;
use crate::expr::names::DATA;
use crate::expr::{Fields, Read};
use crate::record::Text;
use crate::topology::model::{
    Aggregate, Arm, Check, Decide, Dedupe, Delay, DelayLength, Errors, Evolve, Expr, ForEach, Let, Message, MessageData,
    MessageKey, MessageKind, MessageTarget, Operator, Pipeline, Require, Source, StateChange, Step, Template, Topology,
};
use crate::topology::plan::{NodeKind, PlannedNode};

/// The fields of the payload that the nodes which take a topic of the plan read; `None`: all of it, or nobody knows.
pub(super) fn fields_read(world: &World, topic: usize) -> Option<Vec<Text>> {
    let plan = &world.plan;
    let mut reads = Reads { topology: &world.topology, whole: false, fields: Vec::new() };
    // The key that a topic declares is compared with the record's.
    reads.expressions(world.contract(Some(topic)).and_then(|contract| contract.key.as_ref()));
    // What a pattern matches is known at run time.
    let takes = |node: &&PlannedNode| node.sources.contains(&topic) || !node.patterns.is_empty();
    let mut is_taken = false;
    for node in plan.nodes.iter().filter(takes) {
        is_taken = true;
        let kind = match node.kind {
            NodeKind::Repartition { of, .. } => plan.nodes[of].kind,
            kind => kind,
        };
        match kind {
            NodeKind::Aggregate(index) => reads.aggregate(&world.topology.aggregates[index]),
            NodeKind::Pipeline(index) => reads.pipeline(&world.topology.pipelines[index]),
            // Instances of other versions read what their own files say.
            NodeKind::Saga(_) | NodeKind::Repartition { .. } => reads.whole = true,
        }
    }
    (is_taken && !reads.whole).then_some(reads.fields)
}

struct Reads<'a> {
    topology: &'a Topology,
    whole: bool,
    fields: Vec<Text>,
}

impl Reads<'_> {
    fn names(&mut self, reads: &[Read]) {
        for read in reads.iter().filter(|read| read.slot == DATA) {
            match &read.fields {
                Fields::All => self.whole = true,
                Fields::Some(fields) => {
                    for field in fields {
                        if !self.fields.contains(field) {
                            self.fields.push(field.clone());
                        }
                    }
                }
            }
        }
    }

    fn expressions<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        exprs.into_iter().for_each(|expr| self.names(expr.program.reads()));
    }

    fn templates<'t>(&mut self, templates: impl IntoIterator<Item = &'t Template>) {
        templates.into_iter().for_each(|template| self.names(template.template.reads()));
    }

    fn lets(&mut self, lets: &[Let]) {
        for Let { name: _, slot: _, expr, ty: _ } in lets {
            self.expressions([expr]);
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        let Aggregate {
            name: _,
            description: _,
            kind: _,
            sources,
            key,
            events: _,
            initial,
            state: _,
            state_version: _,
            // Over the state and its key.
            upcast: _,
            decide,
            evolve,
            updates,
            updates_locals: _,
            replies: _,
            dedupe: _,
            ttl: _,
            store: _,
            snapshots: _,
            errors,
            at: _,
        } = aggregate;
        self.sources(sources);
        self.expressions(key);
        self.templates([initial]);
        for Decide { kind: _, lets, when, require, cancel_timer, emit, reply, locals: _, at: _ } in decide {
            self.lets(lets);
            self.expressions(when);
            self.require(require, false);
            self.templates(cancel_timer);
            self.messages(emit, false);
            self.templates(reply);
        }
        for Evolve { kind: _, lets, change, locals: _, at: _ } in evolve {
            self.lets(lets);
            match change {
                StateChange::Fields { set, unset: _ } => self.templates(set),
                StateChange::Replace(expr) => self.expressions([expr]),
                StateChange::Delete => {}
            }
        }
        self.messages(updates, false);
        self.errors(errors);
    }

    fn pipeline(&mut self, pipeline: &Pipeline) {
        let Pipeline { name: _, description: _, sources, types: _, steps, locals: _, replies: _, store: _, errors, at: _ } =
            pipeline;
        self.sources(sources);
        self.errors(errors);
        self.steps(steps, false);
    }

    /// Steps in their order; `replaced`: the data is not that of the record any more. Tells whether it is behind them.
    fn steps(&mut self, steps: &[Step], mut replaced: bool) -> bool {
        for Step { name: _, lets, operator, at: _ } in steps {
            self.lets(lets);
            match operator {
                None => {}
                Some(Operator::Filter(expr) | Operator::Rekey(expr)) => self.expressions([expr]),
                Some(Operator::FlatMap(expr)) => {
                    self.expressions([expr]);
                    replaced = true;
                }
                Some(Operator::Map(template)) => {
                    self.templates([template]);
                    replaced = true;
                }
                Some(Operator::Set(template)) => {
                    self.templates([template]);
                    self.whole |= !replaced;
                }
                Some(Operator::Validate(_)) => self.whole |= !replaced,
                Some(Operator::Require(rules)) => self.require(rules, replaced),
                // What fits no arm goes on as it was.
                Some(Operator::Branch(arms)) => {
                    for Arm { when, steps } in arms {
                        self.expressions(when);
                        self.steps(steps, replaced);
                    }
                }
                Some(Operator::Emit(messages)) => self.messages(messages, replaced),
                Some(Operator::Reply(template)) => self.templates([template]),
                Some(Operator::Dedupe(Dedupe { name: _, by, within: _ })) => self.expressions([by]),
            }
        }
        replaced
    }

    fn sources(&mut self, sources: &[Source]) {
        for Source { from: _, key, start: _, max_age: _, at: _ } in sources {
            self.expressions(key);
        }
    }

    fn errors(&mut self, errors: &Errors) {
        let Errors { undecodable: _, retry, then: _, park: _, stop_above: _, emit, locals: _ } = errors;
        self.expressions(&retry.when);
        self.messages(emit, false);
    }

    fn require(&mut self, rules: &[Require], replaced: bool) {
        for Require { check, code: _, message, details, emit, dead_letter: _, retryable: _, at: _ } in rules {
            match check {
                Check::That(expr) => self.expressions([expr]),
                Check::Fits { value, schema: _ } => self.expressions([value]),
            }
            self.templates(message.iter().chain(details));
            self.messages(emit, replaced);
        }
    }

    fn messages(&mut self, messages: &[Message], replaced: bool) {
        for message in messages {
            let Message {
                kind: MessageKind::Named(_) | MessageKind::Current,
                to,
                key,
                data,
                headers,
                metadata,
                id,
                when,
                for_each,
                own_event: _,
                forward,
                delay,
                at: _,
            } = message;
            self.templates(headers.iter().chain(metadata));
            self.expressions(id.iter().chain(when));
            if let Some(ForEach { list, item: _, index: _ }) = for_each {
                self.expressions([list]);
            }
            if let Some(Delay { length, timer }) = delay {
                match length {
                    DelayLength::For(_) => {}
                    DelayLength::Computed(expr) => self.expressions([expr]),
                }
                self.templates(timer);
            }
            match data {
                MessageData::Template(template) => self.templates([template]),
                // Passed on as bytes it is not looked at.
                MessageData::Current => self.whole |= !replaced && !forward,
            }
            match to {
                MessageTarget::Topic(_) => {}
                MessageTarget::Computed { prefix: _, name } => self.expressions([name]),
            }
            match (key, to) {
                (MessageKey::Given(expr), _) => self.expressions([expr]),
                (MessageKey::Current, _) => {}
                // Of a message of its own it is computed from that message's payload.
                (MessageKey::OfTopic, _) if !forward => {}
                (MessageKey::OfTopic, MessageTarget::Topic(topic)) => {
                    let topology = self.topology;
                    self.expressions(topology.topics.get(*topic).and_then(|contract| contract.key.as_ref()));
                }
                (MessageKey::OfTopic, MessageTarget::Computed { .. }) => self.whole = true,
            }
        }
    }
}
