//! Sagas: processes that wait, across services, with what undoes them.
//!
//! A saga has one instance per key. Its body is one of two: [`Steps`], which are done one after the other and undone when one
//! fails, or [`States`], between which messages and time lead. Steps and states are named by their index in their list.
//!
//! Names in expressions: `saga`, `params` and `ctx` are everywhere but in `start`; the item of a `for_each` is a local of the
//! step and of all that stands within it; the names of a message (`data event key headers record`) exist where the field says
//! "with the message". All expressions of a saga share frames of [`Saga::locals`] locals.
//!
//! `saga` has the fields `id name status attempt startedAt reason data`, with steps also `step failedStep`, with states also
//! `state`. All of them but `attempt` (int), `startedAt` (timestamp) and `data` (map) are text, empty where there is none.

use super::{Errors, Expr, ForEach, Message, Position, Require, Retry, Source, Template};
use crate::expr::Type;
use crate::record::Text;
use jiff::SignedDuration;

/// A saga.
#[derive(Clone, Debug)]
pub struct Saga {
    /// Name, unique among the nodes.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// Hash of what the file says of it; an instance keeps the definition that it began with.
    pub definition: Text,
    /// Topics of the start and of the messages waited for. Replies come by [`Saga::replies`].
    pub sources: Vec<Source>,
    /// The instance's key, with the message; `None`: the record's key. A source's own `key` goes before it.
    pub key: Option<Expr>,
    /// How an instance begins.
    pub start: Start,
    /// What happens with messages before there is an instance.
    pub early: Early,
    /// What it does.
    pub body: Body,
    /// How long an instance may take, from its start. With steps it is undone with reason `TIMEOUT`, after the pivot it is
    /// reported as stuck; with states it ends as failed.
    pub timeout: Option<SignedDuration>,
    /// How long an instance is kept after its end.
    pub retain: SignedDuration,
    /// At the end of one that did what it should.
    pub completed: Ending,
    /// At the end of one that was undone.
    pub compensated: Ending,
    /// At the end of one that failed (states alone).
    pub failed: Ending,
    /// What `saga.data` is, over the whole of a life: fields that may be missing at some place are not required.
    pub data: Type,
    /// All message types that it takes from its sources, sorted by type, with what each may do.
    pub takes: Vec<Taken>,
    /// Topic of the replies to its `send`s; none where no outcome is a reply.
    pub replies: Option<usize>,
    /// Topic of what it went through.
    pub history: usize,
    /// Locals of every frame of its.
    pub locals: usize,
    /// What happens with records that fail (their key, `start`, or bytes); what fails later fails a step.
    pub errors: Errors,
    /// Where it stands.
    pub at: Position,
}

/// How an instance begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// Types of messages that start one, sorted.
    pub types: Vec<Text>,
    /// Does the message start one? With the message, without `saga`.
    pub when: Option<Expr>,
    /// What `saga.data` is at first: a map. With the message, without `saga`.
    pub data: Template,
}

/// Messages before there is an instance: kept, so that topics need no common order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Early {
    /// How long each is kept.
    pub within: SignedDuration,
    /// How many are kept of one key.
    pub limit: u32,
    /// What then comes of them.
    pub then: EarlyThen,
}

/// What comes of a message whose saga did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyThen {
    /// A dead letter `ORPHAN`.
    DeadLetter,
    /// It is counted and dropped.
    Drop,
}

/// What a saga does.
#[derive(Clone, Debug)]
pub enum Body {
    /// It is led: steps, and what undoes them.
    Steps(Steps),
    /// It follows: states, between which messages and time lead.
    States(States),
}

/// What is done at the end of an instance.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Sent.
    pub emit: Vec<Message>,
    /// The result for whoever asked for the start. When any ending has one, all answers come at the end: rejected with the
    /// saga's reason unless it completed; else the start is accepted at once, with `{sagaId}`.
    pub reply: Option<Template>,
}

/// What a message type may do to a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The type.
    pub kind: Text,
    /// Does it start one?
    pub starts: bool,
    /// Does it cancel one?
    pub cancels: bool,
    /// Operations that wait for it, in the order of the steps. Empty with states.
    pub answers: Vec<Answered>,
    /// Is there a transition by it, in any state?
    pub moves: bool,
}

/// An operation that a message type answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The step, by index.
    pub step: usize,
    /// What is done, or what undoes it?
    pub direction: Direction,
    /// Does it say that it succeeded?
    pub success: bool,
}

