//! A file from bytes to model and plan.

use super::definition::{Definition, define};
use super::diagnostic::{Diagnostic, Findings, Severity, SourceText, finding};
use super::lower::lower;
use super::model::Topology;
use super::plan::{self, Plan};
use super::sources::Sources;
use super::yaml;
use std::sync::Arc;

/// What came of a file.
#[derive(Debug)]
pub struct Loaded {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Its text, for whoever shows the findings.
    pub text: Arc<str>,
    /// Has it the field `skald`? A file without it is not a topology, and whoever reads a whole folder passes over it.
    pub marked: bool,
    /// The model and its plan; only when there is no error.
    pub checked: Option<(Topology, Plan)>,
    /// Its content as it is recorded and compared; only when there is no error.
    pub definition: Option<Definition>,
    /// Everything that was found, in the order of the file.
    pub findings: Vec<Diagnostic>,
    /// What the file says of messages, for [`super::across`]; also of a file with errors, as far as it was understood.
    pub(super) traffic: Option<Topology>,
}

impl Loaded {
    /// Is there an error among the findings?
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|found| found.severity() == Severity::Error)
    }
}

/// Reads and checks a topology file. `file` is its name for messages; `overrides` are values for params by name, written as
/// YAML scalars.
///
/// Never panics, whatever the bytes are, and ends within its budgets.
pub fn load(file: &str, bytes: &[u8], overrides: &[(String, String)], sources: &dyn Sources) -> Loaded {
    crate::expr::roomy(|| read(file, bytes, overrides, sources))
}

fn read(file: &str, bytes: &[u8], overrides: &[(String, String)], sources: &dyn Sources) -> Loaded {
    let (text, broken) = match std::str::from_utf8(bytes) {
        Ok(text) => (std::borrow::Cow::Borrowed(text), None),
        Err(error) => (String::from_utf8_lossy(bytes), Some(error.valid_up_to())),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut findings = Findings::new(SourceText::new(file, text));
    let mut loaded = Loaded {
        file: file.into(),
        text: findings.source().text.clone(),
        marked: text.lines().any(|line| line.starts_with("skald:")),
        checked: None,
        definition: None,
        findings: Vec::new(),
        traffic: None,
    };
    if let Some(at) = broken {
        findings.push(at..at, finding("E101", "the file is not UTF-8"));
    } else if let Some(mut root) = yaml::read(&mut findings) {
        loaded.marked = root.get("skald").is_some();
        yaml::mend(&mut root, &mut findings);
        if let Some((mut topology, notes)) = lower(&root, overrides, &mut findings, sources) {
            let plan = plan::build(&topology, &mut findings);
            if findings.has_errors() {
                loaded.traffic = Some(topology);
            } else {
                let definition = define(&root, &notes, &topology, findings.source());
                for saga in &mut topology.sagas {
                    saga.definition = definition.hash_of_saga(&saga.name);
                }
                loaded.definition = Some(definition);
                loaded.checked = Some((topology, plan));
            }
        }
    } else if !findings.has_errors() {
        findings.push(0..0, finding("E106", "the file is empty").hint("begin with `skald: 1`"));
    }
    loaded.findings = findings.finish();
    loaded
}
