//! From text to tree: the `cel` crate's parser behind guards.
//!
//! The parser recurses and is not ours, so it gets sources of at most [`SOURCE_BYTES_MAX`] whose brackets were counted, and
//! runs, with the checker, on a thread of its own with a stack for the worst of them; should it panic all the same, that is a
//! finding.

use super::Finding;
use super::ast::{Ast, Compare, Node, Operator, Span};
use super::lex::{self, Unbalanced};
use super::names::RESERVED;
use crate::record::Value;
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Length of an expression.
pub const SOURCE_BYTES_MAX: usize = 4096;
/// Expressions within each other.
pub const DEPTH_MAX: usize = 32;
/// Chains that count as one level (`a + b + …`, `a.b.c`) still make the parser recurse: twice per byte at the worst.
const STACK_BYTES: usize = 64 << 20;
/// A text with more mistakes than this is no expression; the rest would only repeat it.
const FINDINGS_MAX: usize = 5;

thread_local! {
    /// Does this thread have the stack for any expression?
    static ROOMY: Cell<bool> = const { Cell::new(false) };
}

/// Runs something that parses many expressions on one thread with the stack for all of them: without it each gets a thread of
/// its own, which costs more than parsing it.
///
/// # Panics
/// Where what runs does.
pub fn roomy<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    if ROOMY.get() {
        return run();
    }
    // Shared, so that a thread that does not start gives it back.
    let run = std::sync::Mutex::new(Some(run));
    let take = || run.lock().ok().and_then(|mut run| run.take()).expect("taken by the thread, or by who could not start it");
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("topology".into()).stack_size(STACK_BYTES);
        let started = thread.spawn_scoped(scope, || {
            ROOMY.set(true);
            take()()
        });
        started.map(|thread| thread.join())
    });
    match done {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => take()(),
    }
}

/// Parses and does something with the tree, which never leaves the thread that has the stack for it. With any finding there
/// is no tree.
pub(super) fn parse<T: Send>(text: &str, then: impl FnOnce(&Ast) -> T + Send) -> Result<T, Vec<Finding>> {
    let whole = 0..text.len();
    if text.len() > SOURCE_BYTES_MAX {
        let message = format!("an expression of {} bytes; at most {SOURCE_BYTES_MAX} are allowed", text.len());
        return Err(vec![Finding::new("E308", whole, message)]);
    }
    if text.trim().is_empty() {
        return Err(vec![Finding::new("E301", whole, "an expression is missing")]);
    }
    let pairs = lex::pairs(text, 2 * DEPTH_MAX).map_err(|problem| vec![unbalanced(text, problem)])?;
    let parsed = || parse_guarded(text, pairs).map(|ast| then(&ast));
    let run = if ROOMY.get() {
        Ok(catch_unwind(AssertUnwindSafe(parsed)))
    } else {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("expression parser".into()).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, parsed).map(|thread| thread.join())
        })
    };
    match run {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) => Err(vec![Finding::new("E301", whole, "the parser gives up on this expression")]),
        Err(error) => Err(vec![Finding::new("E301", whole, format!("no thread to parse on: {error}"))]),
    }
}

fn unbalanced(text: &str, problem: Unbalanced) -> Finding {
    match problem {
        Unbalanced::Unclosed(at) => Finding::new("E301", at..text.len(), "the text is not closed")
            .hint("end it with its quote; where YAML cut the line at ` #` or a `,`, put the whole expression in double quotes"),
        Unbalanced::Open(at) => Finding::new("E301", at..at + 1, format!("nothing closes `{}`", &text[at..=at]))
            .hint("where YAML cut the line at ` #` or a `,`, put the whole expression in double quotes"),
        Unbalanced::Close(at) => Finding::new("E301", at..at + 1, format!("`{}` closes nothing", &text[at..=at])),
        Unbalanced::TooDeep(at) => too_deep(at..at + 1),
    }
}

fn too_deep(range: std::ops::Range<usize>) -> Finding {
    Finding::new("E308", range, format!("nested more than {DEPTH_MAX} deep")).hint("give a part a name with `let`")
}

