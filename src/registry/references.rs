//! The schemas that a schema refers to, and those that these refer to.
//!
//! A version of a subject never changes, so what was fetched once is kept, within a bound, for whoever else refers to it. How
//! many there are, how deep and how large, is bounded too: answers are foreign, and nothing keeps a false registry from schemas
//! that refer to themselves.

use super::protocol::{ReferenceAnswer, SchemaAnswer, shortened};
use super::{Error, Result};
use crate::codec::Reference;
use crate::sync::lock;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex};

/// Schemas that one refers to, in all.
const REFERENCES_MAX: usize = 100;
/// References within each other.
const DEPTH_MAX: usize = 32;
/// Bytes of the schemas that one refers to.
const BYTES_MAX: usize = 8 << 20;
/// Bytes of schemas that are kept for others.
const KEPT_BYTES_MAX: usize = 16 << 20;
/// Schemas that are kept for others.
const KEPT_MAX: usize = 500;

/// What was fetched so far.
#[derive(Default)]
pub(super) struct Parts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    parts: FxHashMap<(String, u32), Arc<Part>>,
    bytes: usize,
}

/// A version of a subject.
struct Part {
    text: Arc<str>,
    references: Vec<ReferenceAnswer>,
}

/// Asks for a version of a subject.
type Ask<'a> = &'a dyn Fn(&str, u32) -> Result<SchemaAnswer>;

impl Parts {
    /// Takes what is referred to, each after its own, and the places of those that were named.
    pub(super) fn gather(&self, named: &[ReferenceAnswer], ask: Ask<'_>) -> Result<(Vec<Reference>, Vec<usize>)> {
        let mut gathering = Gathering { parts: self, ask, references: Vec::new(), open: Vec::new(), bytes: 0 };
        let uses = gathering.all(named)?;
        Ok((gathering.references, uses))
    }

    fn part(&self, reference: &ReferenceAnswer, ask: Ask<'_>) -> Result<Arc<Part>> {
        let place = (reference.subject.clone(), reference.version);
        if let Some(known) = lock(&self.0).parts.get(&place) {
            return Ok(known.clone());
        }
        let answer = match ask(&reference.subject, reference.version) {
            // Of the one that refers to it nothing is said by that.
            Err(Error::Absent(what)) => return Err(Error::Unusable(format!("there is no {what}, which a schema refers to"))),
            answer => answer?,
        };
        let part = Arc::new(Part { text: answer.schema.into(), references: answer.references.unwrap_or_default() });
        let mut kept = lock(&self.0);
        if kept.parts.len() >= KEPT_MAX || kept.bytes + part.text.len() > KEPT_BYTES_MAX {
            // What is still of use is fetched again.
            *kept = Kept::default();
        }
        if kept.parts.insert(place, part.clone()).is_none() {
            kept.bytes += part.text.len();
        }
        Ok(part)
    }
}

struct Gathering<'a> {
    parts: &'a Parts,
    ask: Ask<'a>,
    references: Vec<Reference>,
    /// Those whose own are being taken.
    open: Vec<(String, u32)>,
    bytes: usize,
}