/// Which way a step is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// It is done.
    Forward,
    /// It is undone.
    Back,
}

/// A saga that is led.
#[derive(Clone, Debug)]
pub struct Steps {
    /// All steps in the order of the file, those within a `parallel` behind the one that holds them. Names are unique.
    pub steps: Vec<Step>,
    /// Those that are not within another, in order.
    pub order: Vec<usize>,
    /// In which order steps are undone.
    pub undo: UndoOrder,
    /// What has it undone from outside.
    pub cancel: Option<Cancel>,
    /// The step after which nothing is undone any more: one of [`Steps::order`].
    pub pivot: Option<usize>,
}

/// In which order steps are undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UndoOrder {
    /// The last that was done is undone first, each when the one before it is undone.
    #[default]
    Reverse,
    /// All at once.
    Parallel,
}

/// Undoes an instance from wherever it is; without effect after the pivot.
#[derive(Clone, Debug)]
pub struct Cancel {
    /// Types of messages that do, sorted.
    pub types: Vec<Text>,
    /// Does this one? With the message.
    pub when: Option<Expr>,
    /// The saga's reason: text, with the message; else the type.
    pub reason: Option<Template>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name, unique in the saga.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// The `parallel` step that it is within, by index.
    pub parent: Option<usize>,
    /// Is it done at all? Else it is skipped.
    pub when: Option<Expr>,
    /// It is done for each element, all at once. The list is fixed when the step begins, at most 1,000 elements; its expression
    /// sees no item. Never together with [`Action::Parallel`].
    pub for_each: Option<ForEach>,
    /// Rules, per element; the first that does not hold fails the step with its code as reason, and nothing is sent.
    pub require: Vec<Require>,
    /// What is done.
    pub action: Action,
    /// How it succeeds. Without types: on the accepted reply of a `send`, else at once. `set` and `when` are with the message
    /// (`data` of a reply is its result); of what is done at once, `set` is without.
    pub success: Outcome,
    /// How it fails. Without types: on the rejection of a `send`, whose `data` is `{code, message, details}`. With the message.
    pub failure: Outcome,
    /// How long one try may take; `None`: for ever (a wait's default), or it is done at once.
    pub timeout: Option<SignedDuration>,
    /// Tries. `when` is over `saga`, `params`, `ctx`, the item and `reason`, and asked after failures that answered; a try without an answer is
    /// always followed by the next, under the same id.
    pub retry: Retry,
    /// What undoes it.
    pub compensate: Option<Compensation>,
    /// Its failure fails nothing.
    pub optional: bool,
    /// Where it stands.
    pub at: Position,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sends a command and waits for its outcome. Without `when` and `for_each` of its own.
    Send(Box<Message>),
    /// Sends, and is done.
    Emit(Vec<Message>),
    /// These steps, by index, all at once; done when all are, failed with the reason of the first failed in this order.
    Parallel(Vec<usize>),
    /// Nothing: a wait, or with [`Awaits::Nothing`] a place for `require` and `set`.
    None,
}

/// One of the outcomes of a step or of a compensation.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Types of messages that say so, sorted. Empty: the reply says so.
    pub types: Vec<Text>,
    /// Is it this one? Asked of a message of these types; a `for_each` tells its items apart by it. Of a reply that accepts:
    /// one for which it does not hold fails the step with `UNEXPECTED_RESPONSE`.
    pub when: Option<Expr>,
    /// Fields written into `saga.data`: a map, once per answer.
    pub set: Option<Template>,
    /// The reason of a failure: text; else the code of a rejection, or the type.
    pub reason: Option<Template>,
}

/// What undoes a step. It must be safe when nothing was done.
#[derive(Clone, Debug)]
pub struct Compensation {
    /// [`Action::Send`] or [`Action::Emit`].
    pub action: Action,
    /// How it succeeds, as of a step.
    pub success: Outcome,
    /// How it fails, as of a step.
    pub failure: Outcome,
    /// How long one try may take; `None`: it is done at once.
    pub timeout: Option<SignedDuration>,
    /// Tries, as of a step; all tries used up halt the saga.
    pub retry: Retry,
    /// Where it stands.
    pub at: Position,
}

/// What an operation waits for once its action was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// Nothing: it is done at once.
    Nothing,
    /// The reply to its command.
    Reply,
    /// A message of one of the types of its outcomes. Replies are not looked at.
    Message,
    /// The steps within it.
    Inner,
}

