//! The checker: from the tree to typed, compiled code, with all findings of an expression at once.
//!
//! A part that is wrong becomes `any`, so that one mistake is told once. What is certain to fail is an error; what may be
//! meant is a warning.

mod call;
mod loops;
mod operator;
mod path;

pub(super) use call::MACROS;

use super::ast::{Ast, Node, Span};
use super::code::{Code, Op};
use super::error::Kind;
use super::eval::{Context, Names, eval};
use super::fuel::Fuel;
use super::names::{self, RESERVED, Slot};
use super::program::{Fields, Read};
use super::{EvalError, Expect, Finding, Scope, Type, finding};
use crate::record::{Text, Value};

/// Comprehensions within each other.
pub(super) const LOOPS_MAX: usize = 2;

pub(super) struct Checker<'s> {
    scope: &'s Scope,
    pub(super) findings: Vec<Finding>,
    pub(super) reads: Vec<Read>,
    /// Variables of the comprehensions around.
    variables: Vec<(Text, Type)>,
    /// Paths that are known to be there: what was asked for with `has` before.
    facts: Vec<String>,
}

/// A checked part.
pub(super) struct Typed {
    pub(super) ty: Type,
    pub(super) code: Code,
}

impl<'s> Checker<'s> {
    pub(super) fn new(scope: &'s Scope) -> Self {
        Self { scope, findings: Vec::new(), reads: Vec::new(), variables: Vec::new(), facts: Vec::new() }
    }

    /// Checks a whole expression against what its place expects.
    pub(super) fn whole(&mut self, ast: &Ast, expect: &Expect) -> Typed {
        let typed = self.expr(ast);
        if let Some(finding) = expect.refuses(&typed.ty, ast.span.range()) {
            self.findings.push(finding);
        }
        typed
    }

    fn report(&mut self, code: &'static str, span: Span, message: impl Into<String>) -> &mut Finding {
        let at = self.findings.len();
        self.findings.push(Finding::new(code, span.range(), message));
        &mut self.findings[at]
    }

    fn wrong(&self, span: Span) -> Typed {
        Typed { ty: Type::Any, code: Code::new(Op::Const(Value::Null), span) }
    }

    fn expr(&mut self, ast: &Ast) -> Typed {
        let before = self.findings.len();
        let typed = self.node(ast);
        if self.findings.len() == before { self.folded(typed) } else { typed }
    }

    fn node(&mut self, ast: &Ast) -> Typed {
        let span = ast.span;
        match &ast.node {
            Node::Literal(value) => Typed { ty: Type::of(value), code: Code::new(Op::Const(value.clone()), span) },
            Node::Name(name) => self.name(name, span),
            Node::Select { .. } => self.select(ast),
            Node::Index { of, key, optional } => self.index(of, key, *optional, ast),
            Node::Call { name, at, target, args } => self.call(name, *at, target.as_deref(), args, span),
            Node::Not(of) => {
                let of = self.condition(of, "!");
                Typed { ty: Type::Bool, code: Code::new(Op::Not(Box::new(of)), span) }
            }
            Node::Negate(of) => self.negate(of, span),
            Node::And(terms) => self.junction(terms, true, span),
            Node::Or(terms) => self.junction(terms, false, span),
            Node::Compare(compare, a, b) => self.compare(*compare, a, b, span),
            Node::Arithmetic(first, rest) => self.arithmetic(first, rest, span),
            Node::Conditional(when, then, other) => self.conditional(when, then, other, span),
            Node::List(items) => {
                let mut types = Vec::new();
                let mut codes = Vec::new();
                for (item, optional) in items {
                    let typed = self.stored(item, *optional);
                    types.push(typed.ty);
                    codes.push((typed.code, *optional));
                }
                Typed { ty: Type::list(Type::join_all(types)), code: Code::new(Op::List(codes.into()), span) }
            }
            Node::Map(entries) => self.map(entries, span),
            Node::Wrong => self.wrong(span),
        }
    }

    fn name(&mut self, name: &Text, span: Span) -> Typed {
        if let Some(place) = self.variables.iter().rposition(|(known, _)| known == name) {
            let ty = self.variables[place].1.clone();
            return Typed { ty, code: Code::new(Op::Variable(place as u8), span) };
        }
        if let Some((slot, ty)) = self.scope.find(name) {
            let ty = ty.clone();
            self.read(slot, None);
            return Typed { ty, code: Code::new(Op::Name(slot), span) };
        }
        // `type(x) == int`, as CEL writes it.
        const KINDS: [(&str, &str); 10] = [
            ("null_type", "null"),
            ("bool", "bool"),
            ("int", "int"),
            ("double", "double"),
            ("string", "string"),
            ("bytes", "bytes"),
            ("timestamp", "timestamp"),
            ("duration", "duration"),
            ("list", "list"),
            ("map", "map"),
        ];
        if let Some((_, kind)) = KINDS.iter().find(|(word, _)| word == name) {
            return Typed { ty: Type::String, code: Code::new(Op::Const((*kind).into()), span) };
        }
        self.unknown(name, span);
        self.wrong(span)
    }

    fn unknown(&mut self, name: &str, span: Span) {
        if let Some(place) = names::place(name) {
            self.report("E313", span, format!("`{name}` is not in scope here; it exists {place}"));
            return;
        }
        let known = self.scope.names().chain(self.variables.iter().map(|(name, _)| name.as_str()));
        let hint = match finding::did_you_mean(name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if name == "now" => "there is no clock; `ctx.time` is the time of the record".to_owned(),
            None => {
                let known: Vec<_> = self.scope.names().map(|name| format!("`{name}`")).collect();
                if known.is_empty() {
                    "no names are in scope here".to_owned()
                } else {
                    format!("in scope are {}", known.join(", "))
                }
            }
        };
        self.report("E302", span, format!("no name `{name}`")).hint = Some(hint);
    }