impl Gathering<'_> {
    fn all(&mut self, named: &[ReferenceAnswer]) -> Result<Vec<usize>> {
        named.iter().map(|reference| self.one(reference)).collect()
    }

    fn one(&mut self, wanted: &ReferenceAnswer) -> Result<usize> {
        let is_it = |known: &Reference| {
            *known.name == *wanted.name && *known.subject == *wanted.subject && known.version == Some(wanted.version)
        };
        if let Some(place) = self.references.iter().position(is_it) {
            return Ok(place);
        }
        let place = (wanted.subject.clone(), wanted.version);
        if self.open.contains(&place) {
            return Err(Error::Unusable(format!("`{}` refers to itself", shortened(&wanted.subject))));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Error::Unusable(format!("references are nested deeper than {DEPTH_MAX}")));
        }
        let part = self.parts.part(wanted, self.ask)?;
        self.open.push(place);
        let uses = self.all(&part.references)?;
        self.open.pop();
        self.bytes += part.text.len();
        if self.references.len() >= REFERENCES_MAX {
            return Err(Error::Unusable(format!("a schema refers to more than {REFERENCES_MAX} others")));
        }
        if self.bytes > BYTES_MAX {
            return Err(Error::Unusable(format!("what a schema refers to is larger than {BYTES_MAX} bytes")));
        }
        self.references.push(Reference {
            name: wanted.name.as_str().into(),
            subject: wanted.subject.as_str().into(),
            version: Some(wanted.version),
            text: part.text.clone(),
            uses,
        });
        Ok(self.references.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn named(name: &str, subject: &str, version: u32) -> ReferenceAnswer {
        ReferenceAnswer { name: name.into(), subject: subject.into(), version }
    }

    /// A registry whose subject `N` refers to what the function says.
    fn gather(parts: &Parts, asked: &Cell<u32>, refers: &dyn Fn(u32) -> Vec<ReferenceAnswer>) -> Result<Vec<Reference>> {
        let ask = |subject: &str, version: u32| {
            asked.set(asked.get() + 1);
            let number: u32 = subject.parse().map_err(|_| Error::Absent(subject.to_owned()))?;
            let schema = format!("{subject}@{version}");
            Ok(SchemaAnswer { schema, kind: None, references: Some(refers(number)), id: None, version: None })
        };
        parts.gather(&refers(0), &ask).map(|(references, _)| references)
    }

    #[test]
    fn what_is_referred_to_comes_after_its_own_and_is_fetched_once() {
        let (parts, asked) = (Parts::default(), Cell::new(0));
        let refers = |number| match number {
            0 => vec![named("a", "1", 1), named("b", "2", 1), named("again", "2", 1)],
            1 => vec![named("b", "2", 1), named("old", "2", 7)],
            _ => Vec::new(),
        };
        let told = |references: Vec<Reference>| {
            references.iter().map(|one| format!("{}={} {:?}", one.name, one.text, one.uses)).collect::<Vec<_>>()
        };
        let expected = ["b=2@1 []", "old=2@7 []", "a=1@1 [0, 1]", "again=2@1 []"];
        assert_eq!(gather(&parts, &asked, &refers).map(told), Ok(expected.map(str::to_owned).to_vec()));
        assert_eq!(asked.get(), 3);
        gather(&parts, &asked, &refers).expect("all is known");
        assert_eq!(asked.get(), 3, "a version never changes");
    }

    #[test]
    fn references_without_an_end_are_refused() {
        type Refers<'a> = &'a dyn Fn(u32) -> Vec<ReferenceAnswer>;
        let rows: [(Refers<'_>, &str); 5] = [
            (&|_| vec![named("a", "1", 1)], "`1` refers to itself"),
            (&|number| vec![named("a", &(number % 3 + 1).to_string(), 1)], "`1` refers to itself"),
            (&|number| vec![named("a", &(number + 1).to_string(), 1)], "nested deeper than 32"),
            (
                // Each of a row refers to all of the next: few schemas, but many ways through them.
                &|number| (0..5).map(|one| named("a", &((number / 5 + 1) * 5 + one).to_string(), 1)).collect(),
                "nested deeper than 32",
            ),
            (&|_| vec![named("a", "gone", 1)], "there is no gone, which a schema refers to"),
        ];
        for (refers, expected) in rows {
            let asked = Cell::new(0);
            let error = gather(&Parts::default(), &asked, refers).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(asked.get() <= 200, "{} questions", asked.get());
        }
        let wide = |number| match number {
            0 => (1..=101).map(|one: u32| named("a", &one.to_string(), 1)).collect(),
            _ => Vec::new(),
        };
        let error = gather(&Parts::default(), &Cell::new(0), &wide).expect_err("too many").to_string();
        assert!(error.contains("more than 100 others"), "{error}");
    }
}
