//! The tree of an expression as the checker walks it: CEL's, with macros as written, chains flat and every place known.

use crate::record::{Text, Value};
use std::ops::Range;

/// Bytes of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        // Sources are at most 4 KiB.
        Self { start: start as u32, end: end as u32 }
    }

    pub(super) fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[derive(Clone, Debug)]
pub(super) struct Ast {
    pub(super) node: Node,
    pub(super) span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Name(Text),
    /// `of.field`, `of.?field`.
    Select {
        of: Box<Ast>,
        field: Text,
        optional: bool,
    },
    /// `of[key]`, `of[?key]`.
    Index {
        of: Box<Ast>,
        key: Box<Ast>,
        optional: bool,
    },
    Call {
        name: Text,
        /// Where the name stands.
        at: Span,
        target: Option<Box<Ast>>,
        args: Vec<Ast>,
    },
    Not(Box<Ast>),
    Negate(Box<Ast>),
    And(Vec<Ast>),
    Or(Vec<Ast>),
    Compare(Compare, Box<Ast>, Box<Ast>),
    /// `first op operand op operand …`, from the left.
    Arithmetic(Box<Ast>, Vec<(Operator, Ast)>),
    Conditional(Box<Ast>, Box<Ast>, Box<Ast>),
    /// Elements; the flag is for `[?x]`.
    List(Vec<(Ast, bool)>),
    /// Keys and values; the flag is for `{?'k': x}`.
    Map(Vec<(Ast, Ast, bool)>),
    /// A part that was refused; its finding is written already.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Compare {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

impl Operator {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
