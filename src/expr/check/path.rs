//! Fields, keys and indices; and what is known to be there.

use super::{Checker, Typed};
use crate::expr::ast::{Ast, Node, Span};
use crate::expr::code::{Code, Op};
use crate::expr::{Type, finding};
use crate::record::{Text, Value};

impl Checker<'_> {
    /// `of.field`, `of.?field`.
    pub(super) fn select(&mut self, ast: &Ast) -> Typed {
        let Node::Select { of, field, optional } = &ast.node else { return self.wrong(ast.span) };
        let root = self.object_of(of, field);
        let strict = !optional && !root.ty.is_optional();
        let inner = match &root.ty {
            Type::Optional(inner) => inner.as_ref().clone(),
            other => other.clone(),
        };
        let known = path(ast).is_some_and(|path| self.facts.contains(&path));
        let name_at =
            Span::new(ast.span.end as usize - field.len().min((ast.span.end - ast.span.start) as usize), ast.span.end as usize);
        let Some(ty) = self.field_type(&inner, field, name_at, strict && !known) else { return self.wrong(ast.span) };
        if strict {
            Typed { ty, code: fields(root.code, field, ast.span) }
        } else {
            Typed { ty: Type::optional(ty), code: optional_fields(root.code, field, ast.span) }
        }
    }

    /// `has(of.field)`.
    pub(super) fn has(&mut self, arg: &Ast, span: Span) -> Typed {
        let Node::Select { of, field, optional: false } = &arg.node else {
            self.report("E304", arg.span, "`has` takes a field, as in `has(data.x)`").hint =
                Some("for a key in brackets ask `'k' in m`, or use `m[?'k'].hasValue()`".into());
            return self.wrong(span);
        };
        let root = self.object_of(of, field);
        let (inner, optional) = match &root.ty {
            Type::Optional(inner) => (inner.as_ref().clone(), true),
            other => (other.clone(), false),
        };
        self.field_type(&inner, field, last(arg.span, field), false);
        let op = if optional {
            let field = optional_fields(root.code, field, arg.span);
            Op::HasValue(Box::new(field))
        } else {
            Op::Has(Box::new(root.code), field.clone())
        };
        Typed { ty: Type::Bool, code: Code::new(op, span) }
    }

    /// What a field is read of; a name in scope is then read in part only.
    fn object_of(&mut self, of: &Ast, field: &Text) -> Typed {
        if let Node::Name(name) = &of.node {
            let variable = self.variables.iter().any(|(known, _)| known == name);
            if let (false, Some((slot, ty))) = (variable, self.scope.find(name)) {
                let ty = ty.clone();
                self.read(slot, Some(field));
                return Typed { ty, code: Code::new(Op::Name(slot), of.span) };
            }
        }
        self.expr(of)
    }

    /// Type of a field; with `must_be_there` it is told when it may be missing. `None` after an error.
    fn field_type(&mut self, of: &Type, field: &Text, span: Span, must_be_there: bool) -> Option<Type> {
        match of {
            Type::Any => Some(Type::Any),
            Type::Map(value) => Some((**value).clone()),
            Type::Object(object) => match (object.fields.get(field), &object.rest) {
                (Some(known), _) => {
                    if must_be_there && !known.required {
                        self.report("W302", span, format!("field `{field}` may be missing")).hint =
                            Some(format!("ask `has(….{field})` first, or read `.?{field}` with `.orValue(…)`"));
                    }
                    Some(known.ty.clone())
                }
                (None, Some(rest)) => Some(rest.clone()),
                (None, None) => {
                    let known = || object.fields.keys().map(Text::as_str);
                    let hint = match finding::did_you_mean(field, known()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None if object.fields.is_empty() => "it has no fields".to_owned(),
                        None => format!("it has {}", known().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
                    };
                    self.report("E307", span, format!("no field `{field}`")).hint = Some(hint);
                    None
                }
            },
            other => {
                self.report("E305", span, format!("{other} has no fields, `{field}` was asked for"));
                None
            }
        }
    }

    /// `of[key]`, `of[?key]`.
    pub(super) fn index(&mut self, of: &Ast, key: &Ast, optional: bool, ast: &Ast) -> Typed {
        // A constant key is a field.
        if let Node::Literal(Value::Str(field)) = &key.node {
            let root = self.object_of(of, field);
            let is_optional = optional || root.ty.is_optional();
            let inner = match &root.ty {
                Type::Optional(inner) => inner.as_ref().clone(),
                other => other.clone(),
            };
            if !matches!(inner, Type::List(_)) {
                let known = path(ast).is_some_and(|path| self.facts.contains(&path));
                let Some(ty) = self.field_type(&inner, field, key.span, !is_optional && !known) else {
                    return self.wrong(ast.span);
                };
                if is_optional {
                    return Typed { ty: Type::optional(ty), code: optional_fields(root.code, field, ast.span) };
                }
                return Typed { ty, code: fields(root.code, field, ast.span) };
            }
            self.report("E304", key.span, "the index of a list is an int, this is string");
            return self.wrong(ast.span);
        }
        let (of_typed, key_typed) = (self.expr(of), self.expr(key));
        let is_optional = optional || of_typed.ty.is_optional();
        let inner = match &of_typed.ty {
            Type::Optional(inner) => inner.as_ref().clone(),
            other => other.clone(),
        };
        let (ty, wanted, what) = match &inner {
            Type::Any => (Type::Any, Type::Any, ""),
            Type::List(element) => ((**element).clone(), Type::Int, "the index of a list is an int"),
            Type::Map(value) => ((**value).clone(), Type::String, "the key of a map is a string"),
            Type::Object(object) => (object.values(), Type::String, "the key of a map is a string"),
            other => {
                self.report("E305", ast.span, format!("`[]` has no meaning for {other}"));
                return self.wrong(ast.span);
            }
        };
        if !key_typed.ty.meets(&wanted) {
            self.report("E304", key.span, format!("{what}, this is {}", key_typed.ty));
            return self.wrong(ast.span);
        }
        let two = Box::new([of_typed.code, key_typed.code]);
        if is_optional {
            Typed { ty: Type::optional(ty), code: Code::new(Op::OptionalIndex(two), ast.span) }
        } else {
            Typed { ty, code: Code::new(Op::Index(two), ast.span) }
        }
    }
}

