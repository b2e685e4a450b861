//! Compiled expressions as others hold them.

use super::ast::Span;
use super::check::Checker;
use super::code::{Code, Val};
use super::error::{EvalError, Kind};
use super::eval::{Context, Names, eval, measure};
use super::fuel::{Fuel, RESULT_BYTES_MAX};
use super::names::Slot;
use super::{Finding, Scope, Severity, Type, parse};
use crate::record::{Text, Value};
use std::ops::Range;

/// What the place of an expression wants of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// A value of any type, an optional included: a `let`, a template.
    Any,
    /// A value of that type.
    Type(Type),
    /// Text or int: a key.
    Key,
    /// A list or map to go over.
    Elements,
}

impl Expect {
    /// E306, where a type cannot be what is wanted.
    pub(super) fn refuses(&self, ty: &Type, range: Range<usize>) -> Option<Finding> {
        let (fits, wanted) = match self {
            Self::Any => (true, String::new()),
            Self::Type(wanted) => (ty.meets(wanted), wanted.to_string()),
            Self::Key => (matches!(ty, Type::Any | Type::String | Type::Int), "string or int".to_owned()),
            Self::Elements => {
                (matches!(ty, Type::Any | Type::List(_) | Type::Map(_) | Type::Object(_)), "a list or a map".to_owned())
            }
        };
        if fits {
            return None;
        }
        let finding = Finding::new("E306", range, format!("this gives {ty}, here {wanted} is wanted"));
        Some(if ty.is_optional() { finding.hint("add `.orValue(…)`") } else { finding })
    }
}

/// What became of an expression.
#[derive(Debug)]
pub struct Compiled {
    /// The program; `None` when a finding is an error.
    pub program: Option<Program>,
    /// Its type, as far as it is known.
    pub ty: Type,
    /// All problems, in the order of their places.
    pub findings: Vec<Finding>,
}

/// A name that a program reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The name.
    pub slot: Slot,
    /// What of it.
    pub fields: Fields,
}

/// Which fields of a name are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fields {
    /// The whole value, or fields that are computed.
    All,
    /// These and no others.
    Some(Vec<Text>),
}

/// A compiled expression. Cheap to run and shared freely between threads.
#[derive(Debug)]
pub struct Program {
    code: Code,
    reads: Vec<Read>,
    cost: usize,
    optional: bool,
    /// Bytes that stand before the expression in the text that places count in.
    shift: usize,
}

/// Checks and compiles an expression. A leading `=` is allowed and means nothing.
pub fn compile(text: &str, scope: &Scope, expect: &Expect) -> Compiled {
    let shift = usize::from(text.starts_with('='));
    compile_part(text, shift..text.len(), scope, expect)
}

/// Compiles a part of a text; places count in the whole.
pub(super) fn compile_part(text: &str, part: Range<usize>, scope: &Scope, expect: &Expect) -> Compiled {
    let shift = part.start;
    let checked = parse::parse(&text[part], |ast| {
        let mut checker = Checker::new(scope);
        let typed = checker.whole(ast, expect);
        (Some(typed), checker.reads, checker.findings)
    });
    let (typed, reads, mut findings) = checked.unwrap_or_else(|findings| (None, Vec::new(), findings));
    findings.sort_by_key(|finding| finding.range.start);
    findings.dedup();
    for finding in &mut findings {
        finding.range = finding.range.start + shift..finding.range.end + shift;
    }
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    let ty = typed.as_ref().map_or(Type::Any, |typed| typed.ty.clone());
    let program = typed.filter(|_| !failed).map(|typed| Program {
        cost: typed.code.cost(),
        optional: typed.ty.is_optional(),
        code: typed.code,
        reads,
        shift,
    });
    Compiled { program, ty, findings }
}

impl Program {
    /// A program that gives a constant: what a YAML boolean or number is where an expression may stand.
    pub fn constant(value: Value) -> Self {
        let code = Code::new(super::code::Op::Const(value), Span::new(0, 0));
        Self { code, reads: Vec::new(), cost: 1, optional: false, shift: 0 }
    }

    /// Evaluates. An empty optional gives null; the result is at most [`RESULT_BYTES_MAX`] large.
    pub fn eval(&self, names: &dyn Names, fuel: &mut Fuel) -> Result<Value, EvalError> {
        self.run(names, fuel, |value| {
            // What is only passed on was bounded where it came from.
            if let Val::Own(own @ (Value::List(_) | Value::Map(_) | Value::Str(_))) = &value {
                measure(own, &mut { RESULT_BYTES_MAX }, 0)?;
            }
            Ok(value.into_owned())
        })
    }

    /// Evaluates a condition: anything but a truth value is `NO_OVERLOAD`. Cheaper than [`eval`](Self::eval).
    pub fn eval_bool(&self, names: &dyn Names, fuel: &mut Fuel) -> Result<bool, EvalError> {
        self.run(names, fuel, |value| match &*value {
            Value::Bool(truth) => Ok(*truth),
            other => Err(Box::new(EvalError::new(Kind::NoOverload, format!("bool is wanted, this is {}", other.kind())))),
        })
    }

    /// The value, where the expression is a constant.
    pub fn as_const(&self) -> Option<&Value> {
        self.code.as_const()
    }

    /// The name and its field, where the expression is no more than that: `data.id`.
    pub fn as_field(&self) -> Option<(Slot, &Text)> {
        let super::code::Op::Fields(of, fields) = &self.code.op else { return None };
        match (&of.op, &**fields) {
            (super::code::Op::Name(slot), [field]) => Some((*slot, field)),
            _ => None,
        }
    }

    /// The names that it reads, each once.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// Is its type optional? Then null as result means none.
    pub fn is_optional(&self) -> bool {
        self.optional
    }

    pub(super) fn run<T>(
        &self,
        names: &dyn Names,
        fuel: &Fuel,
        take: impl FnOnce(Val<'_>) -> Result<T, Box<EvalError>>,
    ) -> Result<T, EvalError> {
        let context = Context { names, fuel, variables: [None; 2] };
        let result = fuel.burn(self.cost).and_then(|()| eval(&self.code, &context)).and_then(take);
        result.map_err(|error| {
            let mut error = *error;
            if error.range.end == 0 {
                error.range = self.code.span.range();
            }
            error.range = error.range.start + self.shift..error.range.end + self.shift;
            error
        })
    }
}
