//! A first look at the source: where strings begin and end and which brackets belong together.
//!
//! Done before the parser runs, so that the parser, which recurses, never sees more nesting than it can bear; and by
//! templates, to find the brace that ends an expression.

/// What matters of the text outside strings and comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// One of `( [ {`.
    Open(u8),
    /// One of `) ] }`.
    Close(u8),
    /// A string that is not closed; the rest of the text is in it.
    Unclosed,
}

/// The pieces of a text from byte `at` on, with their places.
pub(super) struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { bytes: text.as_bytes(), at }
    }

    /// Goes behind the string whose opening quote is at `self.at`; false where it has no end.
    fn skip_string(&mut self, raw: bool) -> bool {
        let quote = self.bytes[self.at];
        let triple = self.bytes[self.at..].starts_with(&[quote; 3]);
        let mut at = self.at + if triple { 3 } else { 1 };
        while let Some(byte) = self.bytes.get(at) {
            match byte {
                b'\\' if !raw => at += 1,
                byte if *byte == quote => {
                    let end = if triple { 3 } else { 1 };
                    if !triple || self.bytes[at..].starts_with(&[quote; 3]) {
                        self.at = at + end;
                        return true;
                    }
                }
                // Only a tripled quote opens a string of several lines.
                b'\n' if !triple => break,
                _ => {}
            }
            at += 1;
        }
        false
    }

    /// Is the quote at `at` that of a raw string (`r''`, `br''`)? The letters must not be the end of a longer name.
    fn is_raw(&self, at: usize) -> bool {
        let letter = |back: usize| at.checked_sub(back).map(|at| self.bytes[at]);
        let name = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match (letter(2), letter(1)) {
            (Some(b'b' | b'B'), Some(b'r' | b'R')) => !name(letter(3)),
            (before, Some(b'r' | b'R')) => !name(before),
            _ => false,
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = (usize, Piece);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            let byte = *self.bytes.get(at)?;
            match byte {
                b'(' | b'[' | b'{' => {
                    self.at += 1;
                    return Some((at, Piece::Open(byte)));
                }
                b')' | b']' | b'}' => {
                    self.at += 1;
                    return Some((at, Piece::Close(byte)));
                }
                b'"' | b'\'' => {
                    if !self.skip_string(self.is_raw(at)) {
                        self.at = self.bytes.len();
                        return Some((at, Piece::Unclosed));
                    }
                }
                b'/' if self.bytes.get(at + 1) == Some(&b'/') => {
                    let line = self.bytes[at..].iter().position(|byte| *byte == b'\n');
                    self.at = line.map_or(self.bytes.len(), |length| at + length);
                }
                // A name in backticks.
                b'`' => {
                    let end = self.bytes[at + 1..].iter().position(|byte| *byte == b'`' || *byte == b'\n');
                    self.at = end.map_or(self.bytes.len(), |length| at + length + 2);
                }
                _ => self.at += 1,
            }
        }
    }
}

/// What is wrong with the brackets of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbalanced {
    /// A string without end begins here.
    Unclosed(usize),
    /// A bracket that nothing closes.
    Open(usize),
    /// A bracket that closes nothing, or another kind.
    Close(usize),
    /// More brackets within each other than allowed begin here.
    TooDeep(usize),
}

/// Pairs of places of brackets, in the order they close.
pub(super) fn pairs(text: &str, depth_max: usize) -> Result<Vec<(usize, usize)>, Unbalanced> {
    let mut open: Vec<(usize, u8)> = Vec::new();
    let mut pairs = Vec::new();
    for (at, piece) in Pieces::new(text, 0) {
        match piece {
            Piece::Open(bracket) if open.len() < depth_max => open.push((at, bracket)),
            Piece::Open(_) => return Err(Unbalanced::TooDeep(at)),
            Piece::Close(bracket) => match open.pop() {
                Some((start, opened)) if closing(opened) == bracket => pairs.push((start, at)),
                _ => return Err(Unbalanced::Close(at)),
            },
            Piece::Unclosed => return Err(Unbalanced::Unclosed(at)),
        }
    }
    match open.pop() {
        Some((at, _)) => Err(Unbalanced::Open(at)),
        None => Ok(pairs),
    }
}

/// The place of the `}` that ends the expression whose text begins at `start`.
pub(super) fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, piece) in Pieces::new(text, start) {
        match piece {
            Piece::Open(_) => depth += 1,
            Piece::Close(b'}') if depth == 0 => return Some(at),
            Piece::Close(_) => depth = depth.saturating_sub(1),
            Piece::Unclosed => return None,
        }
    }
    None
}

fn closing(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}