fn parse_guarded(text: &str, pairs: Vec<(usize, usize)>) -> Result<Ast, Vec<Finding>> {
    // An environment of no library: macros stay the calls that they are written as.
    match cel::Env::default().parser().parse_with_source_info(text) {
        Ok((tree, places)) => {
            let mut reader = Reader { text, places, closing: pairs.into_iter().collect(), findings: Vec::new() };
            let ast = reader.expr(tree, 0);
            if reader.findings.is_empty() { Ok(ast) } else { Err(reader.findings) }
        }
        Err(errors) => {
            let mut findings: Vec<Finding> =
                errors.errors.iter().map(|error| finding(text, error)).take(FINDINGS_MAX).collect();
            findings.dedup_by(|a, b| a.range == b.range);
            Err(findings)
        }
    }
}

fn finding(text: &str, error: &cel::ParseError) -> Finding {
    // The parser's own limit of nesting comes as a syntax error.
    if error.msg.contains("Recursion limit") { too_deep(0..text.len()) } else { syntax(text, error.pos, &error.msg) }
}

/// A message of the parser in our words, with what was probably meant.
fn syntax(text: &str, (line, column): (isize, isize), message: &str) -> Finding {
    let line_start: usize =
        text.split_inclusive('\n').take(usize::try_from(line - 1).unwrap_or(0)).map(str::len).sum::<usize>().min(text.len());
    let column = usize::try_from(column - 1).unwrap_or(0);
    let rest = &text[line_start..];
    let start = line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let word = text[start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum::<usize>();
    let length = if word > 0 { word } else { text[start..].chars().next().map_or(0, char::len_utf8) };
    let range = start..start + length;
    let token = &text[range.clone()];
    if let Some(name) = message.strip_prefix("reserved identifier: ") {
        let name = name.trim_start_matches('.');
        return Finding::new("E310", range, format!("`{name}` is a reserved word of expressions"))
            .hint(format!("read a field of that name as `x['{name}']`"));
    }
    let message = match message.strip_prefix("Syntax error: ").unwrap_or(message) {
        _ if token.is_empty() => "the expression ends too early".to_owned(),
        message if message.starts_with("invalid") => message.to_owned(),
        _ => format!("`{token}` cannot stand here"),
    };
    let before = text[..start].trim_end();
    let hint = match token {
        "=" => Some("compare with `==`".to_owned()),
        "and" | "AND" => Some("write `&&`".to_owned()),
        "or" | "OR" => Some("write `||`".to_owned()),
        "not" | "NOT" => Some("write `!`".to_owned()),
        "&" | "|" => Some(format!("write `{token}{token}`")),
        ";" => Some("an expression is one value; give parts names with `let`".to_owned()),
        "#" => Some("`#` is no operator; comments belong outside the expression".to_owned()),
        word if before.ends_with('.') && RESERVED.contains(&word) => {
            Some(format!("read a field of that name as `x['{word}']`"))
        }
        _ => None,
    };
    let finding = Finding::new("E301", range, message);
    match hint {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

struct Reader<'a> {
    text: &'a str,
    places: SourceInfo,
    /// From the place of an opening bracket to that of its closing one.
    closing: HashMap<usize, usize>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn expr(&mut self, tree: IdedExpr, depth: usize) -> Ast {
        let at = self.token(tree.id);
        if depth > DEPTH_MAX {
            if !self.findings.iter().any(|finding| finding.code == "E308") {
                self.findings.push(too_deep(at.range()));
            }
            return Ast { node: Node::Wrong, span: at };
        }
        match tree.expr {
            Expr::Literal(literal) => Ast { node: self.literal(literal, at), span: at },
            Expr::Ident(name) => {
                let name = name.strip_prefix('.').unwrap_or(&name).into();
                Ast { node: Node::Name(name), span: at }
            }
            Expr::Select(_) => self.selects(IdedExpr { id: tree.id, expr: tree.expr }, depth),
            Expr::Call(call) => self.call(tree.id, at, call, depth),
            Expr::List(list) => {
                let optional = list.optional_indices;
                let items = list.elements.into_iter().enumerate();
                let items = items.map(|(place, item)| (self.expr(item, depth + 1), optional.contains(&place))).collect();
                Ast { node: Node::List(items), span: self.bracketed(at) }
            }
            Expr::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for entry in map.entries {
                    if let EntryExpr::MapEntry(entry) = entry.expr {
                        let key = self.expr(entry.key, depth + 1);
                        let value = self.expr(entry.value, depth + 1);
                        entries.push((key, value, entry.optional));
                    }
                }
                Ast { node: Node::Map(entries), span: self.bracketed(at) }
            }
            Expr::Struct(message) => {
                let finding = Finding::new("E301", at.range(), format!("`{}{{…}}` is no value here", message.type_name));
                self.findings.push(finding.hint("a map is written `{'field': value}`"));
                Ast { node: Node::Wrong, span: at }
            }
            // No macros are expanded and errors of the parser came out before, so neither is seen.
            Expr::Comprehension(_) | Expr::Unspecified => {
                self.findings.push(Finding::new("E301", at.range(), "the expression is incomplete"));
                Ast { node: Node::Wrong, span: at }
            }
        }
    }

    /// A chain of fields, from its root: many fields are one level.
    fn selects(&mut self, tree: IdedExpr, depth: usize) -> Ast {
        let mut fields = Vec::new();
        let mut root = tree;
        while let Expr::Select(select) = root.expr {
            fields.push((self.token(root.id), select.field));
            root = *select.operand;
        }
        let mut ast = self.expr(root, depth + 1);
        while let Some((dot, field)) = fields.pop() {
            // The parser's place is that of the dot; a name in backticks has two more characters.
            let after = dot.end as usize;
            let spaces = self.text[after..].len() - self.text[after..].trim_start().len();
            let quotes = 2 * usize::from(self.text[after + spaces..].starts_with('`'));
            let end = (after + spaces + field.len() + quotes).min(self.text.len());
            let span = ast.span.to(Span::new(dot.start as usize, end));
            ast = Ast { node: Node::Select { of: Box::new(ast), field: field.into(), optional: false }, span };
        }
        ast
    }

    fn call(&mut self, id: u64, at: Span, call: cel::common::ast::CallExpr, depth: usize) -> Ast {
        use operators as op;
        let name = call.func_name;
        let mut args = call.args;
        let compare = match name.as_str() {
            op::EQUALS => Some(Compare::Equal),
            op::NOT_EQUALS => Some(Compare::NotEqual),
            op::LESS => Some(Compare::Less),
            op::LESS_EQUALS => Some(Compare::LessOrEqual),
            op::GREATER => Some(Compare::Greater),
            op::GREATER_EQUALS => Some(Compare::GreaterOrEqual),
            op::IN => Some(Compare::In),
            _ => None,
        };
        if call.target.is_none() {
            if let (Some(compare), [_, _]) = (compare, args.as_slice()) {
                let [left, right] = self.two(args, depth);
                let span = left.span.to(right.span);
                return Ast { node: Node::Compare(compare, Box::new(left), Box::new(right)), span };
            }
            if arithmetic(&name).is_some() && args.len() == 2 {
                let tree = cel::common::ast::CallExpr { func_name: name, target: None, args };
                return self.arithmetic(IdedExpr { id, expr: Expr::Call(tree) }, depth);
            }
            match (name.as_str(), args.len()) {
                (op::LOGICAL_AND | op::LOGICAL_OR, 2) => {
                    let mut terms = Vec::new();
                    for arg in args {
                        self.terms(&name, arg, depth, &mut terms);
                    }
                    let span = hull(&terms, at);
                    let node = if name == op::LOGICAL_AND { Node::And(terms) } else { Node::Or(terms) };
                    return Ast { node, span };
                }
                (op::LOGICAL_NOT, 1) => {
                    let operand = self.expr(args.remove(0), depth + 1);
                    return Ast { span: at.to(operand.span), node: Node::Not(Box::new(operand)) };
                }
                (op::NEGATE, 1) => {
                    let operand = self.expr(args.remove(0), depth + 1);
                    return Ast { span: at.to(operand.span), node: Node::Negate(Box::new(operand)) };
                }
                (op::CONDITIONAL, 3) => {
                    let mut parts = args.into_iter().map(|arg| Box::new(self.expr(arg, depth + 1)));
                    if let (Some(when), Some(then), Some(other)) = (parts.next(), parts.next(), parts.next()) {
                        let span = when.span.to(other.span);
                        return Ast { node: Node::Conditional(when, then, other), span };
                    }
                    return Ast { node: Node::Wrong, span: at };
                }
                (op::OPT_SELECT, 2) => {
                    let [of, field] = self.two(args, depth);
                    let Node::Literal(Value::Str(field)) = field.node else {
                        return Ast { node: Node::Wrong, span: at };
                    };
                    let start = at.end as usize;
                    let end = self.text[start..].find(field.as_str()).map_or(start, |found| start + found + field.len());
                    let span = of.span.to(Span::new(at.start as usize, end));
                    return Ast { node: Node::Select { of: Box::new(of), field, optional: true }, span };
                }
                (op::INDEX | op::OPT_INDEX, 2) => {
                    let [of, key] = self.two(args, depth);
                    let span = of.span.to(self.bracketed(at));
                    let optional = name == op::OPT_INDEX;
                    return Ast { node: Node::Index { of: Box::new(of), key: Box::new(key), optional }, span };
                }
                _ => {}
            }
        }
        let target = call.target.map(|target| Box::new(self.expr(*target, depth + 1)));
        let args: Vec<Ast> = args.into_iter().map(|arg| self.expr(arg, depth + 1)).collect();
        // The parser's place is that of the bracket; the name stands before it.
        let bracket = at.start as usize;
        let name_end = self.text[..bracket].trim_end().len();
        let named = Span::new(name_end.saturating_sub(name.len()), name_end);
        let span = self.bracketed(at).to(named);
        let span = target.as_ref().map_or(span, |target| span.to(target.span));
        Ast { node: Node::Call { name: name.strip_prefix('.').unwrap_or(&name).into(), at: named, target, args }, span }
    }

    /// `a + b - c` as one level; the tree leans to the left.
    fn arithmetic(&mut self, tree: IdedExpr, depth: usize) -> Ast {
        let mut rest = Vec::new();
        let mut first = tree;
        loop {
            match first.expr {
                Expr::Call(call) if call.target.is_none() && call.args.len() == 2 && arithmetic(&call.func_name).is_some() => {
                    let operator = arithmetic(&call.func_name).expect("asked in the guard");
                    let mut args = call.args.into_iter();
                    let (Some(left), Some(right)) = (args.next(), args.next()) else { unreachable!("two, by the guard") };
                    rest.push((operator, right));
                    first = left;
                }
                expr => {
                    first = IdedExpr { id: first.id, expr };
                    break;
                }
            }
        }
        let first = self.expr(first, depth + 1);
        let rest: Vec<_> =
            rest.into_iter().rev().map(|(operator, operand)| (operator, self.expr(operand, depth + 1))).collect();
        let span = rest.iter().fold(first.span, |span, (_, operand)| span.to(operand.span));
        Ast { node: Node::Arithmetic(Box::new(first), rest), span }
    }

    /// The terms of `a && b && c`, which the parser balances.
    fn terms(&mut self, operator: &str, tree: IdedExpr, depth: usize, into: &mut Vec<Ast>) {
        match tree.expr {
            Expr::Call(call) if call.func_name == operator && call.target.is_none() && call.args.len() == 2 => {
                for arg in call.args {
                    self.terms(operator, arg, depth, into);
                }
            }
            expr => into.push(self.expr(IdedExpr { id: tree.id, expr }, depth + 1)),
        }
    }

    fn two(&mut self, args: Vec<IdedExpr>, depth: usize) -> [Ast; 2] {
        let mut args = args.into_iter().map(|arg| self.expr(arg, depth + 1));
        match (args.next(), args.next()) {
            (Some(a), Some(b)) => [a, b],
            _ => unreachable!("callers matched two arguments"),
        }
    }

    fn literal(&mut self, literal: LiteralValue, at: Span) -> Node {
        Node::Literal(match literal {
            LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
            LiteralValue::Bytes(value) => Value::Bytes(value.inner()[..].into()),
            LiteralValue::Double(value) => Value::Double(*value.inner()),
            LiteralValue::Int(value) => Value::Int(*value.inner()),
            LiteralValue::Null => Value::Null,
            LiteralValue::String(value) => Value::Str(value.inner().into()),
            LiteralValue::UInt(value) => {
                let finding = Finding::new("E301", at.range(), "there are no unsigned numbers");
                self.findings.push(finding.hint(format!("write `{}`", value.inner())));
                return Node::Wrong;
            }
        })
    }

    /// Place of the token that a node was made of.
    fn token(&self, id: u64) -> Span {
        let (start, stop) = self.places.offset_for(id).unwrap_or((0, 0));
        // The parser counts bytes here and means the last one of the token.
        let border = |place: usize| self.text.floor_char_boundary(place);
        Span::new(border(start as usize), border((stop as usize).saturating_add(1)))
    }

    /// From an opening bracket to its closing one.
    fn bracketed(&self, at: Span) -> Span {
        let end = self.closing.get(&(at.start as usize)).map_or(at.end as usize, |close| close + 1);
        Span::new(at.start as usize, end)
    }
}

fn hull(terms: &[Ast], at: Span) -> Span {
    terms.iter().fold(at, |span, term| span.to(term.span))
}

fn arithmetic(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}
