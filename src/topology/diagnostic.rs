//! Diagnostics: what is wrong with a topology file, and where.

use super::codes;
use std::ops::Range;
use std::sync::Arc;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is not run.
    Error,
    /// It is run; something is likely not meant.
    Warning,
}

/// One finding in a topology file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code (`language.md` §16), never reused.
    pub code: &'static str,
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The place, in bytes of the file.
    pub range: Range<usize>,
    /// Line of its beginning, from 1.
    pub line: u32,
    /// Column of its beginning in characters, from 1.
    pub column: u32,
    /// What is wrong: lower case, no full stop, names in backticks.
    pub message: String,
    /// Why it is wrong, where the message alone does not tell.
    pub cause: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
    /// Line and column behind its end.
    pub end: Place,
    /// The change of the file that mends it, where there is one that is certain to be what was meant.
    pub fix: Option<Fix>,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// The bytes that are replaced; within one line.
    pub range: Range<usize>,
    /// Where they begin.
    pub start: Place,
    /// Where they end.
    pub end: Place,
    /// What takes their place; no line breaks.
    pub text: String,
}

impl Diagnostic {
    /// Errors have codes that begin with `E`.
    pub fn severity(&self) -> Severity {
        if self.code.starts_with('E') { Severity::Error } else { Severity::Warning }
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.code, self.message)
    }
}

impl Severity {
    /// As listings name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The text of a file, with what is needed to turn byte offsets into lines and columns.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// The file, as it is named.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    line_starts: Vec<usize>,
    /// Characters before every [`STRIDE`]th byte; empty where characters are bytes.
    chars_before: Vec<u32>,
}

/// A file may be one line, and thousands of places in it are asked for: none is counted from the line's beginning.
const STRIDE: usize = 256;

impl SourceText {
    /// A file's text under its name.
    pub fn new(file: &str, text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        let mut chars_before = Vec::new();
        if !text.is_ascii() {
            let mut chars = 0;
            for (at, byte) in text.bytes().enumerate() {
                if at % STRIDE == 0 {
                    chars_before.push(chars);
                }
                chars += u32::from(starts_char(byte));
            }
        }
        Self { file: file.into(), text: text.into(), line_starts, chars_before }
    }

    /// Characters before a byte offset.
    fn chars_before(&self, offset: usize) -> usize {
        let Some(counted) = self.chars_before.get(offset / STRIDE) else {
            // Plain ASCII, or the end of a text whose last stride is full.
            return match self.chars_before.last() {
                None => offset,
                Some(last) => {
                    let from = (self.chars_before.len() - 1) * STRIDE;
                    *last as usize + self.text.as_bytes()[from..offset].iter().filter(|byte| starts_char(**byte)).count()
                }
            };
        };
        let from = offset / STRIDE * STRIDE;
        *counted as usize + self.text.as_bytes()[from..offset].iter().filter(|byte| starts_char(**byte)).count()
    }

    pub(super) fn place(&self, offset: usize) -> Place {
        let (line, column) = self.line_column(offset);
        Place { line, column }
    }

    /// Line and column, both from 1, of a byte offset; one behind the end is the end.
    pub fn line_column(&self, offset: usize) -> (u32, u32) {
        let offset = self.floor(offset);
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let column = self.chars_before(offset) - self.chars_before(self.line_starts[line - 1]) + 1;
        (line as u32, column as u32)
    }

    /// The line (without its break) that holds a byte offset, and where it begins.
    pub fn line_of(&self, offset: usize) -> (usize, &str) {
        let offset = self.floor(offset);
        let start = self.line_starts[self.line_starts.partition_point(|start| *start <= offset) - 1];
        let rest = &self.text[start..];
        (start, rest[..rest.find('\n').unwrap_or(rest.len())].trim_end_matches('\r'))
    }

    /// A finding about the word at a line and column, both from 1.
    pub fn diagnostic(&self, line: u32, column: u32, finding: Finding) -> Diagnostic {
        debug_assert!(codes::title(finding.code).is_some(), "{} is not in the table of codes", finding.code);
        let range = self.word_at(line, column);
        let end = self.place(range.end);
        let Finding { code, message, cause, hint, .. } = finding;
        Diagnostic { code, file: self.file.clone(), range, line, column, message, cause, hint, end, fix: None }
    }

    /// The word at a line and column, both from 1: to the next blank, colon or comma.
    pub(super) fn word_at(&self, line: u32, column: u32) -> Range<usize> {
        let start = self.line_starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(0);
        let rest = &self.text[start..];
        let text = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let skipped = text.char_indices().nth(column.saturating_sub(1) as usize).map_or(text.len(), |(at, _)| at);
        let word = &text[skipped..];
        let len = word.find([' ', ':', ',', '\t', '\r', '}', ']']).unwrap_or(word.len());
        start + skipped..start + skipped + len
    }

