//! Events of the parser into a tree, within the budgets.

use super::{DEPTH_MAX, Entry, FILE_BYTES_MAX, Kind, NODES_MAX, Node, Scalar, Style, resolve};
use crate::record::Value;
use crate::topology::diagnostic::{Finding, Findings, SourceText, finding};
use rustc_hash::{FxHashMap, FxHashSet};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::ops::Range;

/// Reads a file as one document. What is wrong goes to the findings; `None` when there is nothing to go on with.
pub fn read(findings: &mut Findings) -> Option<Node> {
    let source = findings.source().clone();
    if source.text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, more than {FILE_BYTES_MAX}", source.text.len());
        findings.push(0..0, finding("E110", message).hint("split it into several topologies"));
        return None;
    }
    if let Some((at, character)) = source.text.char_indices().find(|(_, character)| !allowed(*character)) {
        let message = format!("the character U+{:04X} may not stand in YAML", character as u32);
        findings.push(at..at + character.len_utf8(), finding("E102", message));
        return None;
    }
    Reader::new(&source, findings).document()
}

/// The printable characters of YAML. Others are told here, since parsers differ in what they make of them.
fn allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{7e}' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && character != '\u{feff}'
        || character >= '\u{10000}'
}

/// Why reading stopped: said where it happened, nothing more can be read.
struct Halt;

struct Reader<'a> {
    source: &'a SourceText,
    findings: &'a mut Findings,
    /// Byte offset of every character, where characters and bytes differ.
    bytes_of: Option<Vec<u32>>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: FxHashMap<usize, Anchor>,
    nodes: usize,
}

