//! From templates as written to compiled ones.

use super::{Part, Piece, Placed, Template, TemplateSource};
use crate::expr::ast::{Ast, Node};
use crate::expr::functions::Kinds;
use crate::expr::program::compile_part;
use crate::expr::{Expect, Field, Finding, Object, Scope, Severity, Type, lex, parse};
use crate::record::{Map, Text, Value};

/// A text longer than this is prose, however it begins.
const LOOKS_BYTES_MAX: usize = 256;

pub(super) fn compile(source: &TemplateSource, scope: &Scope) -> (Option<Template>, Type, Vec<Placed>) {
    let mut compiler = Compiler { scope, findings: Vec::new() };
    let (part, ty) = compiler.part(source);
    let failed = compiler.findings.iter().any(|placed| placed.finding.severity == Severity::Error);
    (part.filter(|_| !failed).map(Template::new), ty, compiler.findings)
}

struct Compiler<'s> {
    scope: &'s Scope,
    findings: Vec<Placed>,
}

impl Compiler<'_> {
    /// The part is `None` after an error within it.
    fn part(&mut self, source: &TemplateSource) -> (Option<Part>, Type) {
        match source {
            TemplateSource::Literal(value) => (Some(Part::Const(value.clone())), Type::of(value)),
            TemplateSource::Text { text, place } => self.text(text, *place),
            TemplateSource::List(items) => {
                let (parts, types): (Vec<_>, Vec<_>) = items.iter().map(|item| self.part(item)).unzip();
                let ty = Type::list(Type::join_all(types.into_iter().map(present)));
                (parts.into_iter().collect::<Option<Vec<_>>>().map(list), ty)
            }
            TemplateSource::Map(entries) => {
                let mut object = Object::closed();
                let mut parts = Some(Vec::with_capacity(entries.len()));
                for (key, source) in entries {
                    let (part, ty) = self.part(source);
                    let required = !ty.is_optional();
                    object.fields.insert(key.clone(), Field { ty: present(ty), required });
                    match (part, &mut parts) {
                        (Some(part), Some(parts)) => parts.push((key.clone(), part)),
                        _ => parts = None,
                    }
                }
                (parts.map(map), object.into())
            }
        }
    }

    fn text(&mut self, text: &str, place: u32) -> (Option<Part>, Type) {
        if let Some(literal) = text.strip_prefix("==") {
            return (Some(Part::Const(format!("={literal}").into())), Type::String);
        }
        if text.starts_with('=') {
            let compiled = compile_part(text, 1..text.len(), self.scope, &Expect::Any);
            self.place(place, compiled.findings);
            let part = compiled.program.map(|program| match program.as_const() {
                // Of constants only what JSON has can be kept as it is; the others are converted when evaluated.
                Some(value) if json_kind(value) => Part::Const(value.clone()),
                _ => Part::Program(program, place),
            });
            return (part, normal(&compiled.ty));
        }
        if text.contains('{') {
            return (self.pieces(text, place), Type::String);
        }
        self.check_literal(text, place);
        (Some(Part::Const(text.into())), Type::String)
    }

    /// `text {expr} text`.
    fn pieces(&mut self, text: &str, place: u32) -> Option<Part> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut failed = false;
        let mut at = 0;
        while let Some(found) = text[at..].find(['{', '}']) {
            let brace = at + found;
            literal.push_str(&text[at..brace]);
            let doubled = text.as_bytes().get(brace + 1) == text.as_bytes().get(brace);
            if doubled {
                literal.push(char::from(text.as_bytes()[brace]));
                at = brace + 2;
                continue;
            }
            if text.as_bytes()[brace] == b'}' {
                let finding = Finding::new("E301", brace..brace + 1, "`}` closes nothing");
                self.place(place, vec![finding.hint("a brace in a text is written `}}`")]);
                return None;
            }
            let Some(end) = lex::closing_brace(text, brace + 1) else {
                let finding = Finding::new("E301", brace..brace + 1, "nothing closes `{`");
                self.place(place, vec![finding.hint("a brace in a text is written `{{`")]);
                return None;
            };
            let compiled = compile_part(text, brace + 1..end, self.scope, &Expect::Any);
            let mut findings = compiled.findings;
            if !Kinds::of(&compiled.ty).meets(Kinds::SCALAR) {
                let finding = Finding::new("E304", brace + 1..end, format!("{} cannot be filled into a text", compiled.ty));
                findings.push(match compiled.ty {
                    Type::Optional(_) => finding.hint("add `.orValue(…)`"),
                    Type::List(_) => finding.hint("write `.join(', ')` or `toJson(…)`"),
                    _ => finding.hint("write `toJson(…)`"),
                });
            }
            failed |= findings.iter().any(|finding| finding.severity == Severity::Error);
            for finding in &mut findings {
                if finding.code == "E301" && finding.hint.is_none() {
                    finding.hint = Some("`{…}` in a text is an expression; a brace is written `{{`".to_owned());
                }
            }
            if brace == 0 && end + 1 == text.len() && !failed {
                let finding = Finding::new("W304", 0..text.len(), "the whole text is one placeholder, so it gives text");
                findings.push(finding.hint(format!("`={}` keeps its type", &text[1..end])));
            }
            self.place(place, findings);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            pieces.extend(compiled.program.map(Piece::Program));
            at = end + 1;
        }
        literal.push_str(&text[at..]);
        if failed {
            return None;
        }
        if pieces.is_empty() {
            return Some(Part::Const(literal.into()));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Some(Part::Text(pieces, place))
    }

    /// W301: a literal that was probably meant to compute.
    fn check_literal(&mut self, text: &str, place: u32) {
        if text.len() > LOOKS_BYTES_MAX || !text.contains(['.', '[']) {
            return;
        }
        let reads_a_name = |name: &str| {
            text.match_indices(name).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                let after = text[at + name.len()..].chars().next();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') && matches!(after, Some('.' | '['))
            })
        };
        if !self.scope.names().any(reads_a_name) {
            return;
        }
        if let Ok(true) = parse::parse(text, |ast| reads_a_field(ast, self.scope)) {
            let finding = Finding::new("W301", 0..text.len(), "a literal that looks like an expression");
            self.place(place, vec![finding.hint(format!("did you mean `={text}`? The text itself is `='{text}'`"))]);
        }
    }

    fn place(&mut self, place: u32, findings: Vec<Finding>) {
        self.findings.extend(findings.into_iter().map(|finding| Placed { place, finding }));
    }
}

