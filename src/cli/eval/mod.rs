//! `skald eval`: tries an expression on values, once or line by line.

mod repl;
mod session;
mod values;

use super::{Problem, out, talk};
use crate::config::{Colors, Eval, Exit};
use crate::record::Value;
use session::{Outcome, Session};
use std::io::{BufRead as _, IsTerminal as _};

/// Evaluates: the value goes to stdout, its type and what is wrong to stderr.
pub(super) fn eval(settings: &Eval, color: Colors) -> Result<Exit, Problem> {
    let mut session = Session::new(values::given(settings)?, settings.as_template, color.talk);
    if let Some(text) = &settings.expression {
        return Ok(tell(session.eval(text)));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return repl::run(&mut session, settings.history.as_deref());
    }
    let mut worst = Exit::Ok;
    for line in stdin.lock().lines() {
        let line = line.map_err(|error| Problem::new(Exit::Failed, format!("stdin cannot be read: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let exit = tell(session.line(&line));
        if worst == Exit::Ok {
            worst = exit;
        }
    }
    Ok(worst)
}

/// Shows what came of an expression, and what the process would exit with.
fn tell(outcome: Outcome) -> Exit {
    match outcome {
        Outcome::Value { value, ty, notes } => {
            talk(&notes);
            out(&format!("{}\n", shown(&value)));
            talk(&format!("type: {ty}\n"));
            Exit::Ok
        }
        Outcome::Said(text) => {
            out(&text);
            Exit::Ok
        }
        Outcome::Findings(text) => {
            talk(&text);
            Exit::Findings
        }
        Outcome::Failed(text) => {
            talk(&text);
            Exit::Failed
        }
        Outcome::Quit => Exit::Ok,
    }
}

/// Widest value on one line.
const LINE_MAX: usize = 100;

/// A value as JSON: on one line where it is short.
fn shown(value: &Value) -> String {
    let mut out = String::new();
    show(value, 0, &mut out);
    out
}

fn show(value: &Value, depth: usize, out: &mut String) {
    let line = crate::record::json::text(value).unwrap_or_else(|error| format!("({error})"));
    let parts: Vec<(String, &Value)> = match value {
        _ if line.len() + 2 * depth <= LINE_MAX => Vec::new(),
        Value::List(items) => items.iter().map(|item| (String::new(), item)).collect(),
        Value::Map(map) => map
            .iter()
            .map(|(key, item)| {
                let key = crate::record::json::text(&Value::Str(key.clone())).unwrap_or_default();
                (format!("{key}: "), item)
            })
            .collect(),
        _ => Vec::new(),
    };
    if parts.is_empty() {
        out.push_str(&line);
        return;
    }
    let (open, close) = if matches!(value, Value::List(_)) { ('[', ']') } else { ('{', '}') };
    out.push(open);
    for (at, (key, item)) in parts.iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        out.push_str(&"  ".repeat(depth + 1));
        out.push_str(key);
        show(item, depth + 1, out);
    }
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::session::{Given, Outcome, Session};
    use super::shown;
    use crate::expr::{Type, names};
    use crate::record::json;

    fn session(template: bool) -> Session {
        let data = json::read(br#"{"id":"a","n":3,"lines":[{"sku":"x","count":2}]}"#).unwrap();
        let given = Given { values: vec![(names::DATA, data, Type::Any)] };
        Session::new(given, template, false)
    }

    fn said(outcome: Outcome) -> String {
        match outcome {
            Outcome::Value { value, ty, .. } => format!("{} : {ty}", shown(&value)),
            Outcome::Said(text) | Outcome::Findings(text) | Outcome::Failed(text) => text,
            Outcome::Quit => "quit".to_owned(),
        }
    }

    #[test]
    fn values_come_with_their_type() {
        let mut session = session(false);
        for (text, wanted) in [
            ("data.n + 1", "4 : any"),
            ("size(data.lines) == 1", "true : bool"),
            ("=data.id", "\"a\" : any"),
            ("double(data.n) / 2", "1.5 : double"),
            ("data.?none", "null : optional(any)"),
            ("timestamp(\"2026-01-02T03:04:05Z\") + duration(\"1h\")", "\"2026-01-02T04:04:05Z\" : timestamp"),
        ] {
            assert_eq!(said(session.line(text)), wanted, "{text}");
        }
    }

    #[test]
    fn names_are_kept_from_line_to_line() {
        let mut session = session(false);
        assert_eq!(said(session.line("total = data.lines.map(l, int(l.count))")), "[2] : list(int)");
        assert_eq!(said(session.line("sum(total) == 2")), "true : bool");
        assert!(said(session.line("total = 1")).contains("E309"));
        assert!(said(session.line("while = 1")).contains("E310"));
        assert_eq!(said(session.line(":type total.first()")), "optional(int)\n");
        assert!(said(session.line(":names")).contains("total : list(int)"));
        assert_eq!(said(session.line(":quit")), "quit");
        assert!(said(session.line(":flie")).contains(":help"));
        assert_eq!(said(session.line("data.n == 3")), "true : bool");
    }

    #[test]
    fn mistakes_and_failures_are_pointed_at() {
        let mut session = session(false);
        insta::assert_snapshot!(said(session.line("data.n + siez(data.id)")), @r"
        error[E303]: no function `siez`
         --> expression:1:10
          |
        1 | data.n + siez(data.id)
          |          ^^^^
          |
          = help: did you mean `size`?
        ");
        insta::assert_snapshot!(said(session.line("data.lines[0].price * 2")), @r"
        error[MISSING_FIELD]: field `price` is missing
          |
        1 | data.lines[0].price * 2
          | ^^^^^^^^^^^^^^^^^^^
        ");
    }

    #[test]
    fn templates_are_filled_in() {
        let mut session = session(true);
        assert_eq!(said(session.line("{data.n} of {data.id}")), "\"3 of a\" : string");
        assert_eq!(said(session.line("=data.n")), "3 : any");
        assert!(said(session.line("{data.n")).contains("E301"));
    }

    #[test]
    fn long_values_are_shown_over_lines() {
        let text = format!(r#"{{"a":"{0}","b":[1,{{"c":"{0}"}}]}}"#, "x".repeat(80));
        let value = json::read(text.as_bytes()).unwrap();
        let shown = shown(&value);
        assert!(shown.starts_with("{\n  \"a\": \"xxx") && shown.contains("\n  \"b\": [1,{\"c\":"), "{shown}");
        assert_eq!(json::read(shown.as_bytes()).unwrap(), value);
    }
}
