//! Topologies within Markdown: fenced blocks of YAML.
//!
//! A block is read where it stands: what is around it becomes blanks of the same length, so that every place found in it is a
//! place of the page.

use std::ops::Range;

/// Blocks looked at in one page.
pub const BLOCKS_MAX: usize = 1_000;

/// The fenced blocks of a page that are topologies, as ranges of its bytes: language `yaml` or `yml`, with a line that begins
/// with `skald:`. Blocks marked `bad` or `ignore` behind the language are passed over.
pub fn blocks(page: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<Fence> = None;
    let mut at = 0;
    for line in page.split_inclusive('\n') {
        let (start, end) = (at, at + line.len());
        at = end;
        let text = line.trim_end();
        match &mut open {
            None => open = Fence::opened(text, end),
            Some(fence) if fence.closes(text) => {
                if fence.topology {
                    found.push(fence.start..start);
                }
                open = None;
            }
            Some(fence) => fence.topology |= fence.yaml && text.trim_start().starts_with("skald:"),
        }
    }
    // A fence that is not closed reaches to the end of the page.
    found.extend(open.filter(|fence| fence.topology).map(|fence| fence.start..page.len()));
    found.truncate(BLOCKS_MAX);
    found
}

/// The page with blanks in place of everything but the block; as long as the page up to the block's end.
pub fn alone(page: &str, block: &Range<usize>) -> String {
    let before = page.get(..block.start).unwrap_or_default();
    let blank = before.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    let mut text: String = blank.collect();
    text.push_str(page.get(block.clone()).unwrap_or_default());
    text
}

struct Fence {
    mark: char,
    len: usize,
    yaml: bool,
    topology: bool,
    /// Where the block begins.
    start: usize,
}

impl Fence {
    fn opened(line: &str, start: usize) -> Option<Self> {
        let (mark, len, info) = fence(line)?;
        if mark == '`' && info.contains('`') {
            return None;
        }
        let mut words = info.split([' ', ',', '{', '}']).filter(|word| !word.is_empty());
        let yaml = words.next().is_some_and(|language| matches!(language, "yaml" | "yml"));
        let passed_over = words.any(|word| matches!(word, "bad" | "ignore"));
        Some(Self { mark, len, yaml: yaml && !passed_over, topology: false, start })
    }

    fn closes(&self, line: &str) -> bool {
        fence(line).is_some_and(|(mark, len, info)| mark == self.mark && len >= self.len && info.is_empty())
    }
}

/// Mark, length and the rest of a line that is a fence.
fn fence(line: &str) -> Option<(char, usize, &str)> {
    let text = line.trim_start();
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let len = text.len() - text.trim_start_matches(mark).len();
    (len >= 3).then(|| (mark, len, text[len..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{NoSources, load};

    const PAGE: &str = "# Päge\n\n```yaml\nskald: 1\ntopology: Shop\n```\n\n```yaml\nno: topology\n```\n```yaml bad\nskald: 1\n```\n\
                        - in a list\n\n  ~~~yml\n  skald: 1\n  topology: shop\n  colour: red\n  ~~~\n````yaml\nskald: 1\n```\n";

    #[test]
    fn blocks_that_are_topologies_are_found_and_their_places_are_those_of_the_page() {
        let found: Vec<(u32, u32, &str)> = blocks(PAGE)
            .iter()
            .flat_map(|block| load("page.md", alone(PAGE, block).as_bytes(), &[], &NoSources).findings)
            .inspect(|found| assert!(PAGE.get(found.range.clone()).is_some()))
            .map(|found| (found.line, found.column, found.code))
            .collect();
        // The last fence is closed by nothing shorter than itself, so it reaches to the end.
        assert_eq!(found[..2], [(5, 11, "E114"), (19, 3, "E105")], "{found:?}");
        assert_eq!(blocks(PAGE).len(), 3);
        assert!(PAGE[blocks(PAGE)[2].clone()].starts_with("skald: 1\n```"));
    }

    #[test]
    fn a_page_without_topologies_has_no_blocks() {
        for page in [
            "",
            "```",
            "text `yaml` ```yaml",
            "```sh\nskald: 1\n```",
            "```yaml ignore\nskald: 1\n```",
            "``` yaml `x`\nskald: 1\n",
        ] {
            assert_eq!(blocks(page), Vec::<Range<usize>>::new(), "{page}");
        }
    }
}