/// A node that an alias may repeat, with what it costs.
struct Anchor {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// A list or map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    nodes_before: usize,
    /// Of a map: keys so far, and the key that waits for its value.
    keys: FxHashSet<String>,
    key: Option<(String, Range<usize>, bool)>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a SourceText, findings: &'a mut Findings) -> Self {
        let bytes_of = (!source.text.is_ascii()).then(|| source.text.char_indices().map(|(at, _)| at as u32).collect());
        let (open, anchors) = (Vec::new(), FxHashMap::default());
        Self { source, findings, bytes_of, open, root: None, anchors, nodes: 0 }
    }

    fn document(mut self) -> Option<Node> {
        let text = self.source.text.clone();
        let mut parser = Parser::new_from_str(&text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let step = match event {
                Err(error) => self.syntax(&error),
                Ok((Event::DocumentStart(_), span)) => {
                    documents += 1;
                    if documents > 1 { self.several(span) } else { Ok(()) }
                }
                Ok((Event::StreamEnd, _)) => break,
                Ok((event, span)) => self.event(event, span),
            };
            if step.is_err() {
                return None;
            }
        }
        self.root
    }

    fn byte(&self, character: usize) -> usize {
        match &self.bytes_of {
            None => character.min(self.source.text.len()),
            Some(table) => table.get(character).map_or(self.source.text.len(), |at| *at as usize),
        }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        start..end.max(start)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Halt> {
        let range = self.range(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let range = self.trimmed(range);
                let mut text = text.into_owned();
                if let Some(tag) = tag {
                    let written = self.tag(&tag.to_string(), &range);
                    // What was meant is most likely a text that begins with `!`.
                    if text.is_empty() {
                        text = written;
                    }
                }
                self.scalar(text, style, anchor, range)
            }
            Event::SequenceStart(anchor, tag) => {
                if let Some(tag) = tag {
                    self.tag(&tag.to_string(), &range);
                }
                self.start(Kind::List(Vec::new()), anchor, range)
            }
            Event::MappingStart(anchor, tag) => {
                if let Some(tag) = tag {
                    self.tag(&tag.to_string(), &range);
                }
                self.start(Kind::Map(Vec::new()), anchor, range)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range),
            Event::Alias(anchor) => self.alias(anchor, range),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
        }
    }

    /// A scalar's span may reach over the blanks and breaks behind it.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let written = self.source.text.get(range.clone()).unwrap_or("");
        range.start..range.start + written.trim_end().len()
    }

    fn scalar(&mut self, text: String, style: ScalarStyle, anchor: usize, range: Range<usize>) -> Result<(), Halt> {
        self.count(1, &range)?;
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        let is_key = self.expects_key();
        let (value, misread) = match style {
            Style::Plain => resolve(&text),
            _ => (Value::from(text.as_str()), None),
        };
        if let (Some(as_what), false) = (misread, is_key) {
            let message = format!("`{text}` is text here; other YAML tools read it as {as_what}");
            let quoted = format!("\"{text}\"");
            let found = finding("W101", message).hint(format!("quote it: `{quoted}`"));
            self.findings.push(range.clone(), found.fix(range.clone(), quoted));
        }
        let node = Node { kind: Kind::Scalar(Scalar { text, style, value }), range };
        self.finished(node, anchor, 1, 1)
    }

    fn start(&mut self, kind: Kind, anchor: usize, range: Range<usize>) -> Result<(), Halt> {
        self.count(1, &range)?;
        if self.open.len() >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX}");
            self.findings.push(range, finding("E110", message));
            return Err(Halt);
        }
        if self.expects_key() {
            return self.no_key(range);
        }
        let nodes_before = self.nodes - 1;
        let node = Node { kind, range };
        self.open.push(Open { node, anchor, nodes_before, keys: FxHashSet::default(), key: None });
        Ok(())
    }

    fn end(&mut self, range: Range<usize>) -> Result<(), Halt> {
        let Some(mut open) = self.open.pop() else { return Ok(()) };
        // A block ends where the next thing begins; what it holds is the better measure.
        let last = match &open.node.kind {
            Kind::List(items) => items.last().map(|item| item.range.end),
            Kind::Map(entries) => entries.last().map(|entry| entry.node.range.end.max(entry.key_range.end)),
            Kind::Scalar(_) => None,
        };
        let flow = self.source.text[open.node.range.start..].starts_with(['{', '[']);
        let end = if flow { range.end } else { last.unwrap_or(range.end) };
        open.node.range.end = end.max(open.node.range.start);
        let nodes = self.nodes - open.nodes_before;
        let depth = depth_of(&open.node);
        self.finished(open.node, open.anchor, nodes, depth)
    }

    fn alias(&mut self, anchor: usize, range: Range<usize>) -> Result<(), Halt> {
        let Some(known) = self.anchors.get(&anchor) else {
            self.findings.push(range, finding("E102", "the alias stands inside of what it repeats"));
            return Err(Halt);
        };
        let (node, nodes, depth) = (known.node.clone(), known.nodes, known.depth);
        if self.open.len() + depth > DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} with this alias");
            self.findings.push(range, finding("E110", message));
            return Err(Halt);
        }
        self.count(nodes, &range)?;
        self.finished(node, 0, nodes, depth)
    }

    /// Counts nodes before they are kept; the bound holds with aliases repeated.
    fn count(&mut self, nodes: usize, range: &Range<usize>) -> Result<(), Halt> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let message = format!("more than {NODES_MAX} values, those that aliases repeat included");
        self.findings.push(range.clone(), finding("E110", message));
        Err(Halt)
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.node.kind, Kind::Map(_)) && open.key.is_none())
    }

    fn no_key(&mut self, range: Range<usize>) -> Result<(), Halt> {
        let line = self.source.line_of(range.start).1.trim().to_owned();
        let message = "a list or map cannot be a key";
        let found = if line.contains('{') && line.contains(": {") || line.contains("- {") {
            finding("E107", message).hint("text that begins with `{` must be quoted: `\"{data.x} …\"`")
        } else {
            finding("E107", message)
        };
        self.findings.push(range, found);
        Err(Halt)
    }

    /// A node is complete: it becomes a key, a value, an element or the root.
    fn finished(&mut self, node: Node, anchor: usize, nodes: usize, depth: usize) -> Result<(), Halt> {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), nodes, depth });
        }
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Map(entries) => match open.key.take() {
                Some((key, key_range, keep)) => {
                    if keep {
                        entries.push(Entry { key, key_range, node });
                    }
                }
                None => {
                    let range = node.range.clone();
                    let Kind::Scalar(scalar) = node.kind else { return self.no_key(range) };
                    let known = !open.keys.insert(scalar.text.clone());
                    // The rest of a value that a comma cut; it is told there.
                    let rest = scalar.text.ends_with([')', ']', '}']);
                    let known = known && !rest;
                    let merge = scalar.text == "<<" && scalar.style == Style::Plain;
                    open.key = Some((scalar.text.clone(), range.clone(), !known && !merge));
                    if merge {
                        let found = finding("E109", "merge keys are not part of the language");
                        self.findings.push(range, found.hint("write the fields out, or repeat a whole value by an alias"));
                    } else if known {
                        self.findings.push(range, finding("E104", format!("`{}` is written twice", scalar.text)));
                    }
                }
            },
            Kind::Scalar(_) => {}
        }
        Ok(())
    }

    /// Says that there is a tag, and gives the text from it to the end of the line.
    fn tag(&mut self, tag: &str, range: &Range<usize>) -> String {
        let (start, line) = self.source.line_of(range.start);
        // The tag stands before the node that it is put on, mostly on the same line.
        let at = line.find(tag).or_else(|| line.find('!')).map_or(range.start, |at| start + at);
        let rest = self.source.text[at..].lines().next().unwrap_or("").trim_end().to_owned();
        self.tagged(&rest, at..at + rest.len());
        rest
    }

    fn tagged(&mut self, written: &str, range: Range<usize>) {
        let found = finding("E108", "tags are not part of the language")
            .cause("YAML reads a text that begins with `!` as a tag, and nothing after it")
            .hint(format!("write `\"{written}\"` or `={written}`"));
        // Within a flow map or list the text ends somewhere before the end of the line.
        let in_flow = self.open.iter().any(|open| self.source.text[open.node.range.start..].starts_with(['{', '[']));
        let alone = written.split(" #").next().unwrap_or_default().trim_end();
        let found = if !in_flow && is_expression(alone) {
            found.fix(range.start..range.start + alone.len(), computed(alone))
        } else {
            found
        };
        self.findings.push(range, found);
    }

    fn several(&mut self, span: Span) -> Result<(), Halt> {
        let range = self.range(span);
        self.findings
            .push(range, finding("E115", "a file holds one document").hint("put the other topology into a file of its own"));
        Err(Halt)
    }

    /// A syntax error, and what it most likely comes from.
    fn syntax(&mut self, error: &ScanError) -> Result<(), Halt> {
        let at = self.byte(error.marker().index());
        if error.info().contains("recursion limit") {
            self.findings.push(at..at, finding("E110", format!("nested deeper than {DEPTH_MAX}")));
            return Err(Halt);
        }
        let line_at = if at >= self.source.text.len() { self.source.text.trim_end().len() } else { at };
        let (start, line) = self.source.line_of(line_at);
        let line = line.to_owned();
        let value = value_of(&line);
        if let Some((offset, text)) = value.filter(|(_, text)| text.starts_with('!')) {
            self.tagged(text.trim_end(), start + offset..start + offset + text.trim_end().len());
            return Err(Halt);
        }
        let (range, found) = explain(error.info(), at, start, value);
        self.findings.push(range, found);
        Err(Halt)
    }
}

