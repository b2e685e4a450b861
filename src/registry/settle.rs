//! Before the start: the schemas that a topology writes with meet the registry.

use super::{Error, Registry, Result};
use crate::codec::Document;

/// A schema that is written with.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The subject that it is a version of.
    pub subject: String,
    /// The schema.
    pub document: Document,
    /// Is it registered where it is not there? Else somebody else does that, before.
    pub auto_register: bool,
}

/// How a wanted schema stands to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is a version of its subject.
    Registered(u32),
    /// It would become one.
    New,
    /// It would be refused: what the registry says.
    Incompatible(Vec<String>),
    /// It is not there, and is not registered from here.
    Missing,
}

/// How a wanted schema stands, nothing being changed.
pub fn standing(registry: &dyn Registry, wanted: &Wanted) -> Result<Standing> {
    let mut document = wanted.document.clone();
    for place in unplaced(&document) {
        let (subject, part) = part(&document, place);
        match registry.find(&subject, &part)? {
            Some(found) => document.references[place].version = Some(found.version),
            None if !wanted.auto_register => return Ok(Standing::Missing),
            // What refers to a schema that is not there cannot be asked about.
            None => return objected(registry.objections(&subject, &part)?),
        }
    }
    if let Some(found) = registry.find(&wanted.subject, &document)? {
        return Ok(Standing::Registered(found.id));
    }
    if !wanted.auto_register {
        return Ok(Standing::Missing);
    }
    objected(registry.objections(&wanted.subject, &document)?)
}

fn objected(reasons: Vec<String>) -> Result<Standing> {
    Ok(if reasons.is_empty() { Standing::New } else { Standing::Incompatible(reasons) })
}

/// The places of what a schema refers to and whose version is to be found, each after its own.
fn unplaced(document: &Document) -> Vec<usize> {
    (0..document.references.len()).filter(|place| document.references[*place].version.is_none()).collect()
}

fn part(document: &Document, place: usize) -> (String, Document) {
    (document.references[place].subject.to_string(), document.part(place).expect("the place is one of its own"))
}

/// What became of a wanted schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It was there.
    Found(u32),
    /// It is there now.
    Registered(u32),
    /// It is not there, and is not registered from here.
    Missing,
}

/// Finds or registers a wanted schema, and before it what it refers to.
pub fn settle(registry: &dyn Registry, wanted: &Wanted) -> Result<Settled> {
    let mut document = wanted.document.clone();
    for place in unplaced(&document) {
        let (subject, part) = part(&document, place);
        if registry.find(&subject, &part)?.is_none() {
            if !wanted.auto_register {
                return Ok(Settled::Missing);
            }
            registry.register(&subject, &part)?;
        }
        let found = registry.find(&subject, &part)?;
        let found = found.ok_or_else(|| Error::Unusable(format!("`{subject}` does not have what was registered")))?;
        document.references[place].version = Some(found.version);
    }
    if let Some(found) = registry.find(&wanted.subject, &document)? {
        return Ok(Settled::Found(found.id));
    }
    if !wanted.auto_register {
        return Ok(Settled::Missing);
    }
    Ok(Settled::Registered(registry.register(&wanted.subject, &document)?))
}
