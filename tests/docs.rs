//! Holds the pages to what they say: topologies in them have no findings, commands in them are taken, and run where that is
//! quick; links lead somewhere, and no page is without one to it.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

#[path = "shared/folder.rs"]
mod folder;

use folder::Folder;
use skald::config;
use skald::scenario;
use skald::topology::{NoSources, load, render};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benches/README.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    walk(&root().join("docs"), &mut found);
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The blocks of a page in a language, each with the line that it begins at.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, bool)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(tag)) => open = Some((number + 2, String::new(), tag.trim() == language)),
            (Some(_), Some(_)) => {
                let (at, text, wanted) = open.take().expect("just matched");
                if wanted {
                    found.push((at, text));
                }
            }
            (Some((_, text, _)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[test]
fn every_topology_in_the_pages_has_no_findings() {
    let mut checked = 0;
    for (path, page) in pages() {
        for (line, text) in blocks(&page, "yaml").into_iter().filter(|(_, text)| !scenario::is_marked(text.as_bytes())) {
            let loaded = load("example", text.as_bytes(), &[], &NoSources);
            let place = format!("{}:{line}", path.display());
            assert!(loaded.findings.is_empty(), "{place}\n{}", render::text(&loaded.findings, |_| Some(&text), false));
            assert!(loaded.checked.is_some(), "{place}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked} topologies");
}

/// As a shell takes a line apart, of which quotes are all that the pages use.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut open, mut quote) = (Vec::new(), false, None);
    for character in line.chars() {
        match (character, quote) {
            (_, Some(end)) if character == end => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            (' ', None) => {
                open = false;
                continue;
            }
            _ => {}
        }
        if !open {
            words.push(String::new());
            open = true;
        }
        let is_quote = matches!(character, '"' | '\'') && quote.is_none_or(|end| end == character);
        if !is_quote {
            words.last_mut().expect("one is open").push(character);
        }
    }
    words
}

#[test]
fn every_scenario_in_the_pages_passes() {
    /// The topology of a page is the block before.
    struct Before<'a>(&'a str);
    impl scenario::Topologies for Before<'_> {
        fn load(&self, path: &str, params: &[(String, String)]) -> std::io::Result<skald::topology::Loaded> {
            Ok(load(path, self.0.as_bytes(), params, &NoSources))
        }
    }
    let mut run = 0;
    for (path, page) in pages() {
        let mut topology = String::new();
        for (line, text) in blocks(&page, "yaml") {
            if !scenario::is_marked(text.as_bytes()) {
                topology = text;
                continue;
            }
            let place = format!("{}:{line}", path.display());
            let reading = scenario::read("example.test.yaml", text.as_bytes(), &Before(&topology));
            assert!(reading.findings.is_empty(), "{place}\n{}", render::text(&reading.findings, |_| Some(&text), false));
            let suite = reading.suite.unwrap();
            for case in 0..suite.len() {
                if let scenario::Verdict::Failed(failures) = scenario::run(&suite, case) {
                    panic!("{place}: {}\n{}", suite.name(case), scenario::report::failure(&suite, &failures[0], false));
                }
                run += 1;
            }
        }
    }
    assert!(run >= 9, "{run} cases");
}

#[test]
fn every_command_in_the_pages_is_taken() {
    let mut checked = 0;
    for (path, page) in pages() {
        for (line, text) in blocks(&page, "sh") {
            for command in text.lines().filter(|command| !command.trim().is_empty()) {
                let place = format!("{}:{line}: {command}", path.display());
                // `NAME=value` in front of a command sets a variable for it.
                let is_variable = |word: &&str| {
                    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|c| c.is_ascii_uppercase() || c == b'_'))
                };
                let words = words(command);
                let words: Vec<&str> = words.iter().map(String::as_str).skip_while(is_variable).collect();
                let words = match words.as_slice() {
                    ["cargo", "run", "--release", "--", rest @ ..] => [&["skald"], rest].concat(),
                    ["cargo", "build" | "test" | "clippy" | "bench", ..] => continue,
                    ["skald", ..] => words,
                    _ => panic!("{place}: neither `skald` nor `cargo`"),
                };
                if let Err(error) = config::read(&words) {
                    panic!("{place}: {error}");
                }
                for word in words.iter().filter(|word| word.starts_with("topologies/")) {
                    assert!(root().join(word).exists(), "{place}: no `{word}`");
                }
                checked += 1;
            }
        }
    }
    assert!(checked >= 40, "{checked} commands");
}

/// What changes nothing but the folder it runs in, needs no broker, and ends by itself. A file that is not there is one that the
/// reader is to have.
fn can_be_run(words: &[String], folder: &Path) -> bool {
    const QUICK: [&str; 9] = ["check", "completions", "eval", "explain", "graph", "new", "plan", "schema", "test"];
    const FILES: [&str; 3] = [".yaml", ".json", ".md"];
    words.first().is_some_and(|word| word == "skald")
        && words.get(1).is_some_and(|word| QUICK.contains(&word.as_str()))
        && !words.iter().any(|word| matches!(word.as_str(), "-b" | "--watch" | "--update" | "--fix"))
        && !words.iter().any(|word| FILES.iter().any(|end| word.ends_with(end)) && !folder.join(word).exists())
}

#[test]
fn commands_that_need_no_broker_do_what_the_pages_say() {
    let mut run = 0;
    for (path, page) in pages() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["docs", "schemas", "topologies"] {
            std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).unwrap();
        }
        for (line, text) in blocks(&page, "sh") {
            for command in text.lines() {
                let words = words(command);
                if !can_be_run(&words, folder.path()) {
                    continue;
                }
                let output = std::process::Command::new(env!("CARGO_BIN_EXE_skald"))
                    .args(&words[1..])
                    .current_dir(folder.path())
                    .stdin(std::process::Stdio::null())
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}:{line}: {command}: {}\n{said}", path.display(), output.status);
                run += 1;
            }
        }
    }
    assert!(run >= 15, "{run} commands");
}