/// The value that a line gives to a key or a list, and where it begins in the line.
fn value_of(line: &str) -> Option<(usize, &str)> {
    let body = line.len() - line.trim_start().len();
    let mut at = body;
    while line[at..].starts_with("- ") {
        at += 2 + (line[at + 2..].len() - line[at + 2..].trim_start().len());
    }
    let rest = &line[at..];
    let key_end = rest.find(": ").filter(|end| !rest[..*end].contains([' ', '"', '\'', '{', '[', '=']));
    if let Some(end) = key_end {
        at += end + 2;
    }
    let text = line[at..].trim_start();
    let offset = line.len() - text.len();
    (!text.is_empty() && offset > body).then_some((offset, text))
}

fn explain(info: &str, at: usize, line_start: usize, value: Option<(usize, &str)>) -> (Range<usize>, Finding) {
    let found = finding("E102", format!("not YAML: {}", info.trim_end_matches('.')));
    let Some((offset, text)) = value else { return (at..at, found) };
    let range = line_start + offset..line_start + offset + text.trim_end().len();
    let text = text.trim_end();
    // Where a comment may follow it is not certain what the text is.
    let whole = !text.contains(" #");
    if info.contains("escape") {
        let found = found.hint("write the text in single quotes, or `[.]` for `\\.`");
        let found = match only_misread_escapes(text) {
            Some(inner) => found.fix(range.clone(), format!("'{}'", inner.replace('\'', "''"))),
            None => found,
        };
        return (range, found);
    }
    let quoted = text.starts_with(['"', '\'']);
    if quoted {
        let quote = &text[..1];
        let closes = text[1..].find(quote).is_some_and(|end| end + 2 < text.len());
        if closes {
            let hint = format!("YAML ends the text at the second quote: begin with `=`, as in `={text}`, or quote the whole");
            let found = found.hint(hint);
            let found = if whole && is_expression(text) { found.fix(range.clone(), computed(text)) } else { found };
            return (range, found);
        }
        return (at..at, found);
    }
    if text.starts_with(['{', '[']) {
        let closes = text.ends_with(['}', ']']);
        let hint = if closes && !info.contains("block mapping") {
            "within `{ }` and `[ ]` quote what holds `,`, `[` or `{`, or use block style".to_owned()
        } else {
            format!("YAML ends the value at the closing bracket: quote the whole: `{}`", in_quotes(text))
        };
        let certain = whole && !closes && is_expression(text);
        let found = if certain { found.fix(range, in_quotes(text)) } else { found };
        return (at..at, found.hint(hint));
    }
    if text.contains(": ") || text.ends_with(':') {
        let quoted = in_quotes(text);
        let found = found.cause("YAML takes what stands before `: ` for a key").hint(format!("quote the whole: `{quoted}`"));
        let certain = whole && text.strip_prefix('=').is_some_and(is_expression);
        return (range.clone(), if certain { found.fix(range, quoted) } else { found });
    }
    if text.starts_with(['@', '`', '%', '&', '*', '|', '>']) {
        return (range, found.hint("text that begins like this must be quoted"));
    }
    (at..at, found)
}