fn list(parts: Vec<Part>) -> Part {
    if parts.iter().all(|part| matches!(part, Part::Const(_))) {
        let values = parts.into_iter().filter_map(|part| if let Part::Const(value) = part { Some(value) } else { None });
        return Part::Const(Value::list(values.collect()));
    }
    Part::List(parts)
}

fn map(mut parts: Vec<(Text, Part)>) -> Part {
    if parts.iter().all(|(_, part)| matches!(part, Part::Const(_))) {
        let values =
            parts.into_iter().filter_map(|(key, part)| if let Part::Const(value) = part { Some((key, value)) } else { None });
        return Part::Const(Value::Map(Map::from_entries(values.collect())));
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    Part::Map(parts)
}

/// The type of what is there, of what may be left out.
fn present(ty: Type) -> Type {
    match ty {
        Type::Optional(inner) => (*inner).clone(),
        other => other,
    }
}

/// A type as it is after values were brought into the JSON model.
fn normal(ty: &Type) -> Type {
    match ty {
        Type::Bytes | Type::Timestamp | Type::Duration => Type::String,
        Type::List(element) => Type::list(normal(element)),
        Type::Map(value) => Type::map(normal(value)),
        Type::Optional(inner) => Type::optional(normal(inner)),
        Type::Object(object) => {
            let fields = object.fields.iter();
            let fields = fields.map(|(name, field)| (name.clone(), Field { ty: normal(&field.ty), required: field.required }));
            Object { fields: fields.collect(), rest: object.rest.as_ref().map(normal) }.into()
        }
        other => other.clone(),
    }
}

fn json_kind(value: &Value) -> bool {
    match value {
        Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) => false,
        Value::Double(number) => number.is_finite(),
        Value::List(items) => items.iter().all(json_kind),
        Value::Map(map) => map.iter().all(|(_, value)| json_kind(value)),
        _ => true,
    }
}

/// Does the tree read a field or element of a name in scope?
fn reads_a_field(ast: &Ast, scope: &Scope) -> bool {
    let all = |parts: &[Ast]| parts.iter().any(|part| reads_a_field(part, scope));
    match &ast.node {
        Node::Select { of, .. } | Node::Index { of, .. } => match &of.node {
            Node::Name(name) => scope.find(name).is_some(),
            _ => reads_a_field(of, scope),
        },
        Node::Call { target, args, .. } => target.as_deref().is_some_and(|target| reads_a_field(target, scope)) || all(args),
        Node::Not(of) | Node::Negate(of) => reads_a_field(of, scope),
        Node::And(terms) | Node::Or(terms) => all(terms),
        Node::Compare(_, a, b) => reads_a_field(a, scope) || reads_a_field(b, scope),
        Node::Arithmetic(first, rest) => {
            reads_a_field(first, scope) || rest.iter().any(|(_, operand)| reads_a_field(operand, scope))
        }
        Node::Conditional(a, b, c) => [a, b, c].into_iter().any(|part| reads_a_field(part, scope)),
        Node::List(items) => items.iter().any(|(item, _)| reads_a_field(item, scope)),
        Node::Map(entries) => entries.iter().any(|(_, value, _)| reads_a_field(value, scope)),
        Node::Literal(_) | Node::Name(_) | Node::Wrong => false,
    }
}