    /// The nearest boundary between characters at or before an offset.
    pub(super) fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }
}

/// Does a character of UTF-8 begin with this byte?
fn starts_char(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// What is being said about a place; finished by [`Findings::push`].
#[derive(Clone, Debug)]
pub struct Finding {
    /// Stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Why.
    pub cause: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
    /// What mends it: the bytes to replace, and by what.
    pub fix: Option<(Range<usize>, String)>,
}

/// A finding without cause and hint.
pub fn finding(code: &'static str, message: impl Into<String>) -> Finding {
    Finding { code, message: message.into(), cause: None, hint: None, fix: None }
}

impl Finding {
    /// With what to write instead.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With why it is wrong.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// A change that certainly mends it. One that reaches over lines is not kept: it would be hard to read and to merge.
    pub(super) fn fix(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        self.fix = Some((range, text.into()));
        self
    }

    /// A hint that names the nearest of the words that would have been right, else lists them.
    pub fn meant<'a>(self, written: &str, words: impl IntoIterator<Item = &'a str>) -> Self {
        match meant_hint(written, words) {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

/// `did you mean …`, or the words there are when there are few, or nothing.
pub(super) fn meant_hint<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = words.into_iter().collect();
    if let Some(word) = nearest(written, words.iter().copied()) {
        return Some(format!("did you mean `{word}`?"));
    }
    (!words.is_empty() && words.len() <= 12).then(|| {
        let list: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        format!("one of {}", list.join(", "))
    })
}

/// The word that was most likely meant, if any is near.
pub fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Foreign text may be long and the distance costs the product of the lengths.
    if written.len() > 256 {
        return None;
    }
    words
        .into_iter()
        .filter(|word| word.len() <= 256 && *word != written)
        .map(|word| (strsim::damerau_levenshtein(written, word), word))
        .filter(|(distance, word)| *distance <= (word.chars().count().max(written.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// All findings of a file, each once.
#[derive(Debug)]
pub struct Findings {
    source: SourceText,
    list: Vec<Diagnostic>,
    /// Findings beyond the bound: counted, not kept.
    dropped: usize,
}

/// A file that is wrong everywhere says the same thing thousands of times; nobody reads more than this.
const FINDINGS_MAX: usize = 200;

impl Findings {
    /// None yet, of this file.
    pub fn new(source: SourceText) -> Self {
        Self { source, list: Vec::new(), dropped: 0 }
    }

    /// The file.
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// Adds one about these bytes of the file.
    pub fn push(&mut self, range: Range<usize>, finding: Finding) {
        debug_assert!(codes::title(finding.code).is_some(), "{} is not in the table of codes", finding.code);
        if self.list.len() >= FINDINGS_MAX {
            self.dropped += 1;
            return;
        }
        let start = self.source.floor(range.start);
        let end = self.source.floor(range.end).max(start);
        let (line, column) = self.source.line_column(start);
        let fix = finding.fix.and_then(|(range, text)| self.change(range, text));
        let diagnostic = Diagnostic {
            code: finding.code,
            file: self.source.file.clone(),
            range: start..end,
            line,
            column,
            message: finding.message,
            cause: finding.cause,
            hint: finding.hint,
            end: self.source.place(end),
            fix,
        };
        if !self.list.iter().any(|known| {
            known.code == diagnostic.code && known.range == diagnostic.range && known.message == diagnostic.message
        }) {
            self.list.push(diagnostic);
        }
    }

    fn change(&self, range: Range<usize>, text: String) -> Option<Fix> {
        let replaced = self.source.text.get(range.clone())?;
        let one_line = !replaced.contains('\n') && !text.contains('\n');
        let (start, end) = (self.source.place(range.start), self.source.place(range.end));
        one_line.then_some(Fix { range, start, end, text })
    }

    /// Is an error among them?
    pub fn has_errors(&self) -> bool {
        self.dropped > 0 || self.list.iter().any(|found| found.severity() == Severity::Error)
    }

    /// In the order of the file, errors of one place before warnings.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by(|a, b| (a.range.start, a.severity(), a.code).cmp(&(b.range.start, b.severity(), b.code)));
        if self.dropped > 0 {
            let end = self.source.text.len();
            let (line, column) = self.source.line_column(end);
            self.list.push(Diagnostic {
                code: "E110",
                file: self.source.file.clone(),
                range: end..end,
                line,
                column,
                message: format!("{} more findings are not shown", self.dropped),
                cause: None,
                hint: Some("mend the first ones and check again".to_owned()),
                end: Place { line, column },
                fix: None,
            });
        }
        self.list
    }
}