/// The inside of a text in double quotes whose backslashes are none that YAML knows, as in `"matches('a\.b')"`.
fn only_misread_escapes(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut escapes = inner.match_indices('\\').map(|(at, _)| inner[at + 1..].chars().next());
    let misread = |escape: Option<char>| escape.is_some_and(|escape| !"0abt\tnvfre \"/\\N_LPxuU".contains(escape));
    (!inner.contains('"') && escapes.all(misread)).then_some(inner)
}

/// Is a text an expression, as far as its syntax goes?
pub(in super::super) fn is_expression(text: &str) -> bool {
    let syntax = |found: &crate::expr::Finding| matches!(found.code, "E301" | "E308" | "E310");
    let compiled = crate::expr::compile(text, &crate::expr::Scope::new(), &crate::expr::Expect::Any);
    !compiled.findings.iter().any(syntax)
}

/// An expression as a scalar that begins with `=`, in quotes where YAML would misread it.
pub(in super::super) fn computed(expression: &str) -> String {
    let text = format!("={expression}");
    let misread = text.contains([',', '[', ']', '{', '}', '#', '\t']) || text.contains(": ") || text.ends_with(':');
    if misread { in_quotes(&text) } else { text }
}

/// A text in quotes that it does not hold itself.
pub(in super::super) fn in_quotes(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

fn depth_of(node: &Node) -> usize {
    match &node.kind {
        Kind::Scalar(_) => 1,
        Kind::List(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Kind::Map(entries) => 1 + entries.iter().map(|entry| depth_of(&entry.node)).max().unwrap_or(0),
    }
}
