//! A page for every diagnostic: what it means and why, an example that provokes it, the same mended, and how one mends it.
//!
//! The examples are whole files of `tests/topology/codes`; a test holds each bad one to give its code, and each good one to
//! give nothing. Examples that need more than their file (a scenario file has a topology beside it) stand with what is said of
//! them, and whoever reads such files holds them to it. The reference page `docs/reference/diagnostics.md` and `skald explain` are made from here.

mod contracts;
mod expressions;
mod file;
mod names;
mod nodes;
mod online;
mod reference;
mod sagas;
mod scenarios;
mod topics;

pub use reference::{page_text, reference_page};

use super::{Diagnostic, NoSources, Severity, across, codes, load, render};
use std::borrow::Cow;

/// What there is to know about one code.
#[derive(Debug)]
pub struct Page {
    /// The code.
    pub code: &'static str,
    /// What it means, and why it is said.
    pub why: &'static str,
    /// What to do about it.
    pub mend: &'static str,
    bad: &'static [u8],
    good: &'static str,
    /// What is said of the bad example, where that cannot be found out from the file alone.
    said: Option<&'static str>,
}

/// A page whose examples are the files of its code.
macro_rules! entry {
    ($code:literal, $why:literal, $mend:literal $(,)?) => {
        crate::topology::explain::Page {
            code: $code,
            why: $why,
            mend: $mend,
            bad: include_bytes!(concat!("../../../tests/topology/codes/", $code, ".bad.yaml")),
            good: include_str!(concat!("../../../tests/topology/codes/", $code, ".good.yaml")),
            said: None,
        }
    };
}
use entry;

/// A page whose examples have something beside them: they are in a folder of their own, with what is said of the bad one.
macro_rules! told {
    ($folder:literal, $code:literal, $why:literal, $mend:literal $(,)?) => {
        crate::topology::explain::Page {
            code: $code,
            why: $why,
            mend: $mend,
            bad: include_bytes!(concat!("../../../tests/", $folder, "/", $code, ".bad.yaml")),
            good: include_str!(concat!("../../../tests/", $folder, "/", $code, ".good.yaml")),
            said: Some(include_str!(concat!("../../../tests/", $folder, "/", $code, ".expected"))),
        }
    };
}
use told;

/// The page of a code; `None`: this build never says it.
pub fn page(code: &str) -> Option<&'static Page> {
    pages().find(|page| page.code == code)
}

/// All pages, in the order of [`codes::all`].
pub fn pages() -> impl Iterator<Item = &'static Page> {
    let known = || {
        let lists = [
            file::PAGES,
            names::PAGES,
            expressions::PAGES,
            contracts::PAGES,
            topics::PAGES,
            nodes::PAGES,
            sagas::PAGES,
            online::PAGES,
            scenarios::PAGES,
        ];
        lists.into_iter().flatten()
    };
    codes::all().filter_map(move |(code, _)| known().find(|page| page.code == code))
}

impl Page {
    /// What the code is about, in a few words.
    pub fn title(&self) -> &'static str {
        codes::title(self.code).unwrap_or_default()
    }

    /// Is the file run all the same?
    pub fn severity(&self) -> Severity {
        if self.code.starts_with('E') { Severity::Error } else { Severity::Warning }
    }

    /// A file that gives the code. What is not UTF-8 in it is replaced.
    pub fn bad(&self) -> Cow<'static, str> {
        String::from_utf8_lossy(self.bad)
    }

    /// The same file without the mistake.
    pub fn good(&self) -> &'static str {
        self.good
    }

    /// What is said of the bad example, one finding per line.
    pub fn said_of_bad(&self) -> String {
        self.said.map_or_else(|| render::lines(&findings("bad.yaml", self.bad)), str::to_owned)
    }

    /// The same as a terminal shows it.
    fn shown_of_bad(&self, colour: bool) -> String {
        let bad = self.bad();
        self.said.map_or_else(|| render::text(&findings("bad.yaml", self.bad), |_| Some(&bad), colour), str::to_owned)
    }
}

/// All findings of an example. A first line `# skald check --set params.x=1` gives the param.
fn findings(name: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let set = std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix("# skald check --set params."));
    let overrides: Vec<(String, String)> =
        set.and_then(|set| set.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
    let loaded = [load(name, bytes, &overrides, &NoSources)];
    let together = across(&loaded);
    let [loaded] = loaded;
    loaded.findings.into_iter().chain(together).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_code_has_a_page_whose_examples_are_what_they_say() {
        for (code, _) in codes::all() {
            let page = page(code).unwrap_or_else(|| {
                panic!("`{code}` has no page: write one in `topology::explain`, its examples in `tests/topology/codes`")
            });
            for text in [page.why, page.mend] {
                assert!(text.ends_with('.') && text.len() > 10, "`{code}`: {text}");
            }
            let said = page.said_of_bad();
            let told = |line: &str| line.starts_with("  ") || line.contains(&format!(": {code}: "));
            assert!(!said.is_empty() && said.lines().all(told), "the bad example of `{code}` gives\n{said}");
            if page.said.is_none() {
                let good = findings("good.yaml", page.good.as_bytes());
                assert!(good.is_empty(), "the good example of `{code}`: {}", render::text(&good, |_| Some(page.good()), false));
            }
        }
    }

    #[test]
    fn every_example_and_every_page_belongs_to_a_code() {
        for folder in ["tests/topology/codes", "tests/topology/online", "tests/scenario/codes"] {
            for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                let code = name.split('.').next().unwrap_or_default();
                assert!(codes::title(code).is_some() || name == "shop.yaml", "{name}");
            }
        }
        let lists = [
            file::PAGES,
            names::PAGES,
            expressions::PAGES,
            contracts::PAGES,
            topics::PAGES,
            nodes::PAGES,
            sagas::PAGES,
            online::PAGES,
            scenarios::PAGES,
        ];
        for page in lists.into_iter().flatten() {
            assert!(codes::title(page.code).is_some(), "{}", page.code);
        }
    }

    #[test]
    fn the_reference_is_what_the_pages_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/diagnostics.md");
        let made = reference_page();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "run `UPDATE=1 cargo test --lib topology::explain`");
    }
}
