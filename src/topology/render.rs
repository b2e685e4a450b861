//! Diagnostics for people and for programs.

use super::diagnostic::{Diagnostic, Severity};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};

/// How far a line of a file is shown: longer ones are cut around the place.
const WIDTH: usize = 140;

/// The findings as text, each with the lines that it is about. `source` gives the text of a file by its name; without it the
/// place is named only. With `colour` it has terminal escapes.
pub fn text<'a>(findings: &[Diagnostic], source: impl Fn(&str) -> Option<&'a str>, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let mut out = String::new();
    for found in findings {
        out.push_str(&renderer.render(&[group(found, source(&found.file))]));
        out.push_str("\n\n");
    }
    out
}

fn group<'a>(found: &'a Diagnostic, source: Option<&'a str>) -> Group<'a> {
    let level = match found.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // The title is what greps look for: it has the place too.
    let title = level.primary_title(found.message.as_str()).id(found.code);
    let mut group = match source.filter(|text| text.get(found.range.clone()).is_some()) {
        Some(text) => {
            let label = found.cause.as_deref();
            let annotation = AnnotationKind::Primary.span(found.range.clone()).label(label);
            title.element(Snippet::source(text).path(&*found.file).annotation(annotation))
        }
        None => {
            let origin = annotate_snippets::Origin::path(&*found.file);
            title.element(origin.line(found.line as usize).char_column(found.column as usize))
        }
    };
    if let (None, Some(cause)) = (source, &found.cause) {
        group = group.element(Level::NOTE.message(cause.as_str()));
    }
    if let Some(hint) = &found.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    group
}

/// A failure at a place of a text that is no file: an expression that was tried.
pub fn failure(text: &str, range: std::ops::Range<usize>, code: &str, message: &str, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let title = Level::ERROR.primary_title(message).id(code);
    let group = match text.get(range.clone()) {
        Some(_) => title.element(Snippet::source(text).annotation(AnnotationKind::Primary.span(range))),
        None => Group::with_title(title),
    };
    renderer.render(&[group]) + "\n\n"
}

/// The findings one per line, as `file:line:column: code: message`.
pub fn lines(findings: &[Diagnostic]) -> String {
    let mut out = String::new();
    for found in findings {
        out.push_str(&found.to_string());
        out.push('\n');
        if let Some(hint) = &found.hint {
            out.push_str(&format!("  hint: {hint}\n"));
        }
    }
    out
}

/// The findings as a list of `{code, severity, file, line, column, endLine, endColumn, message, hint}`, with `cause` and `fix`
/// where there is one.
pub fn json(findings: &[Diagnostic]) -> Json {
    let entries = findings.iter().map(|found| {
        let mut entry = json!({
            "code": found.code,
            "severity": found.severity().name(),
            "file": &*found.file,
            "line": found.line,
            "column": found.column,
            "endLine": found.end.line,
            "endColumn": found.end.column,
            "message": found.message,
            "hint": found.hint,
        });
        if let Some(cause) = &found.cause {
            entry["cause"] = json!(cause);
        }
        if let Some(fix) = &found.fix {
            entry["fix"] = json!({
                "line": fix.start.line,
                "column": fix.start.column,
                "endLine": fix.end.line,
                "endColumn": fix.end.column,
                "text": fix.text,
            });
        }
        entry
    });
    entries.collect()
}

/// The findings as commands that GitHub's workflows turn into annotations, one per line.
pub fn github(findings: &[Diagnostic]) -> String {
    let mut out = String::new();
    for found in findings {
        let kind = found.severity().name();
        let Diagnostic { line, column, end, code, .. } = found;
        let file = in_property(&found.file);
        let more = [found.cause.as_deref(), found.hint.as_deref()].into_iter().flatten();
        let message = std::iter::once(found.message.as_str()).chain(more).collect::<Vec<_>>().join("\n");
        out.push_str(&format!(
            "::{kind} file={file},line={line},col={column},endLine={},endColumn={},title={code}::{}\n",
            end.line,
            end.column,
            in_message(&message),
        ));
    }
    out
}

fn in_message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn in_property(text: &str) -> String {
    in_message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Findings, SourceText, finding};
    use super::*;

    fn sample(text: &str) -> Vec<Diagnostic> {
        let mut findings = Findings::new(SourceText::new("shop.yaml", text));
        let at = text.find("foo").unwrap();
        findings.push(at..at + 3, finding("E105", "unknown field `foo`").hint("did you mean `for`?").cause("no such field"));
        findings.finish()
    }

    #[test]
    fn text_shows_the_line_the_cause_and_the_hint() {
        let source = "skald: 1\nfoo: 2\n";
        let shown = text(&sample(source), |_| Some(source), false);
        for part in ["error[E105]: unknown field `foo`", "shop.yaml:2:1", "foo: 2", "no such field", "did you mean `for`?"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        let shown = text(&sample(source), |_| None, false);
        assert!(shown.contains("shop.yaml:2:1") && shown.contains("no such field"), "{shown}");
    }

    #[test]
    fn hostile_text_is_shown_without_a_panic() {
        for source in
            ["foo", "\u{202e}foo\t\r\n", "日本語 foo", "foo\u{85}", &format!("{}foo{}", "x".repeat(100_000), "y".repeat(9))]
        {
            assert!(text(&sample(source), |_| Some(source), true).contains("E105"));
        }
    }

    #[test]
    fn commands_for_github_are_one_line_each_and_escaped() {
        let mut found = sample("a\n  foo: 100%");
        found[0].message = "100% of\nfoo".to_owned();
        found[0].file = "a,b:c.yaml".into();
        assert_eq!(
            github(&found),
            "::error file=a%2Cb%3Ac.yaml,line=2,col=3,endLine=2,endColumn=6,title=E105::100%25 of%0Afoo%0Ano such \
             field%0Adid you mean `for`?\n"
        );
    }

    #[test]
    fn json_has_the_fields_of_the_contract() {
        let list = json(&sample("a\n  foo"));
        assert_eq!(list[0]["line"], 2);
        assert_eq!(list[0]["column"], 3);
        assert_eq!(list[0]["severity"], "error");
        assert_eq!((&list[0]["endLine"], &list[0]["endColumn"]), (&2.into(), &6.into()));
        assert_eq!(list[0]["hint"], "did you mean `for`?");
    }
}