    /// Notes that a name is read: a field of it, or all of it.
    fn read(&mut self, slot: Slot, field: Option<&Text>) {
        let at = self.reads.iter().position(|read| read.slot == slot).unwrap_or_else(|| {
            self.reads.push(Read { slot, fields: Fields::Some(Vec::new()) });
            self.reads.len() - 1
        });
        match (&mut self.reads[at].fields, field) {
            (fields, None) => *fields = Fields::All,
            (Fields::Some(fields), Some(field)) if !fields.contains(field) => fields.push(field.clone()),
            _ => {}
        }
    }

    /// A value that becomes part of another one: no optional, but where the place is marked with `?`.
    fn stored(&mut self, ast: &Ast, marked: bool) -> Typed {
        let typed = self.expr(ast);
        match (&typed.ty, marked) {
            (Type::Optional(inner), true) => Typed { ty: (**inner).clone(), code: typed.code },
            (Type::Optional(_), false) => {
                self.report("E304", ast.span, "an optional cannot be part of a value").hint =
                    Some("mark it (`[?x]`, `{?'k': x}`) to leave it out when empty, or add `.orValue(…)`".into());
                self.wrong(ast.span)
            }
            (Type::Any, true) => typed,
            (other, true) => {
                let message = format!("`?` marks an optional, this is {other}");
                self.report("E304", ast.span, message).hint = Some("leave out the `?`".into());
                self.wrong(ast.span)
            }
            (_, false) => typed,
        }
    }

    fn map(&mut self, entries: &[(Ast, Ast, bool)], span: Span) -> Typed {
        let mut object = Some(super::Object::closed());
        let mut types = Vec::new();
        let mut codes = Vec::new();
        for (key, value, optional) in entries {
            let key_typed = self.expr(key);
            if !key_typed.ty.meets(&Type::String) {
                let message = format!("keys of maps are strings, this is {}", key_typed.ty);
                self.report("E304", key.span, message).hint = Some("write `string(…)`".into());
            }
            let value = self.stored(value, *optional);
            match (key_typed.code.as_const(), &mut object) {
                (Some(Value::Str(name)), Some(object)) => {
                    let field = super::Field { ty: value.ty.clone(), required: !optional };
                    object.fields.insert(name.clone(), field);
                }
                _ => object = None,
            }
            types.push(value.ty);
            codes.push((key_typed.code, value.code, *optional));
        }
        let ty = match object {
            Some(object) => object.into(),
            None => Type::map(Type::join_all(types)),
        };
        Typed { ty, code: Code::new(Op::Map(codes.into()), span) }
    }

    /// Evaluates what depends on nothing; what is certain to fail is a finding.
    fn folded(&mut self, typed: Typed) -> Typed {
        if !is_constant(&typed.code) || matches!(typed.code.op, Op::Const(_)) {
            return typed;
        }
        // Enough for what is written by hand; more is left to the run.
        let fuel = Fuel::steps(1_000);
        let context = Context { names: &NoNames, fuel: &fuel, variables: [None; 2] };
        let outcome = eval(&typed.code, &context).map(super::code::Val::into_owned);
        let span = typed.code.span;
        match outcome {
            Ok(value) => Typed { ty: typed.ty, code: Code::new(Op::Const(value), span) },
            Err(error) if error.kind == Kind::Fuel => typed,
            Err(error) => {
                self.report("E311", span, format!("always fails: {} ({})", error.message, error.kind.name()));
                self.wrong(span)
            }
        }
    }

    /// Would a new variable of that name be a mistake?
    fn check_variable(&mut self, name: &Text, span: Span) {
        if RESERVED.contains(&name.as_str()) {
            self.report("E310", span, format!("`{name}` is a reserved word of expressions"));
        } else if self.scope.find(name).is_some() || self.variables.iter().any(|(known, _)| known == name) {
            self.report("E309", span, format!("`{name}` hides a name in scope")).hint = Some("choose another name".into());
        }
    }
}

/// Constants are evaluated without names.
pub(super) struct NoNames;

impl Names for NoNames {
    fn value(&self, _: Slot) -> Result<&Value, EvalError> {
        unreachable!("code that reads a name is not constant")
    }
}

fn is_constant(code: &Code) -> bool {
    let constant = |parts: &[Code]| parts.iter().all(|part| matches!(part.op, Op::Const(_)));
    let one = |part: &Code| matches!(part.op, Op::Const(_));
    // Parts were folded before, so looking one level down is enough.
    match &code.op {
        Op::Const(_) => true,
        Op::Name(_) | Op::Variable(_) | Op::Loop(_) => false,
        Op::Fields(of, _)
        | Op::OptionalFields(of, _)
        | Op::Has(of, _)
        | Op::Not(of)
        | Op::Negate(of)
        | Op::Matches(of, _)
        | Op::HasValue(of)
        | Op::Value(of) => one(of),
        Op::Index(two) | Op::OptionalIndex(two) | Op::Compare(_, two) | Op::OrElse(two) => constant(two.as_slice()),
        Op::And(terms) | Op::Or(terms) | Op::Call(_, terms) => constant(terms),
        Op::Conditional(three) => constant(three.as_slice()),
        Op::Arithmetic(first, rest) => one(first) && rest.iter().all(|(_, operand)| one(operand)),
        Op::List(items) => items.iter().all(|(item, _)| one(item)),
        Op::Map(entries) => entries.iter().all(|(key, value, _)| one(key) && one(value)),
    }
}
