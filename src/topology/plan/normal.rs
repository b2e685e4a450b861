//! One form for expressions that are the same: blanks and quotes apart.

/// The text of an expression in a form in which equal expressions are equal: tokens with one blank between them.
///
/// Two texts of one form mean the same; two that mean the same may have different forms (`a + b` and `b + a`), which costs a
/// repartition topic and loses nothing.
pub(in crate::topology) fn normal(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut rest = text.trim().trim_start_matches('=').trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' | '\'' => quoted_len(rest, first),
            _ if word(first) => rest.find(|character| !word(character)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, tail) = rest.split_at(len);
        // The parts of an operator stay together: `= =` is not `==`.
        let glued = !word(first)
            && !matches!(first, '"' | '\'' | '(' | ')' | '[' | ']')
            && out.last().is_some_and(|last| operator(last));
        let joined = glued && text_before_is_adjacent(text, tail, len);
        match (joined, out.last_mut()) {
            (true, Some(last)) => last.push_str(token),
            _ => out.push(unquoted_form(token)),
        }
        rest = tail.trim_start();
    }
    out.join(" ")
}

fn word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn operator(token: &str) -> bool {
    token.chars().all(|character| "=!<>&|?.".contains(character))
}

/// Is there no blank between a token and the one before it?
fn text_before_is_adjacent(text: &str, tail: &str, len: usize) -> bool {
    let at = text.trim_end().len().saturating_sub(tail.trim_end().len() + len);
    at > 0 && !text[..at].ends_with(char::is_whitespace)
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'a'` and `"a"` are one text.
fn unquoted_form(token: &str) -> String {
    let inner = token.strip_prefix('\'').and_then(|inner| inner.strip_suffix('\''));
    match inner.filter(|inner| !inner.contains(['"', '\\'])) {
        Some(inner) => format!("\"{inner}\""),
        None => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn blanks_and_quotes_make_no_difference() {
        for (a, b) in [
            ("data.sku", "= data . sku "),
            ("data['a b']", "data[ \"a b\" ]"),
            ("string( data.id )+'-x'", "string(data.id) + \"-x\""),
            ("a==b", "a == b"),
            ("a.?b", "a .?b"),
        ] {
            assert_eq!(normal(a), normal(b));
        }
        for (a, b) in [("data.a b", "data.ab"), ("'a'", "a"), ("'a b'", "'ab'"), ("a = = b", "a == b"), ("a", "b")] {
            assert_ne!(normal(a), normal(b));
        }
    }
}
