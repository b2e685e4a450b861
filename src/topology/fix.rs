//! Mends what can be mended mechanically: applies the [`Fix`](super::Fix)es of findings to the text that they were found in.
//!
//! Only the bytes of the fixes change; comments and layout stay. Findings hide others (a syntax error hides all that follows),
//! so the text is checked and mended in rounds until nothing certain is left.

use super::Diagnostic;

/// A file with one syntax error per line needs a round for each.
const ROUNDS_MAX: usize = 1_000;

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// The text, mended.
    pub text: String,
    /// The findings that are gone, in the order they were mended; places count in the text of their round.
    pub mended: Vec<Diagnostic>,
}

/// Mends a text. `check` gives the findings of a text; it is asked again after each round.
pub fn fixed(text: &str, mut check: impl FnMut(&str) -> Vec<Diagnostic>) -> Fixed {
    let mut done = Fixed { text: text.to_owned(), mended: Vec::new() };
    for _ in 0..ROUNDS_MAX {
        let findings = check(&done.text);
        let round = apply(&mut done.text, findings);
        if round.is_empty() {
            break;
        }
        done.mended.extend(round);
    }
    done
}

/// Applies the fixes of one round, of overlapping ones the first, and returns what they mend.
fn apply(text: &mut String, findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut applied: Vec<Diagnostic> = Vec::new();
    let mut fixable: Vec<Diagnostic> = findings.into_iter().filter(|found| found.fix.is_some()).collect();
    fixable.sort_by_key(|found| found.fix.as_ref().map(|fix| (fix.range.start, fix.range.end)));
    let mut out = String::with_capacity(text.len() + 16);
    let mut taken = 0;
    for found in fixable {
        let Some(fix) = &found.fix else { continue };
        let changes = text.get(fix.range.clone()).is_some_and(|old| old != fix.text);
        if fix.range.start < taken || !changes || (taken > 0 && fix.range.start == taken) {
            continue;
        }
        out.push_str(&text[taken..fix.range.start]);
        out.push_str(&fix.text);
        taken = fix.range.end;
        applied.push(found);
    }
    if !applied.is_empty() {
        out.push_str(&text[taken..]);
        *text = out;
    }
    applied
}
