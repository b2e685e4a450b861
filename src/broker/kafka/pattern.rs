//! Patterns of topics, from our regular expressions to those of the client.
//!
//! librdkafka hands a pattern to the regular expressions of the C library (POSIX, extended), which know neither `\d` nor groups
//! that do not capture, and refuses the subscription where they do not take it. Names of topics have 65 characters, so every
//! class of ours can be written out as a list of them; what is left has the same meaning in both.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Characters that a topic's name may have. `-` stands last in a list, where it means itself.
const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz.-";
/// No name is longer.
const NAME_LENGTH_MAX: u32 = 249;
/// Matches no character of a name.
const NOTHING: &str = "[^-0-9A-Z_a-z.]";

/// A pattern over whole names as the client takes it: it begins with `^`, which tells it from a name. `None` for what the client
/// has no words for: the boundaries of words.
pub(super) fn to_posix(pattern: &str) -> Option<String> {
    let parsed = regex_syntax::parse(pattern).ok()?;
    let mut out = String::from("^");
    write(&parsed, &mut out)?;
    out.push('$');
    Some(out)
}

fn write(hir: &Hir, out: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty => out.push_str("()"),
        HirKind::Literal(literal) => {
            for byte in &literal.0 {
                letters(|letter| letter == char::from(*byte), out);
            }
        }
        HirKind::Class(Class::Unicode(class)) => {
            letters(|letter| class.iter().any(|range| (range.start()..=range.end()).contains(&letter)), out);
        }
        HirKind::Class(Class::Bytes(class)) => letters(
            |letter| class.iter().any(|range| (char::from(range.start())..=char::from(range.end())).contains(&letter)),
            out,
        ),
        HirKind::Look(Look::Start | Look::StartLF) => out.push('^'),
        HirKind::Look(Look::End | Look::EndLF) => out.push('$'),
        HirKind::Look(_) => return None,
        HirKind::Repetition(repetition) => repeat(repetition, out)?,
        HirKind::Capture(capture) => group(std::slice::from_ref(&*capture.sub), "", out)?,
        HirKind::Concat(parts) => group(parts, "", out)?,
        HirKind::Alternation(parts) => group(parts, "|", out)?,
    }
    Some(())
}

fn group(parts: &[Hir], between: &str, out: &mut String) -> Option<()> {
    out.push('(');
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            out.push_str(between);
        }
        write(part, out)?;
    }
    out.push(')');
    Some(())
}

/// More repetitions than a name has characters are as many as there are; the C library takes 255 at most.
fn repeat(repetition: &Repetition, out: &mut String) -> Option<()> {
    let Repetition { min, max, sub, .. } = repetition;
    if *min > NAME_LENGTH_MAX && sub.properties().minimum_len() != Some(0) {
        out.push_str(NOTHING);
        return Some(());
    }
    group(std::slice::from_ref(&**sub), "", out)?;
    let min = (*min).min(NAME_LENGTH_MAX);
    match max.filter(|max| *max <= NAME_LENGTH_MAX) {
        None if min == 0 => out.push('*'),
        None if min == 1 => out.push('+'),
        None => out.push_str(&format!("{{{min},}}")),
        Some(max) => out.push_str(&format!("{{{min},{max}}}")),
    }
    Some(())
}

/// One of the characters that a condition holds for.
fn letters(is_meant: impl Fn(char) -> bool, out: &mut String) {
    let meant: String = LETTERS.chars().filter(|letter| is_meant(*letter)).collect();
    match meant.len() {
        0 => out.push_str(NOTHING),
        1 if meant != "." => out.push_str(&meant),
        _ => {
            out.push('[');
            out.push_str(&meant);
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LETTERS, to_posix};
    use proptest::prelude::*;
    use regex::Regex;

    /// What is written is a part of our own syntax too, so that one can be asked about the other.
    fn same(pattern: &str, name: &str) -> bool {
        let ours = Regex::new(&format!("^(?:{pattern})$")).expect(pattern);
        let posix = to_posix(pattern).expect(pattern);
        assert!(!posix.contains("(?") && !posix.contains('\\'), "{posix}");
        let theirs = Regex::new(&posix).unwrap_or_else(|error| panic!("{pattern} as {posix}: {error}"));
        ours.is_match(name) == theirs.is_match(name)
    }

    #[test]
    fn patterns_are_written_as_the_c_library_reads_them() {
        for (pattern, expected) in [
            ("orders", Some("^orders$")),
            ("orders\\.v\\d", Some("^(orders[.]v[0123456789])$")),
            ("(?:a|b)+", Some("^([ab])+$")),
            ("(?i)é", Some("^[^-0-9A-Z_a-z.][^-0-9A-Z_a-z.]$")),
            ("a{3,500}", Some("^(a){3,}$")),
            ("a{400}", Some("^[^-0-9A-Z_a-z.]$")),
            ("x-?", Some("^(x(-){0,1})$")),
            ("a\\b", None),
        ] {
            let written = to_posix(pattern);
            if pattern != "(?i)é" {
                assert_eq!(written.as_deref(), expected, "{pattern}");
            } else {
                assert!(written.is_some_and(|text| !Regex::new(&text).expect("one").is_match("e")));
            }
        }
    }

    proptest! {
        #[test]
        fn both_match_the_same_names(
            pattern in "([a-c]|[.]|\\\\.|\\\\d|\\\\w|[a-b]\\{0,2\\}|\\([a-c]\\|[.]x\\)|[^a]|[a-c][*+?]){0,6}",
            name in "[a-cx0-9._-]{0,6}",
        ) {
            // `\\<` and the like are boundaries of words.
            prop_assume!(Regex::new(&format!("^(?:{pattern})$")).is_ok() && to_posix(&pattern).is_some());
            prop_assert!(same(&pattern, &name), "{} {:?} {}", pattern, to_posix(&pattern), name);
        }
    }

    #[test]
    fn every_letter_means_itself() {
        for letter in LETTERS.chars() {
            let pattern = regex::escape(&letter.to_string());
            for name in LETTERS.chars() {
                assert!(same(&pattern, &name.to_string()), "{pattern} {name}");
            }
        }
    }
}
