//! Compiled expressions: a tree whose names, functions and constants are resolved.

use super::ast::{Compare, Operator, Span};
use super::error::Res;
use super::fuel::Fuel;
use super::names::Slot;
use crate::record::{Text, Value};
use regex::Regex;

/// A value on the way: borrowed from a payload, a constant or an element where that is possible.
pub(super) enum Val<'v> {
    Ref(&'v Value),
    Own(Value),
}

impl std::ops::Deref for Val<'_> {
    type Target = Value;

    fn deref(&self) -> &Value {
        match self {
            Self::Ref(value) => value,
            Self::Own(value) => value,
        }
    }
}

impl Val<'_> {
    pub(super) fn into_owned(self) -> Value {
        match self {
            Self::Ref(value) => value.clone(),
            Self::Own(value) => value,
        }
    }
}

/// A function over values that were evaluated.
pub(super) type Native = fn(&[Val<'_>], &Fuel) -> Res<Value>;

#[derive(Debug)]
pub(super) struct Code {
    pub(super) op: Op,
    pub(super) span: Span,
}

/// What to do. An optional is the value, or null for none: the checker knows which expressions are optional.
#[derive(Debug)]
pub(super) enum Op {
    Const(Value),
    Name(Slot),
    /// Variable of the outer or the inner comprehension.
    Variable(u8),
    /// `of.a.b`.
    Fields(Box<Code>, Box<[Text]>),
    /// `of.?a.b`: null where anything is missing or null.
    OptionalFields(Box<Code>, Box<[Text]>),
    Has(Box<Code>, Text),
    Index(Box<[Code; 2]>),
    OptionalIndex(Box<[Code; 2]>),
    Not(Box<Code>),
    Negate(Box<Code>),
    And(Box<[Code]>),
    Or(Box<[Code]>),
    Compare(Compare, Box<[Code; 2]>),
    Arithmetic(Box<Code>, Box<[(Operator, Code)]>),
    Conditional(Box<[Code; 3]>),
    List(Box<[(Code, bool)]>),
    Map(Box<[(Code, Code, bool)]>),
    Call(Native, Box<[Code]>),
    Matches(Box<Code>, Regex),
    Loop(Box<Loop>),
    /// The first, or where it is none the second.
    OrElse(Box<[Code; 2]>),
    HasValue(Box<Code>),
    /// The value of an optional, an error where it is none.
    Value(Box<Code>),
}

/// A comprehension.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) kind: LoopKind,
    pub(super) over: Code,
    pub(super) variable: u8,
    /// Which elements, of `map` with three parts.
    pub(super) filter: Option<Code>,
    pub(super) body: Code,
    /// Steps of one iteration.
    pub(super) cost: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    SortBy,
}

impl Code {
    pub(super) fn new(op: Op, span: Span) -> Self {
        Self { op, span }
    }

    pub(super) fn as_const(&self) -> Option<&Value> {
        match &self.op {
            Op::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Number of nodes: what one evaluation without loops costs at most.
    pub(super) fn cost(&self) -> usize {
        let all = |parts: &[Code]| parts.iter().map(Code::cost).sum::<usize>();
        1 + match &self.op {
            Op::Const(_) | Op::Name(_) | Op::Variable(_) => 0,
            Op::Fields(of, _)
            | Op::OptionalFields(of, _)
            | Op::Has(of, _)
            | Op::Not(of)
            | Op::Negate(of)
            | Op::Matches(of, _)
            | Op::HasValue(of)
            | Op::Value(of) => of.cost(),
            Op::Index(two) | Op::OptionalIndex(two) | Op::Compare(_, two) | Op::OrElse(two) => all(two.as_slice()),
            Op::And(terms) | Op::Or(terms) | Op::Call(_, terms) => all(terms),
            Op::Conditional(three) => all(three.as_slice()),
            Op::Arithmetic(first, rest) => first.cost() + rest.iter().map(|(_, code)| code.cost()).sum::<usize>(),
            Op::List(items) => items.iter().map(|(code, _)| code.cost()).sum(),
            Op::Map(entries) => entries.iter().map(|(key, value, _)| key.cost() + value.cost()).sum(),
            // Iterations are paid when they are made.
            Op::Loop(inner) => inner.over.cost(),
        }
    }
}
