//! Holds the direction of imports between the rooms of `src/`, and what a quiet room may touch.
//!
//! The table of `ARCHITECTURE.md` is the source: whoever adds a room adds its line there first.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

struct Room {
    level: u32,
    quiet: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rooms as the table names them: lines `| 3 | `broker` | yes | … |`.
fn table(page: &str) -> BTreeMap<String, Room> {
    let mut rooms = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, level, name, quiet, ..] = cells[..] else { continue };
        let (Ok(level), Some(name)) = (level.parse(), name.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'))) else {
            continue;
        };
        let twice = rooms.insert(name.to_owned(), Room { level, quiet: quiet == "yes" });
        assert!(twice.is_none(), "room `{name}` stands twice in the table");
    }
    rooms
}

/// All sources under `src/`, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort();
    found
}

/// The code of a file without comments and without what is compiled for tests only.
fn product_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("//") {
            continue;
        }
        if trimmed.starts_with("#[cfg(test)]") && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod ")) {
            if lines.next().is_some_and(|next| next.trim_end().ends_with('{')) {
                break; // By our custom the module of unit tests ends its file.
            }
            continue;
        }
        code.push_str(line.split(" // ").next().unwrap_or(line));
        code.push('\n');
    }
    code
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// Names that stand at the top of the crate and are used by this code: `crate::name…`, `crate::{name…, name…}`, and `super::`
/// chains that reach the top from a file `depth` modules below it.
fn rooms_used(code: &str, depth: usize) -> Vec<String> {
    let mut used = Vec::new();
    let top = ["crate::".to_owned(), "super::".repeat(depth)];
    for prefix in &top {
        for (at, _) in code.match_indices(prefix.as_str()) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                None => used.push(name_at(rest)),
                Some(group) => {
                    let mut nested = 0;
                    let mut start = 0;
                    for (end, c) in group.char_indices() {
                        match c {
                            '{' => nested += 1,
                            '}' if nested > 0 => nested -= 1,
                            ',' | '}' if nested == 0 => {
                                used.push(name_at(group[start..end].trim_start()));
                                start = end + 1;
                                if c == '}' {
                                    break;
                                }
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    used.retain(|name| !name.is_empty() && name != "super" && name != "self");
    used
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn place(path: &Path) -> (String, usize) {
    let inside: Vec<String> = path
        .strip_prefix(root().join("src"))
        .unwrap()
        .components()
        .map(|part| part.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned())
        .collect();
    let depth = inside.len() - usize::from(inside.last().is_some_and(|name| name == "mod"));
    (inside[0].clone(), depth)
}

#[test]
fn a_room_uses_rooms_of_lower_levels_only() {
    let rooms = table(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (room, depth) = place(&path);
        if room == "lib" || room == "main" || is_test_file(&path) {
            continue;
        }
        let Some(own) = rooms.get(&room) else {
            wrong.push(format!("{}: room `{room}` has no line in ARCHITECTURE.md", path.display()));
            continue;
        };
        for used in rooms_used(&product_code(&text), depth) {
            match rooms.get(&used) {
                _ if used == room => {}
                Some(other) if other.level < own.level => {}
                Some(other) => wrong.push(format!(
                    "{}: `{room}` (level {}) uses `{used}` (level {})",
                    path.display(),
                    own.level,
                    other.level
                )),
                None => wrong.push(format!("{}: `{used}` is no room of ARCHITECTURE.md", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_quiet_room_touches_no_file_net_or_clock() {
    const LOUD: [&str; 10] = [
        "std::fs",
        "std::net",
        "std::process",
        "std::time::Instant",
        "std::time::SystemTime",
        "tokio::",
        "rdkafka::",
        "fjall::",
        "async fn",
        ".await",
    ];
    let rooms = table(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let (room, _) = place(&path);
        if is_test_file(&path) || !rooms.get(&room).is_some_and(|room| room.quiet) {
            continue;
        }
        let code = product_code(&text);
        // A longer name that begins so is another word.
        let ends = |at: usize| !code[at..].starts_with(|next: char| next.is_alphanumeric() || next == '_');
        let says = |word: &str| code.match_indices(word).any(|(at, _)| word.ends_with(':') || ends(at + word.len()));
        wrong.extend(LOUD.iter().filter(|word| says(word)).map(|word| format!("{}: `{word}`", path.display())));
    }
    assert!(wrong.is_empty(), "quiet rooms have no I/O, no async and no clock:\n{}", wrong.join("\n"));
}

#[test]
fn every_source_begins_with_its_page() {
    let bare: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| !is_test_file(path) && !text.trim_start().starts_with("//!"))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert!(bare.is_empty(), "files without `//!` at their top:\n{}", bare.join("\n"));
}

#[test]
fn every_room_of_the_crate_is_in_the_table() {
    let rooms = table(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<String> = lib
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub mod ").map(|rest| rest.trim_end_matches(';').to_owned()))
        .collect();
    assert!(!declared.is_empty());
    for room in declared {
        assert!(rooms.contains_key(&room), "`{room}` has no line in ARCHITECTURE.md");
    }
}

#[test]
fn the_readers_of_this_test_see_what_they_should() {
    let page = "| Level | Room | Quiet | x |\n|---|---|---|---|\n| 0 | `record` | yes | … |\n| 2 | `expr` | | … |";
    let rooms = table(page);
    assert!(rooms["record"].quiet && !rooms["expr"].quiet && rooms["expr"].level == 2 && rooms.len() == 2);

    for (code, depth, expected) in [
        ("use crate::record::Text;", 1, vec!["record"]),
        ("use crate::{clock::{Clock, Wall}, broker::Broker};", 1, vec!["clock", "broker"]),
        ("fn f(x: crate::state::Error) {}", 2, vec!["state"]),
        ("use super::super::runtime::Task;", 2, vec!["runtime"]),
        ("use super::batch::Batch;", 2, vec![]),
        ("use mycrate::runtime::Task;", 1, vec![]),
    ] {
        assert_eq!(rooms_used(code, depth), expected, "{code}");
    }
    assert_eq!(
        product_code("//! crate::cli\nuse a; // crate::cli\n#[cfg(test)]\nmod tests {\nuse crate::cli;\n}").trim(),
        "use a;"
    );
    assert_eq!(product_code("#[cfg(test)]\nmod tests;\nuse b;").trim(), "use b;");
}
