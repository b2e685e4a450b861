//! The reference page of flags, made from their definition.

use super::{Exit, Flags};
use clap::CommandFactory;
use std::fmt::Write as _;

/// The page `docs/reference/flags.md`; a test keeps the file equal to it.
pub fn flags_page() -> String {
    let mut root = Flags::command();
    root.build();
    let mut page =
        String::from("# Flags\n\nMade from the definition of the flags; `UPDATE=1 cargo test --lib config` writes it anew.\n");
    section(&mut page, "All commands", &root, true);
    commands(&mut page, "skald", &root);
    page.push_str("\n## Exit codes\n\n| code | means |\n|---|---|\n");
    for (exit, meaning) in Exit::ALL {
        let _ = writeln!(page, "| {} | {meaning} |", exit.code());
    }
    page
}

fn commands(page: &mut String, parent: &str, command: &clap::Command) {
    for command in command.get_subcommands().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        let name = format!("{parent} {}", command.get_name());
        if command.has_subcommands() {
            commands(page, &name, command);
            continue;
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        section(page, &format!("`{name}`: {}", lower_first(&about)), command, false);
    }
}

fn section(page: &mut String, title: &str, command: &clap::Command, globals: bool) {
    let _ = write!(page, "\n## {title}\n\n| flag | environment | default | meaning |\n|---|---|---|---|\n");
    for arg in command.get_arguments().filter(|arg| arg.is_global_set() == globals) {
        if matches!(arg.get_id().as_str(), "help" | "version") {
            continue;
        }
        let values = arg.get_value_names().unwrap_or_default().join(" ");
        let values = if arg.get_action().takes_values() { values } else { String::new() };
        let flag = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("`-{short}`, `--{long}`"),
            (None, Some(long)) => format!("`--{long}`"),
            _ => String::new(),
        };
        let flag = if values.is_empty() { flag } else { format!("{flag} `{values}`").trim().to_owned() };
        let environment = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<String> = arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        let default = if arg.get_action().takes_values() && !defaults.is_empty() {
            format!("`{}`", defaults.join(","))
        } else {
            String::new()
        };
        let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let choices: Vec<String> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
        if arg.get_action().takes_values() && !choices.is_empty() {
            meaning = format!("{meaning} ({})", choices.join(", "));
        }
        let _ = writeln!(page, "| {flag} | {environment} | {default} | {} |", meaning.replace('|', "\\|"));
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
