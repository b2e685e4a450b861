//! Calls: which function is meant, and do its arguments fit.

use super::operator::hint_optional;
use super::{Checker, Typed};
use crate::expr::ast::{Ast, Span};
use crate::expr::code::{Code, Op};
use crate::expr::functions::{self, Function, Kinds, Style};
use crate::expr::{Object, Type, finding};
use crate::record::{Text, Value};

/// Aggregate functions of a window (`language.md` §9), where they are not also functions over lists.
const AGGREGATES: &[&str] = &["count", "top", "collect", "first", "last", "distinct"];

/// What the compiler makes itself, for messages and the reference.
pub(in crate::expr) const MACROS: &[&str] =
    &["has", "all", "exists", "exists_one", "map", "filter", "sortBy", "orValue", "hasValue", "value", "or"];

impl Checker<'_> {
    pub(super) fn call(&mut self, name: &Text, at: Span, target: Option<&Ast>, args: &[Ast], span: Span) -> Typed {
        match (name.as_str(), target, args) {
            ("has", None, [arg]) => return self.has(arg, span),
            ("all" | "exists" | "exists_one" | "existsOne" | "map" | "filter" | "sortBy", Some(target), args) => {
                return self.comprehension(name, at, target, args, span);
            }
            ("orValue" | "hasValue" | "value" | "or", Some(target), args) => {
                return self.of_optional(name, at, target, args, span);
            }
            _ => {}
        }
        let named: Vec<&Function> = functions::all().filter(|function| function.name == name).collect();
        let style = if target.is_some() { Style::Member } else { Style::Global };
        let Some(function) = named.iter().find(|function| function.style == style || function.style == Style::Both) else {
            self.unknown_function(name, at, &named, target.is_some());
            // Its arguments may have mistakes of their own.
            target.into_iter().chain(args).for_each(|arg| drop(self.expr(arg)));
            return self.wrong(span);
        };
        let given: Vec<&Ast> = target.into_iter().chain(args).collect();
        let typed: Vec<Typed> = given.iter().map(|arg| self.expr(arg)).collect();
        if given.len() < function.required || (given.len() > function.params.len() && !function.repeats) {
            let message = format!("`{name}` takes other arguments: {}", function.usage());
            self.report("E304", span, message);
            return self.wrong(span);
        }
        let mut fits = true;
        for (place, (arg, typed)) in given.iter().zip(&typed).enumerate() {
            let wanted = function.params[place.min(function.params.len() - 1)];
            if !Kinds::of(&typed.ty).meets(wanted) {
                let finding = self.report("E304", arg.span, format!("`{name}` takes {wanted} here, this is {}", typed.ty));
                hint_optional(finding, &typed.ty);
                fits = false;
            }
        }
        if !fits {
            return self.wrong(span);
        }
        if function.name == "matches" {
            return self.matches(typed, span);
        }
        self.check_zone(function, &typed);
        let types: Vec<Type> = typed.iter().map(|typed| typed.ty.clone()).collect();
        let ty = fields_left(function.name, &typed).unwrap_or_else(|| (function.gives)(&types));
        let codes: Vec<Code> = typed.into_iter().map(|typed| typed.code).collect();
        Typed { ty, code: Code::new(Op::Call(function.native, codes.into()), span) }
    }

    fn unknown_function(&mut self, name: &str, at: Span, named: &[&Function], member: bool) {
        if AGGREGATES.contains(&name) && !member {
            self.report("E312", at, format!("`{name}` aggregates a window; it has no meaning here")).hint =
                named.first().map(|function| format!("of a list: `{}`", function.usage()));
            return;
        }
        let hint = if let Some(function) = named.first() {
            format!("write `{}`", function.usage())
        } else {
            match name {
                "now" => "there is no clock; `ctx.time` is the time of the record".to_owned(),
                "random" | "rand" | "uuid" | "uuid4" => {
                    "there is no randomness; `hash01(x)`, `uuid5(…)` and `ctx.id` are the same on every run".to_owned()
                }
                "uint" => "there are no unsigned numbers; use `int`".to_owned(),
                "len" | "length" | "count" => "write `size(x)`".to_owned(),
                _ => match finding::did_you_mean(name, functions::all().map(|f| f.name).chain(MACROS.iter().copied())) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => {
                        self.report("E303", at, format!("no function `{name}`"));
                        return;
                    }
                },
            }
        };
        let form = if member { format!("no function `.{name}()`") } else { format!("no function `{name}`") };
        self.report("E303", at, form).hint = Some(hint);
    }

    /// A constant pattern is compiled here, once.
    fn matches(&mut self, typed: Vec<Typed>, span: Span) -> Typed {
        let mut codes = typed.into_iter().map(|typed| typed.code);
        let (Some(text), Some(pattern)) = (codes.next(), codes.next()) else { return self.wrong(span) };
        let op = match pattern.as_const() {
            Some(Value::Str(constant)) => match functions::regex(constant) {
                Ok(regex) => Op::Matches(Box::new(text), regex),
                Err(error) => {
                    // The first lines draw the pattern; the last one says what is wrong.
                    let reason = error.to_string();
                    let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    self.report("E311", pattern.span, format!("no regular expression: {reason}"));
                    return self.wrong(span);
                }
            },
            _ => {
                let native = functions::all().find(|function| function.name == "matches").expect("in the table").native;
                Op::Call(native, [text, pattern].into())
            }
        };
        Typed { ty: Type::Bool, code: Code::new(op, span) }
    }

    fn check_zone(&mut self, function: &Function, typed: &[Typed]) {
        if !function.name.starts_with("get") || typed.len() < 2 {
            return;
        }
        if let Some(Value::Str(zone)) = typed[1].code.as_const()
            && functions::zone(zone).is_none()
        {
            self.report("E311", typed[1].code.span, format!("no time zone `{zone}`"));
        }
        if typed[0].ty == Type::Duration {
            self.report("E304", typed[1].code.span, "a duration has no time zone");
        }
    }

    /// `.orValue(x)`, `.or(o)`, `.hasValue()`, `.value()`.
    fn of_optional(&mut self, name: &str, at: Span, target: &Ast, args: &[Ast], span: Span) -> Typed {
        let before = self.findings.len();
        let of = self.expr(target);
        let told = self.findings.len() > before;
        let args: Vec<Typed> = args.iter().map(|arg| self.expr(arg)).collect();
        let inner = match &of.ty {
            Type::Optional(inner) => (**inner).clone(),
            // A mistake in what stands before the dot is told already.
            Type::Any if told => return self.wrong(span),
            other => {
                let message = format!("`.{name}()` is of optionals, this is {other}");
                self.report("E304", at, message).hint =
                    Some("an optional is read with `.?field` or `[?key]`, or given by `.first()` and `.last()`".into());
                return self.wrong(span);
            }
        };
        let count = usize::from(matches!(name, "orValue" | "or"));
        if args.len() != count {
            self.report(
                "E304",
                span,
                format!("`.{name}()` takes {}", if count == 1 { "one argument" } else { "no arguments" }),
            );
            return self.wrong(span);
        }
        let of_code = of.code;
        match (name, args.into_iter().next()) {
            ("hasValue", _) => Typed { ty: Type::Bool, code: Code::new(Op::HasValue(Box::new(of_code)), span) },
            ("value", _) => Typed { ty: inner, code: Code::new(Op::Value(Box::new(of_code)), span) },
            (_, Some(other)) => {
                let wants_optional = name == "or";
                if other.ty.is_optional() != wants_optional {
                    let message = format!("`.{name}(…)` takes {} here", if wants_optional { "an optional" } else { "a value" });
                    self.report("E304", other.code.span, message).hint =
                        Some(if wants_optional { "write `.orValue(…)`" } else { "write `.or(…)`" }.into());
                    return self.wrong(span);
                }
                let ty = if wants_optional { of.ty.join(&other.ty) } else { inner.join(&other.ty) };
                Typed { ty, code: Code::new(Op::OrElse(Box::new([of_code, other.code])), span) }
            }
            _ => self.wrong(span),
        }
    }
}

/// Of `pick` and `omit` with constant names over known fields: those that are left.
fn fields_left(name: &str, typed: &[Typed]) -> Option<Type> {
    let (Type::Object(object), Some(Value::List(names))) = (&typed.first()?.ty, typed.get(1)?.code.as_const()) else {
        return None;
    };
    let named = |field: &Text| names.iter().any(|name| name.as_str() == Some(field));
    let left = match name {
        "omit" => Object {
            fields: object
                .fields
                .iter()
                .filter(|(name, _)| !named(name))
                .map(|(name, field)| (name.clone(), field.clone()))
                .collect(),
            rest: object.rest.clone(),
        },
        "pick" if object.rest.is_none() => Object {
            fields: object
                .fields
                .iter()
                .filter(|(name, _)| named(name))
                .map(|(name, field)| (name.clone(), field.clone()))
                .collect(),
            rest: None,
        },
        _ => return None,
    };
    Some(left.into())
}
