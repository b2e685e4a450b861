//! Traps of YAML (`language.md` §15) that leave a valid tree: flow maps that cut an expression or swallow a text.
//!
//! Each is said once and mended, so that what follows reads what was meant.

use super::{Entry, Kind, Node, Scalar, Style, in_quotes, is_expression};
use crate::record::Value;
use crate::topology::diagnostic::{Findings, finding};
use std::ops::Range;

/// Finds the traps of a tree and mends them.
pub fn mend(node: &mut Node, findings: &mut Findings) {
    let source = findings.source().text.clone();
    let flow = source.get(node.range.clone()).is_some_and(|written| written.starts_with(['{', '[']));
    match &mut node.kind {
        Kind::Scalar(_) => {}
        Kind::List(items) => {
            let mut at = 0;
            while flow && at < items.len() {
                join_items(items, at, &source, findings);
                at += 1;
            }
            items.iter_mut().for_each(|item| mend(item, findings));
        }
        Kind::Map(entries) => {
            let swallowed = flow && !entries.is_empty() && entries.iter().all(|entry| omitted(entry, &source));
            if swallowed {
                let written = source[node.range.clone()].to_owned();
                let found = finding("E107", "a text that begins with `{` is a map to YAML");
                let quoted = in_quotes(&written);
                let found = found.hint(format!("quote it: `{quoted}`"));
                let placeholder = written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                let certain = placeholder.is_some_and(is_expression);
                let found = if certain { found.fix(node.range.clone(), quoted) } else { found };
                findings.push(node.range.clone(), found);
                node.kind = Kind::Scalar(text_of(written));
                return;
            }
            let mut at = 0;
            while flow && at < entries.len() {
                let mut end = at + 1;
                let start = entries[at].node.range.start;
                let mut whole = entries[at].node.range.clone();
                while is_cut(&entries[at].node, &source, &whole) && entries.get(end).is_some_and(|next| omitted(next, &source))
                {
                    whole = start..entries[end].key_range.end;
                    end += 1;
                }
                if end > at + 1 {
                    cut(&whole, &source, findings);
                    entries[at].node = Node { kind: Kind::Scalar(text_of(source[whole.clone()].to_owned())), range: whole };
                    entries.drain(at + 1..end);
                }
                at += 1;
            }
            entries.iter_mut().for_each(|entry| mend(&mut entry.node, findings));
        }
    }
}

fn join_items(items: &mut Vec<Node>, at: usize, source: &str, findings: &mut Findings) {
    let mut end = at + 1;
    let start = items[at].range.start;
    let mut whole = items[at].range.clone();
    while is_cut(&items[at], source, &whole)
        && items.get(end).is_some_and(|next| next.scalar().is_some_and(|scalar| scalar.style == Style::Plain))
    {
        whole = start..items[end].range.end;
        end += 1;
    }
    if end > at + 1 && source.get(whole.clone()).is_some() {
        cut(&whole, source, findings);
        items[at] = Node { kind: Kind::Scalar(text_of(source[whole.clone()].to_owned())), range: whole };
        items.drain(at + 1..end);
    }
}

fn cut(whole: &Range<usize>, source: &str, findings: &mut Findings) {
    let found = finding("E103", "the value is cut at the comma").cause("within `{ }` and `[ ]` a comma ends a value");
    let written = &source[whole.clone()];
    let quoted = in_quotes(written);
    let found = found.hint(format!("quote it: `{quoted}`, or use block style"));
    let certain = open_brackets(written) == 0 && is_expression(written.trim_start_matches('='));
    findings.push(whole.clone(), if certain { found.fix(whole.clone(), quoted) } else { found });
}

/// Was the value of an entry left out with its colon, as in `{ a }`?
fn omitted(entry: &Entry, source: &str) -> bool {
    let behind = source.get(entry.key_range.end..).unwrap_or("").trim_start();
    entry.node.is_null() && !behind.starts_with(':')
}

/// Does a plain scalar open more brackets than it closes?
fn is_cut(node: &Node, source: &str, whole: &Range<usize>) -> bool {
    let plain = node.scalar().is_some_and(|scalar| scalar.style == Style::Plain);
    plain && source.get(whole.clone()).is_some_and(|written| open_brackets(written) > 0)
}

fn open_brackets(text: &str) -> i64 {
    let (mut open, mut quote) = (0, None);
    for character in text.chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(mark), _) if mark == character => quote = None,
            (None, '(' | '[' | '{') => open += 1,
            (None, ')' | ']' | '}') => open -= 1,
            _ => {}
        }
    }
    open
}

fn text_of(text: String) -> Scalar {
    Scalar { value: Value::from(text.as_str()), text, style: Style::Plain }
}
