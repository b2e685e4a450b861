//! Where a character of a scalar's text stands in the file.

use super::{Scalar, Style};
use std::ops::Range;

impl Scalar {
    /// The byte offset in the file of the byte `offset` of this scalar's text. `range` is the scalar's own place in `source`.
    ///
    /// Walks the written form and the text side by side. Where they part company (an alias, a fold that is not understood) the
    /// nearest place before is the answer: a finding may then point a little early, never outside the scalar.
    pub fn locate(&self, source: &str, range: &Range<usize>, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let Some(written) = source.get(range.clone()) else { return range.start };
        let body = match self.style {
            Style::Single | Style::Double => 1,
            // The place of a block scalar begins with its text, behind the header and the first indentation.
            Style::Plain | Style::Literal | Style::Folded => 0,
        };
        let line_start = source[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let block = matches!(self.style, Style::Literal | Style::Folded);
        let indent = if block { range.start - line_start } else { usize::MAX };
        let mut walk = Walk { written, at: body, style: self.style, indent };
        for (index, wanted) in self.text.char_indices() {
            if index >= offset {
                break;
            }
            if !walk.step(wanted) {
                break;
            }
        }
        range.start + walk.settle(offset < self.text.len())
    }
}

struct Walk<'a> {
    written: &'a str,
    at: usize,
    style: Style,
    /// Most blanks at the beginning of a line that are not text.
    indent: usize,
}

impl Walk<'_> {
    fn rest(&self) -> &str {
        &self.written[self.at..]
    }

    /// Goes past what stands for one character of the text.
    fn step(&mut self, wanted: char) -> bool {
        if self.style == Style::Double {
            self.skip_continuation();
        }
        let Some(found) = self.rest().chars().next() else { return false };
        match (self.style, found) {
            (Style::Double, '\\') => {
                self.at += escape_len(self.rest());
                true
            }
            (Style::Single, '\'') => {
                self.at += if self.rest().starts_with("''") { 2 } else { 1 };
                true
            }
            _ if matches!(wanted, ' ' | '\n') && self.style != Style::Literal && self.breaks_ahead() => {
                self.fold(wanted);
                true
            }
            _ if found == wanted => {
                self.at += found.len_utf8();
                if wanted == '\n' {
                    self.skip_indent();
                }
                true
            }
            _ => false,
        }
    }

    /// The place of the next character of the text: past folds and escaped breaks that stand for nothing.
    fn settle(&mut self, more: bool) -> usize {
        if self.style == Style::Double && more {
            self.skip_continuation();
        }
        self.at.min(self.written.len())
    }

    /// Goes past a line break with the blanks around it. A break alone stands for a blank; the first of several stands for
    /// nothing.
    fn fold(&mut self, wanted: char) {
        let first = !self.written[..self.at].trim_end_matches([' ', '\t', '\r']).ends_with('\n');
        self.next_line();
        if wanted == '\n' && first && self.breaks_ahead() {
            self.next_line();
        }
    }

    fn next_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |at| at + 1);
        self.skip_indent();
    }

    /// Is there nothing but blanks before the next line break?
    fn breaks_ahead(&self) -> bool {
        self.rest().trim_start_matches([' ', '\t', '\r']).starts_with('\n')
    }

    fn skip_indent(&mut self) {
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        self.at += blanks.min(self.indent);
    }

    /// In double quotes a backslash at the end of a line joins it with the next.
    fn skip_continuation(&mut self) {
        while self.rest().starts_with("\\\n") || self.rest().starts_with("\\\r\n") {
            self.at += self.rest().find('\n').map_or(0, |at| at + 1);
            self.skip_indent();
        }
    }
}

fn escape_len(rest: &str) -> usize {
    let wanted = match rest.as_bytes().get(1) {
        Some(b'x') => 4,
        Some(b'u') => 6,
        Some(b'U') => 10,
        _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
    };
    let mut len = wanted.min(rest.len());
    while !rest.is_char_boundary(len) {
        len -= 1;
    }
    len
}
