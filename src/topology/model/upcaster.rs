//! Upcasters: old types that are newer ones by the time anything sees them.

use super::{Position, Template, Topology};
use crate::record::Text;

/// What messages of an old type become when they are read.
#[derive(Clone, Debug)]
pub struct Upcaster {
    /// The type as it was written.
    pub from: Text,
    /// The type that it becomes, which may be an old one itself; chains end.
    pub to: Text,
    /// The newer payload, over `data` and `event` of the older message.
    pub data: Template,
    /// Where it stands.
    pub at: Position,
}

impl Topology {
    /// The upcaster of a type, if it is an old one.
    pub fn upcaster_of(&self, kind: &str) -> Option<&Upcaster> {
        let found = self.upcasters.binary_search_by(|upcaster| upcaster.from.as_str().cmp(kind));
        found.ok().map(|at| &self.upcasters[at])
    }

    /// What handlers see of messages of a type: the end of its chain.
    pub fn newest<'k>(&'k self, kind: &'k str) -> &'k str {
        let mut kind = kind;
        while let Some(upcaster) = self.upcaster_of(kind) {
            kind = &upcaster.to;
        }
        kind
    }
}
