//! From text to values.

use super::{DEPTH_MAX, Error};
use crate::record::{Map, Text, Value};

pub(super) fn read(text: &[u8]) -> Result<Value, Error> {
    let text = std::str::from_utf8(text).map_err(|error| Error::Utf8 { at: error.valid_up_to() })?;
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, scratch: String::new() };
    let value = reader.value(0)?;
    match reader.next_token() {
        None => Ok(value),
        Some(_) => Err(reader.wrong("end of the text")),
    }
}

pub(super) fn read_fields(text: &[u8], each: &mut dyn FnMut(&str, Value)) -> Result<bool, Error> {
    let text = std::str::from_utf8(text).map_err(|error| Error::Utf8 { at: error.valid_up_to() })?;
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, scratch: String::new() };
    let is_map = reader.next_token() == Some(b'{');
    if is_map {
        reader.fields(0, &mut |key, value| each(&key, value))?;
    } else {
        reader.value(0)?;
    }
    match reader.next_token() {
        None => Ok(is_map),
        Some(_) => Err(reader.wrong("end of the text")),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// The same as bytes; indices that lie after an ASCII byte are borders of characters.
    bytes: &'a [u8],
    at: usize,
    /// Strings with escapes are put together here.
    scratch: String,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        match self.next_token() {
            Some(b'"') => self.string().map(|text| Value::Str(Text::new(text))),
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Error> {
        let mut entries = Vec::new();
        self.fields(depth, &mut |key, value| {
            if entries.is_empty() {
                entries.reserve(8);
            }
            entries.push((key, value));
        })?;
        Ok(Value::Map(if entries.is_empty() { Map::new() } else { Map::from_entries(entries) }))
    }

    fn fields(&mut self, depth: usize, each: &mut impl FnMut(Text, Value)) -> Result<(), Error> {
        if depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.at += 1;
        if self.next_token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.wrong("a key in double quotes"));
            }
            let key = Text::new(self.string()?);
            if self.next_token() != Some(b':') {
                return Err(self.wrong("`:`"));
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            each(key, value);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.wrong("`,` or `}`")),
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Error> {
        if depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.at += 1;
        let mut items = Vec::new();
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(Value::list(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::list(items));
                }
                _ => return Err(self.wrong("`,` or `]`")),
            }
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, Error> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.wrong("a value"))
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let start = self.at;
        let negative = self.bytes[start] == b'-';
        self.at += usize::from(negative);
        let digits = self.at;
        // Eighteen digits cannot overflow; longer ones are left to the checked road below.
        let mut small: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            small = small.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        let count = self.at - digits;
        if count == 0 {
            return Err(self.wrong("a digit"));
        }
        if count > 1 && self.bytes[digits] == b'0' {
            self.at = digits + 1;
            return Err(self.wrong("no digit after a leading zero"));
        }
        if !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            if count <= 18 {
                return Ok(Value::Int(if negative { -small } else { small }));
            }
            let digits = &self.text[start..self.at];
            return Ok(digits.parse().map_or_else(|_| Value::BigInt(Text::new(digits)), Value::Int));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let number: f64 = self.text[start..self.at].parse().expect("the grammar of JSON is part of that of Rust");
        if number.is_finite() { Ok(Value::Double(number)) } else { Err(Error::NumberRange { at: start }) }
    }

    fn some_digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("a digit")) } else { Ok(()) }
    }

    /// The string whose opening quote is next: borrowed from the text, or from the scratch where it has escapes.
    fn string(&mut self) -> Result<&str, Error> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(&self.text[start..self.at - 1]);
        }
        self.scratch.clear();
        let mut plain = start;
        loop {
            self.scratch.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(&self.scratch);
                }
                Some(b'\\') => {
                    let escaped = self.escape()?;
                    self.scratch.push(escaped);
                }
                Some(_) => return Err(self.wrong("an escape in place of a control character")),
                None => return Err(self.wrong("`\"`")),
            }
            plain = self.at;
            self.skip_plain();
        }
    }

    /// Goes to the next quote, backslash or control character, or to the end.
    fn skip_plain(&mut self) {
        self.at += super::plain(&self.bytes[self.at..]);
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                self.at += 1;
                let first = self.hex()?;
                return match first {
                    0xd800..=0xdbff => {
                        if !self.bytes[self.at..].starts_with(b"\\u") {
                            return Err(Error::Surrogate { at: start });
                        }
                        self.at += 2;
                        let second = self.hex()?;
                        if !(0xdc00..=0xdfff).contains(&second) {
                            return Err(Error::Surrogate { at: start });
                        }
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        char::from_u32(code).ok_or(Error::Surrogate { at: start })
                    }
                    code => char::from_u32(code).ok_or(Error::Surrogate { at: start }),
                };
            }
            _ => return Err(self.wrong("one of `\"\\/bfnrtu`")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.wrong("four hexadecimal digits"));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is no white space, not taken.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    fn wrong(&self, expected: &'static str) -> Error {
        if self.at < self.bytes.len() { Error::Syntax { at: self.at, expected } } else { Error::Ended { expected } }
    }
}
