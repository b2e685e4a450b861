//! The pages as text: one for a terminal, all of them for the reference.

use super::{Page, pages};
use std::fmt::Write as _;

/// A page for a terminal; with `colour` the finding of the example has its colours.
pub fn page_text(page: &Page, colour: bool) -> String {
    let head = format!("{}: {} ({})\n\n{}", page.code, page.title(), page.severity().name(), wrapped(page.why));
    let (bad, said) = (page.bad(), page.shown_of_bad(colour));
    format!(
        "{head}\n\nAn example:\n\n{bad}\nIt is told as\n\n{said}\nHow to mend it: {mend}\n\n{good}",
        mend = wrapped(page.mend),
        bad = indented(&bad),
        said = indented(said.trim_end()),
        good = indented(&mended(&bad, page.good())),
    )
}

/// The page `docs/reference/diagnostics.md`; a test keeps the file equal to it.
pub fn reference_page() -> String {
    let mut out = String::from(
        "# Diagnostics\n\nMade from the table of diagnostics; `UPDATE=1 cargo test --lib topology::explain` writes it anew. \
         `skald explain CODE` shows one of them.\n\nA code keeps its meaning for ever. Codes that begin with `E` are errors: the file is \
         not run. Those that begin with `W` are warnings: it is run, and something is likely not meant; `skald check \
         --deny-warnings` counts them as findings.\n\n| code | about |\n|---|---|\n",
    );
    for page in pages() {
        // As GitHub and mdbook make anchors of headings.
        let anchor: String = format!("{} {}", page.code, page.title())
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let _ = writeln!(out, "| [{}](#{anchor}) | {} |", page.code, page.title());
    }
    for page in pages() {
        let said = page.said_of_bad();
        let _ = write!(
            out,
            "\n## {code}: {title}\n\n{why}\n\n```yaml bad\n{bad}```\n\n```text\n{said}```\n\n{mend}\n\n```diff\n{good}```\n",
            code = page.code,
            title = page.title(),
            why = wrapped(page.why),
            bad = page.bad(),
            mend = wrapped(page.mend),
            good = mended(&page.bad(), page.good()),
        );
    }
    out
}

/// What changes from one text to the other: lines that go with `-`, lines that come with `+`, one line around them.
fn mended(bad: &str, good: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (bad.lines().collect(), good.lines().collect());
    // `common[a][b]`: most lines that the rests from `a` and `b` have in common.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for a in (0..old.len()).rev() {
        for b in (0..new.len()).rev() {
            common[a][b] = if old[a] == new[b] { 1 + common[a + 1][b + 1] } else { common[a + 1][b].max(common[a][b + 1]) };
        }
    }
    let mut lines: Vec<(char, &str)> = Vec::new();
    let (mut a, mut b) = (0, 0);
    while a < old.len() || b < new.len() {
        if a < old.len() && b < new.len() && old[a] == new[b] {
            lines.push((' ', old[a]));
            (a, b) = (a + 1, b + 1);
        } else if b == new.len() || (a < old.len() && common[a + 1][b] >= common[a][b + 1]) {
            lines.push(('-', old[a]));
            a += 1;
        } else {
            lines.push(('+', new[b]));
            b += 1;
        }
    }
    let changed = |at: usize| lines.get(at).is_some_and(|(mark, _)| *mark != ' ');
    let near = |at: &usize| changed(*at) || changed(at + 1) || (*at > 0 && changed(at - 1));
    (0..lines.len()).filter(near).map(|at| format!("{} {}\n", lines[at].0, lines[at].1)).collect()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}

/// Lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut len = 0;
    for word in text.split(' ') {
        let width = word.chars().count();
        if len > 0 && len + 1 + width > 100 {
            out.push('\n');
            len = 0;
        } else if len > 0 {
            out.push(' ');
            len += 1;
        }
        out.push_str(word);
        len += width;
    }
    out
}
