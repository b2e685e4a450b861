//! Before the start: the schemas that a topology writes with meet the registry.

use super::{Registry, Result};
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
    if let Some(id) = registry.find(&wanted.subject, &wanted.document)? {
        return Ok(Standing::Registered(id));
    }
    if !wanted.auto_register {
        return Ok(Standing::Missing);
    }
    let reasons = registry.objections(&wanted.subject, &wanted.document)?;
    Ok(if reasons.is_empty() { Standing::New } else { Standing::Incompatible(reasons) })
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

/// Finds or registers a wanted schema.
pub fn settle(registry: &dyn Registry, wanted: &Wanted) -> Result<Settled> {
    if let Some(id) = registry.find(&wanted.subject, &wanted.document)? {
        return Ok(Settled::Found(id));
    }
    if !wanted.auto_register {
        return Ok(Settled::Missing);
    }
    Ok(Settled::Registered(registry.register(&wanted.subject, &wanted.document)?))
}