/// Where the name of the last field of a path stands.
fn last(path: Span, field: &str) -> Span {
    Span { start: path.start.max(path.end.saturating_sub(field.len() as u32)), end: path.end }
}

/// `of.field`, joined with the fields before it.
fn fields(of: Code, field: &Text, span: Span) -> Code {
    match of.op {
        Op::Fields(root, names) => {
            let names = names.iter().chain([field]).cloned().collect();
            Code::new(Op::Fields(root, names), span)
        }
        op => Code::new(Op::Fields(Box::new(Code::new(op, of.span)), [field.clone()].into()), span),
    }
}

/// `of.?field`, joined with the optional fields before it.
fn optional_fields(of: Code, field: &Text, span: Span) -> Code {
    match of.op {
        Op::OptionalFields(root, names) => {
            let names = names.iter().chain([field]).cloned().collect();
            Code::new(Op::OptionalFields(root, names), span)
        }
        op => Code::new(Op::OptionalFields(Box::new(Code::new(op, of.span)), [field.clone()].into()), span),
    }
}

/// A path from a name over constant fields, as one text: what facts are told by.
fn path(ast: &Ast) -> Option<String> {
    match &ast.node {
        Node::Name(name) => Some(name.to_string()),
        Node::Select { of, field, .. } => Some(path(of)? + "\0" + field),
        Node::Index { of, key, .. } => match &key.node {
            Node::Literal(Value::Str(field)) => Some(path(of)? + "\0" + field),
            _ => None,
        },
        _ => None,
    }
}

/// Paths that are there when the condition has that outcome.
pub(super) fn facts(condition: &Ast, outcome: bool, into: &mut Vec<String>) {
    match &condition.node {
        Node::Not(inner) => facts(inner, !outcome, into),
        Node::And(terms) if outcome => terms.iter().for_each(|term| facts(term, true, into)),
        Node::Or(terms) if !outcome => terms.iter().for_each(|term| facts(term, false, into)),
        Node::Call { name, target: None, args, .. } if outcome && name == "has" && args.len() == 1 => {
            into.extend(path(&args[0]));
        }
        Node::Call { name, target: Some(target), .. } if outcome && name == "hasValue" => into.extend(path(target)),
        Node::Compare(crate::expr::ast::Compare::In, key, of) if outcome => {
            if let (Node::Literal(Value::Str(field)), Some(of)) = (&key.node, path(of)) {
                into.push(of + "\0" + field);
            }
        }
        _ => {}
    }
}
