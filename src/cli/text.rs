//! Text for a terminal: tables, and what came from outside.

use std::fmt::Write as _;

/// Text from outside as one line that a terminal cannot take for orders: control characters are written as escapes.
pub(super) fn plain(text: &str) -> String {
    if !text.chars().any(is_order) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_order(character) {
            let _ = write!(out, "{}", character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Also those that turn the direction of writing, which make a line look like another one.
fn is_order(character: char) -> bool {
    character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes from outside: as text where they are some, else in hexadecimal.
pub(super) fn bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => plain(text),
        Err(_) => {
            let mut out = String::from("0x");
            for byte in bytes {
                let _ = write!(out, "{byte:02x}");
            }
            out
        }
    }
}

/// Rows below a head, in columns as wide as their widest cell; the last column is as long as it is.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut out = String::new();
    let mut line = |cells: &[String; N]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(&head.map(str::to_owned));
    rows.iter().for_each(&mut line);
    out
}

/// At most so many characters; what was cut is said by `…`.
pub(super) fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some(_) => text.chars().take(length.saturating_sub(1)).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, cut, plain, table};

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        for (text, expected) in [
            ("plain ä 漢", "plain ä 漢"),
            ("a\nb\t", "a\\nb\\t"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{202e}txt", "\\u{202e}txt"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(plain(text), expected);
        }
        assert_eq!(bytes(b"k\x1b"), "k\\u{1b}");
        assert_eq!(bytes(&[0xff, 0x00]), "0xff00");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".into(), "ä".into()], ["22222".into(), String::new()]];
        assert_eq!(table(["n", "text"], &rows), "n      text\n1      ä\n22222\n");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, length, expected) in [("abc", 3, "abc"), ("äbcd", 3, "äb…"), ("", 0, "")] {
            assert_eq!(cut(text, length), expected);
        }
    }
}
