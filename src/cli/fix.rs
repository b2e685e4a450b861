//! `skald check --fix`: mends files, or shows how it would.

use super::files::Found;
use super::load::findings_of;
use super::{Problem, out};
use crate::config::{Exit, Param};
use crate::topology::fixed;
use std::fmt::Write as _;
use std::fs;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// What some editors begin a file with.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mended {
    pub(super) findings: usize,
    pub(super) files: usize,
}

/// Mends the files: on disk, or with `show` as a difference on stdout.
pub(super) fn mend(files: &mut [Found], params: &[Param], show: bool) -> Result<Mended, Problem> {
    let mut done = Mended::default();
    for found in files {
        let bytes = found.bytes.strip_prefix(MARK).unwrap_or(&found.bytes);
        // What is no text is told by the check.
        let Ok(text) = std::str::from_utf8(bytes) else { continue };
        let fixed = fixed(text, |text| findings_of(found, text, params));
        if fixed.mended.is_empty() {
            continue;
        }
        done.findings += fixed.mended.len();
        done.files += 1;
        if show {
            out(&difference(&found.name, text, &fixed.text));
            continue;
        }
        let mut written = if bytes.len() < found.bytes.len() { MARK.to_vec() } else { Vec::new() };
        written.extend_from_slice(fixed.text.as_bytes());
        fs::write(&found.name, &written)
            .map_err(|error| Problem::new(Exit::Failed, format!("`{}` cannot be written: {error}", found.name)))?;
        found.bytes = written;
    }
    Ok(done)
}

/// The changed lines of two texts with the same number of lines, as `diff -u` shows them.
fn difference(name: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let changed: Vec<usize> = (0..old.len().min(new.len())).filter(|at| old[*at] != new[*at]).collect();
    let mut out = format!("--- {name}\n+++ {name}\n");
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        // Changes whose surroundings touch are shown together.
        let count = 1 + rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT).count();
        let (hunk, later) = rest.split_at(count);
        rest = later;
        let from = first.saturating_sub(CONTEXT);
        let to = (hunk[count - 1] + CONTEXT + 1).min(old.len());
        let _ = writeln!(out, "@@ -{0},{1} +{0},{1} @@", from + 1, to - from);
        let mut at = from;
        while at < to {
            if old[at] == new[at] {
                let _ = writeln!(out, " {}", old[at]);
                at += 1;
                continue;
            }
            let end = (at..to).find(|line| old[*line] == new[*line]).unwrap_or(to);
            old[at..end].iter().for_each(|line| out.push_str(&format!("-{line}\n")));
            new[at..end].iter().for_each(|line| out.push_str(&format!("+{line}\n")));
            at = end;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_the_lines_around_them() {
        let before: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        let after =
            before.replace("line 2\n", "line two\n").replace("line 3\n", "line three\n").replace("line 15\n", "line fifteen\n");
        insta::assert_snapshot!(difference("shop.yaml", &before, &after), @r"
        --- shop.yaml
        +++ shop.yaml
        @@ -1,6 +1,6 @@
         line 1
        -line 2
        -line 3
        +line two
        +line three
         line 4
         line 5
         line 6
        @@ -12,7 +12,7 @@
         line 12
         line 13
         line 14
        -line 15
        +line fifteen
         line 16
         line 17
         line 18
        ");
    }
}
