//! From text to values.

use super::{DEPTH_MAX, Error, Wanted};
use crate::record::{Map, Text, Value};
use std::borrow::Cow;

pub(super) fn read(text: &[u8], wanted: Wanted<'_>) -> Result<Value, Error> {
    let mut reader = Reader::of(text)?;
    let value = reader.wanted(wanted, 0)?;
    reader.end()?;
    Ok(value.unwrap_or_default())
}

pub(super) fn read_fields<'w>(
    text: &[u8],
    wanted: &dyn Fn(&str) -> Wanted<'w>,
    each: &mut dyn FnMut(&str, Value),
) -> Result<bool, Error> {
    let mut reader = Reader::of(text)?;
    let is_map = reader.next_token() == Some(b'{');
    if is_map {
        reader.fields(0, |reader, key| {
            if let Some(value) = reader.wanted(wanted(key), 1)? {
                each(key, value);
            }
            Ok(())
        })?;
    } else {
        reader.skip(0)?;
    }
    reader.end()?;
    Ok(is_map)
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
    fn of(text: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|error| Error::Utf8 { at: error.valid_up_to() })?;
        Ok(Self { text, bytes: text.as_bytes(), at: 0, scratch: String::new() })
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.wrong("end of the text")),
        }
    }

    /// What is wanted of the next value; none, where nothing is.
    fn wanted(&mut self, wanted: Wanted<'_>, depth: usize) -> Result<Option<Value>, Error> {
        match wanted {
            Wanted::Nothing => self.skip(depth).map(|()| None),
            Wanted::Fields(names) if self.next_token() == Some(b'{') => self.some_of_map(names, depth).map(Some),
            Wanted::All | Wanted::Fields(_) => self.value(depth).map(Some),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        match self.next_token() {
            Some(b'"') => self.string().map(|plain| Value::Str(Text::new(plain.unwrap_or(&self.scratch)))),
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.wrong("a value")),
        }
    }

    /// Goes over the next value: all that is wrong with it is found, nothing of it is kept.
    fn skip(&mut self, depth: usize) -> Result<(), Error> {
        match self.next_token() {
            Some(b'"') => self.skip_string(),
            Some(b'{') => self.fields(depth, |reader, _| reader.skip(depth + 1)),
            Some(b'[') => self.elements(depth, |reader| reader.skip(depth + 1)),
            _ => self.value(depth).map(drop),
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Error> {
        let mut entries = Vec::new();
        self.fields(depth, |reader, key| {
            let value = reader.value(depth + 1)?;
            if entries.is_empty() {
                entries.reserve(8);
            }
            entries.push((Text::new(key), value));
            Ok(())
        })?;
        Ok(Value::Map(Map::from_entries(entries)))
    }

    /// The next map with those of its fields that are wanted.
    fn some_of_map(&mut self, names: &[Text], depth: usize) -> Result<Value, Error> {
        let mut entries = Vec::with_capacity(names.len());
        self.fields(depth, |reader, key| {
            match names.iter().find(|name| *name == key) {
                Some(name) => entries.push((name.clone(), reader.value(depth + 1)?)),
                None => reader.skip(depth + 1)?,
            }
            Ok(())
        })?;
        Ok(Value::Map(Map::from_entries(entries)))
    }

    /// Calls `each` at the value of every field of the next map: it must go over it.
    fn fields(&mut self, depth: usize, mut each: impl FnMut(&mut Self, &str) -> Result<(), Error>) -> Result<(), Error> {
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
            let key = match self.string()? {
                Some(plain) => Cow::Borrowed(plain),
                None => Cow::Owned(self.scratch.clone()),
            };
            if self.next_token() != Some(b':') {
                return Err(self.wrong("`:`"));
            }
            self.at += 1;
            each(self, &key)?;
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
        let mut items = Vec::new();
        self.elements(depth, |reader| {
            items.push(reader.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Value::list(items))
    }

    /// Calls `each` at every element of the next list: it must go over it.
    fn elements(&mut self, depth: usize, mut each: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        if depth == DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.at += 1;
        if self.next_token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            match self.next_token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
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
            return Ok(digits.parse().map_or_else(|_| Value::BigInt(digits.into()), Value::Int));
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

    /// The string whose opening quote is next: as it stands in the text; none where it has escapes, then it is in the scratch.
    fn string(&mut self) -> Result<Option<&'a str>, Error> {
        self.at += 1;
        let start = self.at;
        self.skip_plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Some(&self.text[start..self.at - 1]));
        }
        self.scratch.clear();
        let mut plain = start;
        loop {
            self.scratch.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(None);
                }
                Some(b'\\') => {
                    let escaped = self.escape()?;
                    self.scratch.push(escaped);
                }
                _ => return Err(self.unended()),
            }
            plain = self.at;
            self.skip_plain();
        }
    }

    /// Goes over the string whose opening quote is next.
    fn skip_string(&mut self) -> Result<(), Error> {
        self.at += 1;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.escape()?;
                }
                _ => return Err(self.unended()),
            }
        }
    }

    /// What stands where a string would go on, and may not.
    fn unended(&self) -> Error {
        self.wrong(if self.at < self.bytes.len() { "an escape in place of a control character" } else { "`\"`" })
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