/// The places within the book and beside it that a page names, each with the heading behind its `#`.
fn links(path: &Path, page: &str) -> Vec<(PathBuf, Option<String>)> {
    let targets = page.match_indices("](").map(|(at, _)| page[at + 2..].split(')').next().unwrap_or_default());
    targets
        .filter(|target| !target.starts_with("http"))
        .map(|target| {
            let (file, heading) =
                target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading.to_owned())));
            let file = if file.is_empty() { path.to_owned() } else { path.parent().unwrap().join(file) };
            (file, heading)
        })
        .collect()
}

/// What a heading is called in links: its letters and digits in small, blanks as hyphens, without anything else.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading.to_lowercase().replace(' ', "-");
            kept.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut checked = 0;
    for (path, page) in pages() {
        for (file, heading) in links(&path, &page) {
            let place = format!("{}: {} {heading:?}", path.display(), file.display());
            assert!(file.exists(), "{place}");
            // A book has no files beside it.
            let within = |file: &Path| file.canonicalize().unwrap().starts_with(root().join("docs"));
            assert!(!within(&path) || within(&file), "{place} leads out of the book: name the file instead");
            if let Some(heading) = heading {
                let there = anchors(&std::fs::read_to_string(&file).unwrap());
                assert!(there.contains(&heading), "{place}: it has {there:?}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 40, "{checked} links");
}

/// Pages of the book: all under `docs`, without its table of contents.
fn book() -> BTreeSet<PathBuf> {
    let docs = root().join("docs");
    let all = pages().into_iter().map(|(path, _)| path);
    all.filter(|path| path.starts_with(&docs) && !path.ends_with("SUMMARY.md"))
        .map(|path| path.canonicalize().unwrap())
        .collect()
}

#[test]
fn the_table_of_contents_has_every_page_once() {
    let summary = root().join("docs/SUMMARY.md");
    let listed: Vec<PathBuf> = links(&summary, &std::fs::read_to_string(&summary).unwrap())
        .into_iter()
        .map(|(path, _)| path.canonicalize().unwrap())
        .collect();
    for page in book() {
        let times = listed.iter().filter(|path| **path == page).count();
        assert_eq!(times, 1, "{} stands {times} times in docs/SUMMARY.md", page.display());
    }
    assert_eq!(listed.len(), book().len(), "docs/SUMMARY.md lists a page that is not under docs");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut next = vec![root().join("README.md").canonicalize().unwrap()];
    while let Some(path) = next.pop() {
        if path.extension().is_none_or(|extension| extension != "md")
            || path.ends_with("SUMMARY.md")
            || !reached.insert(path.clone())
        {
            continue;
        }
        let page = std::fs::read_to_string(&path).unwrap();
        next.extend(links(&path, &page).into_iter().filter_map(|(file, _)| file.canonicalize().ok()));
    }
    let lost: Vec<PathBuf> = book().into_iter().filter(|page| !reached.contains(page)).collect();
    assert!(lost.is_empty(), "no page leads to {lost:?}");
}

/// The text of all source files; where a literal goes on in the next line, it does so here too.
fn source() -> String {
    fn walk(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, text);
            } else {
                let file = std::fs::read_to_string(path).unwrap();
                for piece in file.split("\\\n") {
                    text.push_str(piece.trim_start());
                }
            }
        }
    }
    let mut text = String::new();
    walk(&root().join("src"), &mut text);
    text
}

#[test]
fn every_message_of_the_troubleshooting_is_said_somewhere() {
    let (page, source) = (std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap(), source());
    let (_, tables) = page.split_once("## By message").unwrap();
    let (tables, _) = tables.split_once("## It runs").unwrap();
    let mut checked = 0;
    for line in tables.lines().filter(|line| line.starts_with("| `")) {
        // Two marks stand around what has single ones within.
        let marks = if line.starts_with("| ``") { "``" } else { "`" };
        let message = line[2 + marks.len()..].split(marks).next().unwrap_or_default();
        for piece in message.split('…').map(str::trim).filter(|piece| piece.len() > 3) {
            assert!(source.contains(piece), "{line}: nobody says `{piece}`");
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked} pieces");
}

#[test]
fn the_page_of_functions_is_what_the_table_says() {
    let path = root().join("docs/reference/functions.md");
    let page = skald::expr::reference_page().unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "run `UPDATE=1 cargo test --test docs functions`");
}

#[test]
fn the_samples_have_no_findings() {
    let mut checked = 0;
    for folder in std::fs::read_dir(root().join("topologies")).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            if file.to_string_lossy().ends_with(".test.yaml") {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let loaded = load(&file.display().to_string(), text.as_bytes(), &[], &Folder(folder.clone()));
            assert!(loaded.findings.is_empty(), "{}", render::text(&loaded.findings, |_| Some(&text), false));
            checked += 1;
        }
    }
    assert_eq!(checked, 12);
}

#[test]
fn every_schema_is_used_by_a_sample() {
    let texts: String = std::fs::read_dir(root().join("topologies"))
        .unwrap()
        .flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    for folder in std::fs::read_dir(root().join("schemas")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(root().join("schemas")).unwrap().display().to_string();
            assert!(texts.contains(&format!("schemas/{name}")), "`{name}` is used by nobody");
        }
    }
}