/// A saga that follows.
#[derive(Clone, Debug)]
pub struct States {
    /// The states in the order of the file.
    pub states: Vec<State>,
    /// The one that an instance begins in.
    pub start: usize,
    /// Transitions of every state that is not final, tried after the state's own; their `after` counts from the start.
    pub everywhere: Vec<Transition>,
}

/// A state.
#[derive(Clone, Debug)]
pub struct State {
    /// Name, unique in the saga.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// Sent on entering, also at the start.
    pub emit: Vec<Message>,
    /// Ways on; the first that fits is taken.
    pub transitions: Vec<Transition>,
    /// Types that are neither handled nor kept here, sorted.
    pub ignore: Vec<Text>,
    /// Types that are kept here until a state is entered that handles them, sorted: a state reachable from here does, this one
    /// does not.
    pub keeps: Vec<Text>,
    /// The end, of a final state: it has no transitions.
    pub end: Option<End>,
    /// Where it stands.
    pub at: Position,
}

/// How a saga of states ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It did what it should.
    Completed,
    /// What it had done is undone.
    Compensated,
    /// It failed.
    Failed,
}

/// A way from a state.
#[derive(Clone, Debug)]
pub struct Transition {
    /// What leads on it.
    pub on: Trigger,
    /// Is it taken? With the message, if it is by one.
    pub when: Option<Expr>,
    /// Where it leads; `None`: nothing is left or entered, timers run on.
    pub to: Option<usize>,
    /// Fields written into `saga.data`: a map. With the message, if it is by one.
    pub set: Option<Template>,
    /// Sent, before what the entered state sends. With the message, if it is by one.
    pub emit: Vec<Message>,
    /// The saga's reason: text. With the message, if it is by one.
    pub reason: Option<Template>,
    /// Where it stands.
    pub at: Position,
}

/// What leads on a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A message of one of these types, sorted.
    Types(Vec<Text>),
    /// So long after entering the state; of [`States::everywhere`] after the start.
    After(SignedDuration),
}

impl Saga {
    /// What a message type may do; `None`: it is nothing to this saga.
    pub fn taken(&self, kind: &str) -> Option<&Taken> {
        self.takes.binary_search_by(|taken| taken.kind.as_str().cmp(kind)).ok().map(|at| &self.takes[at])
    }

    /// Is whoever asked for the start answered at the end?
    pub fn answers_at_end(&self) -> bool {
        [&self.completed, &self.compensated, &self.failed].iter().any(|ending| ending.reply.is_some())
    }
}

impl Steps {
    /// Does a step come after the pivot, so that its failure is not undone? One within a `parallel` counts as that.
    pub fn is_after_pivot(&self, step: usize) -> bool {
        self.pivot.is_some_and(|pivot| self.outermost(step) > pivot)
    }

    /// The step of [`Steps::order`] that a step is, or is within.
    pub fn outermost(&self, step: usize) -> usize {
        self.within(step).last().unwrap_or(step)
    }

    /// The `parallel` steps that a step is within, the nearest first.
    pub fn within(&self, step: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.steps[step].parent, |outer| self.steps[*outer].parent)
    }

    /// A step by its name.
    pub fn step(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }
}

impl States {
    /// A state by its name.
    pub fn state(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|state| state.name == name)
    }
}

impl State {
    /// Is there a transition by that type here, in the state itself? Those of [`States::everywhere`] come on top.
    pub fn handles(&self, kind: &str) -> bool {
        self.transitions.iter().any(|transition| transition.takes(kind))
    }
}

impl Transition {
    /// Is it by that type?
    pub fn takes(&self, kind: &str) -> bool {
        matches!(&self.on, Trigger::Types(types) if types.iter().any(|known| known == kind))
    }
}

impl Step {
    /// What it waits for.
    pub fn awaits(&self) -> Awaits {
        self.action.awaits(&self.success)
    }
}

impl Compensation {
    /// What it waits for.
    pub fn awaits(&self) -> Awaits {
        self.action.awaits(&self.success)
    }
}

impl Action {
    fn awaits(&self, success: &Outcome) -> Awaits {
        match self {
            Self::Parallel(_) => Awaits::Inner,
            Self::Emit(_) => Awaits::Nothing,
            Self::Send(_) | Self::None if !success.types.is_empty() => Awaits::Message,
            Self::Send(_) => Awaits::Reply,
            Self::None => Awaits::Nothing,
        }
    }
}
