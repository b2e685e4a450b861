//! How a record is written: kcat's language of `%` and `\`, or a line of JSON.

use crate::cli::text::{bytes as told, plain};
use crate::dlq::payload;
use crate::record::RecordRef;
use std::io::Write as _;

/// A form for records, read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Format {
    form: Form,
    /// Is what is null written as `NULL`?
    pub(super) null: bool,
    /// Does a terminal read it? Then no record may give it orders.
    pub(super) terminal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Parts(Vec<Part>),
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Time,
    KeyLength,
    ValueLength,
}

impl Format {
    /// From text like `%k: %s\n`; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let (before, after) = rest.split_at(at);
            literal(&mut parts, &unescape(before)?);
            let letter = after[1..].chars().next();
            parts.push(match letter {
                Some('t') => Part::Topic,
                Some('p') => Part::Partition,
                Some('o') => Part::Offset,
                Some('k') => Part::Key,
                Some('s') => Part::Value,
                Some('h') => Part::Headers,
                Some('T') => Part::Time,
                Some('K') => Part::KeyLength,
                Some('S') => Part::ValueLength,
                Some('%') => Part::Literal(b"%".to_vec()),
                Some(other) => return Err(format!("`%{other}` means nothing: use %t %p %o %k %s %h %T %K %S or %%")),
                None => return Err("it ends in the middle of a `%`: write `%%` for the sign itself".into()),
            });
            rest = &after[1 + letter.map_or(0, char::len_utf8)..];
        }
        literal(&mut parts, &unescape(rest)?);
        Ok(Self { form: Form::Parts(parts), null: false, terminal: false })
    }

    /// Values line by line, behind their keys where a delimiter is given.
    pub(super) fn lines(delimiter: Option<&[u8]>) -> Self {
        let mut parts = Vec::new();
        if let Some(delimiter) = delimiter {
            parts.extend([Part::Key, Part::Literal(delimiter.to_vec())]);
        }
        parts.extend([Part::Value, Part::Literal(b"\n".to_vec())]);
        Self { form: Form::Parts(parts), null: false, terminal: false }
    }

    /// A line of JSON.
    pub(super) fn json() -> Self {
        Self { form: Form::Json, null: false, terminal: false }
    }

    /// Adds a record to what is written.
    pub(super) fn write(&self, record: &RecordRef<'_>, out: &mut Vec<u8>) {
        let parts = match &self.form {
            Form::Parts(parts) => parts,
            Form::Json => {
                let line = json(record).to_string();
                // JSON writes control characters below the space as escapes itself; the others may be within its texts.
                let line = if self.terminal { plain(&line) } else { line };
                out.extend_from_slice(line.as_bytes());
                out.push(b'\n');
                return;
            }
        };
        for part in parts {
            match part {
                Part::Literal(bytes) => out.extend_from_slice(bytes),
                Part::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Part::Partition => number(record.partition.into(), out),
                Part::Offset => number(record.offset, out),
                Part::Time => number(record.timestamp, out),
                Part::Key => self.data(record.key, out),
                Part::Value => self.data(record.value, out),
                Part::KeyLength => length(record.key, out),
                Part::ValueLength => length(record.value, out),
                Part::Headers => self.headers(record, out),
            }
        }
    }

    fn headers(&self, record: &RecordRef<'_>, out: &mut Vec<u8>) {
        for (at, header) in record.headers.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            self.data(Some(header.name.as_bytes()), out);
            out.push(b'=');
            match header.value {
                Some(value) => self.data(Some(value), out),
                None => out.extend_from_slice(b"NULL"),
            }
        }
    }

    fn data(&self, data: Option<&[u8]>, out: &mut Vec<u8>) {
        match data {
            None if self.null => out.extend_from_slice(b"NULL"),
            None => {}
            Some(data) if self.terminal => out.extend_from_slice(told(data).as_bytes()),
            Some(data) => out.extend_from_slice(data),
        }
    }
}

fn literal(parts: &mut Vec<Part>, bytes: &[u8]) {
    if !bytes.is_empty() {
        parts.push(Part::Literal(bytes.to_vec()));
    }
}

fn number(number: i64, out: &mut Vec<u8>) {
    // A vector takes everything.
    let _ = write!(out, "{number}");
}

fn length(data: Option<&[u8]>, out: &mut Vec<u8>) {
    number(data.map_or(-1, |data| i64::try_from(data.len()).unwrap_or(i64::MAX)), out);
}

