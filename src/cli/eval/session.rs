//! What is known while expressions are tried: values, their types, and the names given to results.

use crate::expr::{
    Compiled, EvalError, Expect, Finding, Fuel, Kind, Names, Scope, Severity, Slot, Template, TemplateSource, Type, compile,
};
use crate::record::Value;
use crate::topology::{Findings, SourceText, finding, render};

/// What comes of a line.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A value with its type, and warnings about the expression.
    Value { value: Value, ty: Type, notes: String },
    /// The answer to a command.
    Said(String),
    /// The expression is wrong.
    Findings(String),
    /// It is right and fails on these values.
    Failed(String),
    /// Enough.
    Quit,
}

/// The values that expressions are tried on.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) values: Vec<(Slot, Value, Type)>,
}

/// A row of expressions over the same values.
pub(super) struct Session {
    scope: Scope,
    /// By slot.
    values: Vec<Option<Value>>,
    template: bool,
    color: bool,
}

impl Session {
    /// Expressions, or with `template` texts with expressions in them.
    pub(super) fn new(given: Given, template: bool, color: bool) -> Self {
        let mut session = Self { scope: Scope::new(), values: Vec::new(), template, color };
        for (slot, value, ty) in given.values {
            session.scope.set(slot, ty);
            session.keep(slot, value);
        }
        session
    }

    /// One line: a command, `name = expression`, or an expression.
    pub(super) fn line(&mut self, line: &str) -> Outcome {
        let line = line.trim();
        if let Some(command) = line.strip_prefix(':') {
            return self.command(command);
        }
        match assignment(line).filter(|_| !self.template) {
            Some((name, expression)) => self.assign(name, expression),
            None => self.eval(line),
        }
    }

    /// The value of an expression.
    pub(super) fn eval(&self, text: &str) -> Outcome {
        if self.template {
            return self.fill(text);
        }
        let Compiled { program, ty, findings } = compile(text, &self.scope, &Expect::Any);
        let told = self.told(text, findings);
        match program {
            None => Outcome::Findings(told),
            Some(program) => match program.eval(self, &mut Fuel::new()) {
                Ok(value) => Outcome::Value { value, ty, notes: told },
                Err(error) => Outcome::Failed(self.failed(text, &error)),
            },
        }
    }

    fn fill(&self, text: &str) -> Outcome {
        let source = TemplateSource::Text { text: text.to_owned(), place: 0 };
        let (template, ty, findings) = Template::compile(&source, &self.scope);
        let told = self.told(text, findings.into_iter().map(|placed| placed.finding).collect());
        match template {
            None => Outcome::Findings(told),
            Some(template) => match template.eval(self, &mut Fuel::new()) {
                Ok(value) => Outcome::Value { value: value.unwrap_or_default(), ty, notes: told },
                Err(error) => Outcome::Failed(self.failed(text, &error)),
            },
        }
    }

    fn assign(&mut self, name: &str, expression: &str) -> Outcome {
        if let Some(problem) = self.scope.check_name(name) {
            return Outcome::Findings(self.told(name, vec![problem]));
        }
        let outcome = self.eval(expression);
        if let Outcome::Value { value, ty, .. } = &outcome {
            let slot = self.scope.local(name, ty.clone());
            self.keep(slot, value.clone());
        }
        outcome
    }

    fn command(&self, command: &str) -> Outcome {
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "q" | "quit" | "exit" => Outcome::Quit,
            "names" => {
                let lines = self.scope.names().map(|name| {
                    let ty = self.scope.find(name).map_or(String::new(), |(_, ty)| ty.to_string());
                    format!("{name} : {ty}\n")
                });
                Outcome::Said(lines.collect())
            }
            "type" => {
                let Compiled { program, ty, findings } = compile(rest.trim(), &self.scope, &Expect::Any);
                match program {
                    Some(_) => Outcome::Said(format!("{ty}\n")),
                    None => Outcome::Findings(self.told(rest.trim(), findings)),
                }
            }
            "help" => Outcome::Said(HELP.to_owned()),
            _ => Outcome::Failed(format!("no command `:{name}`; `:help` lists them\n")),
        }
    }

    fn keep(&mut self, slot: Slot, value: Value) {
        if self.values.len() <= slot.index() {
            self.values.resize(slot.index() + 1, None);
        }
        self.values[slot.index()] = Some(value);
    }

    /// Findings in a text, as `check` shows them.
    fn told(&self, text: &str, found: Vec<Finding>) -> String {
        let mut findings = Findings::new(SourceText::new("expression", text));
        for problem in found {
            let mut said = finding(problem.code, problem.message);
            said.hint = match (problem.code, problem.hint) {
                ("E302" | "E313", None) => Some("values are given with `--data`, `--state`, `--key`, `--event`".to_owned()),
                (_, hint) => hint,
            };
            debug_assert!(matches!(problem.severity, Severity::Error | Severity::Warning));
            findings.push(problem.range, said);
        }
        render::text(&findings.finish(), |_| Some(text), self.color)
    }

    fn failed(&self, text: &str, error: &EvalError) -> String {
        render::failure(text, error.range.clone(), error.kind.name(), &error.message, self.color)
    }
}

impl Names for Session {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        let value = self.values.get(slot.index()).and_then(Option::as_ref);
        value.ok_or_else(|| EvalError::new(Kind::MissingField, "the name has no value here"))
    }
}

const HELP: &str = "\
an expression      its value and type
name = expression  the same, kept under the name
:type expression   its type alone
:names             the names there are
:quit              the end (also Ctrl-D)
";

/// `name = expression`; `==` is a comparison and a leading `=` means nothing.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, expression) = line.split_once('=')?;
    let name = name.trim_end();
    let word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (word && !expression.starts_with('=')).then(|| (name, expression.trim_start()))
}
