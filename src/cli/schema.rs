//! `skald schema` and `skald completions`: what editors and shells know of the language and of the flags.

use super::{Problem, out};
use crate::config::{self, Completions, Exit, Schema, SchemaName};
use crate::scenario;
use crate::topology::language;

/// Writes a schema.
pub(super) fn schema(settings: &Schema) -> Result<Exit, Problem> {
    match settings.name {
        SchemaName::Topology => out(&format!("{:#}\n", language::schema())),
        SchemaName::Scenario => out(&format!("{:#}\n", scenario::schema())),
    }
    Ok(Exit::Ok)
}

/// Writes the completions of a shell.
pub(super) fn completions(settings: &Completions) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    config::completions(settings.shell, &mut script);
    out(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