fn json(record: &RecordRef<'_>) -> serde_json::Value {
    let headers = record.headers.iter().map(|header| {
        let (_, value) = payload("header", header.value);
        serde_json::json!([header.name, value])
    });
    let mut line = serde_json::json!({
        "topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp,
        "headers": headers.collect::<Vec<_>>(),
    });
    let fields = line.as_object_mut().expect("an object was made");
    fields.extend([payload("key", record.key), payload("value", record.value)]);
    line
}

/// Text in which `\n`, `\r`, `\t`, `\\` and `\xHH` are what they mean.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let after = &rest[at + 1..];
        let (byte, used) = match after.chars().next() {
            Some('n') => (b'\n', 1),
            Some('r') => (b'\r', 1),
            Some('t') => (b'\t', 1),
            Some('\\') => (b'\\', 1),
            Some('x') => {
                let digits = after.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                (byte.ok_or("after `\\x` two hexadecimal digits are wanted")?, 3)
            }
            Some(other) => return Err(format!("`\\{other}` means nothing: use \\n \\r \\t \\xHH or \\\\")),
            None => return Err("it ends in the middle of a `\\`: write `\\\\` for the sign itself".into()),
        };
        out.push(byte);
        rest = &after[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{Format, unescape};
    use crate::record::{HeaderRef, RecordRef};
    use proptest::prelude::*;

    const HEADERS: [HeaderRef<'_>; 2] = [HeaderRef { name: "a", value: Some(b"1") }, HeaderRef { name: "b", value: None }];

    fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RecordRef<'a> {
        RecordRef { topic: "t", partition: 3, offset: 17, timestamp: 1_000, key, value, headers: &HEADERS }
    }

    fn written(format: &Format, record: &RecordRef<'_>) -> String {
        let mut out = Vec::new();
        format.write(record, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_letter_stands_for_its_part_of_the_record() {
        let record = record(Some(b"k1"), Some(b"v"));
        for (format, expected) in [
            ("", ""),
            ("%s", "v"),
            ("%k: %s\\n", "k1: v\n"),
            ("%t %p %o", "t 3 17"),
            ("%T|%K|%S", "1000|2|1"),
            ("%h", "a=1,b=NULL"),
            ("100%% ä %s\\t\\x41\\\\", "100% ä v\tA\\"),
            ("%%s", "%s"),
        ] {
            assert_eq!(written(&Format::parse(format).unwrap(), &record), expected, "{format}");
        }
    }

    #[test]
    fn what_is_null_is_nothing_or_its_name_and_has_no_length() {
        let mut format = Format::parse("[%k][%s]%K%S").unwrap();
        let record = record(None, None);
        assert_eq!(written(&format, &record), "[][]-1-1");
        format.null = true;
        assert_eq!(written(&format, &record), "[NULL][NULL]-1-1");
    }

    #[test]
    fn a_terminal_gets_no_orders_and_a_pipe_every_byte() {
        let record = record(Some(b"k"), Some(b"\x1b[2J\xc2\x9b"));
        for format in [Format::parse("%s\\n").unwrap(), Format::json()] {
            let shown = written(&Format { terminal: true, ..format.clone() }, &record);
            assert!(shown.trim_end().chars().all(|c| !c.is_control()), "{shown:?}");
        }
        assert_eq!(written(&Format::parse("%s").unwrap(), &record), "\u{1b}[2J\u{9b}");
    }

    #[test]
    fn a_line_of_json_keeps_what_is_no_json_and_no_text() {
        let format = Format::json();
        for (value, expected) in [
            (Some(&b"{\"a\":1}"[..]), r#""value":{"a":1}"#),
            (Some(&b"text"[..]), r#""value":"text""#),
            (Some(&[0xff][..]), r#""valueBase64":"/w==""#),
            (None, r#""value":null"#),
        ] {
            let line = written(&format, &record(Some(b"7"), value));
            assert!(line.contains(expected) && line.ends_with('\n') && line.lines().count() == 1, "{line}");
            assert!(line.contains(r#""headers":[["a","1"],["b",null]]"#) && line.contains(r#""key":"7""#), "{line}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for text in ["%", "%x", "%ä", "a%k%", "\\", "\\q", "\\x4", "\\xzz", "\\x+1", "\\xä"] {
            assert!(Format::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_format_or_refused(text in "[%\\\\tpokshTKSnrx0-9aä ]{0,24}") {
            if let Ok(format) = Format::parse(&text) {
                written(&format, &record(Some(b"k"), None));
            }
        }

        #[test]
        fn text_without_signs_stands_for_itself(text in "[^%\\\\]{0,24}") {
            prop_assert_eq!(unescape(&text).unwrap(), text.as_bytes());
            prop_assert_eq!(written(&Format::parse(&text).unwrap(), &record(None, None)), text);
        }
    }
}
