//! Expressions line by line at a terminal.

use super::super::{Problem, talk};
use super::session::{Outcome, Session};
use super::tell;
use crate::config::Exit;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use std::path::Path;

/// Lines that are remembered.
const HISTORY_MAX: usize = 1_000;

/// Reads lines until the end.
pub(super) fn run(session: &mut Session, history: Option<&Path>) -> Result<Exit, Problem> {
    let terminal = |error: ReadlineError| Problem::new(Exit::Failed, format!("the terminal cannot be read: {error}"));
    let config = Config::builder().max_history_size(HISTORY_MAX).map_err(terminal)?.auto_add_history(true).build();
    let mut editor: Editor<(), FileHistory> = Editor::with_config(config).map_err(terminal)?;
    if let Some(path) = history {
        // The first time there is none.
        let _ = editor.load_history(path);
    }
    talk("`:help` lists what there is, Ctrl-D ends\n");
    loop {
        match editor.readline("> ") {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => match session.line(&line) {
                Outcome::Quit => break,
                outcome => {
                    tell(outcome);
                }
            },
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error)),
        }
    }
    if let Some(path) = history
        && let Err(error) = editor.save_history(path)
    {
        talk(&format!("the history is not kept: `{}`: {error}\n", path.display()));
    }
    Ok(Exit::Ok)
}
