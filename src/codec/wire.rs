//! Which schema a value was written with: the id in front of it, or in a header.
//!
//! Of the two forms that schema registries know, `00` and four bytes of an id before the value is read and written; `01` and the
//! sixteen bytes of a GUID in a header is read.

use super::{Document, proto};
use std::sync::Arc;
use uuid::Uuid;

/// Header with the GUID of the value's schema.
pub const VALUE_SCHEMA_HEADER: &str = "__value_schema_id";
/// Bytes in front of a value that is framed.
const FRAME_BYTES: usize = 5;

/// What a registry knows a schema by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaId {
    /// Number of this registry's own.
    Number(u32),
    /// The same wherever the schema is.
    Guid(Uuid),
}

impl std::fmt::Display for SchemaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Guid(guid) => write!(f, "{guid}"),
        }
    }
}

/// What is known of a schema at this moment.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// It is at hand.
    Found(Arc<Document>),
    /// Nothing yet: the registry is being asked, for as long as it takes.
    Pending,
    /// The registry says that there is none.
    Absent,
}

/// Schemas by their ids. An answer comes at once, whatever it is: nothing waits for a registry here.
pub trait Schemas: Send + Sync + std::fmt::Debug {
    /// What is known of a schema.
    fn find(&self, id: SchemaId) -> Lookup;
}

/// A value and what stands before it.
#[derive(Clone, Copy)]
pub(super) struct Framed<'a> {
    /// Which schema it has.
    pub(super) id: SchemaId,
    /// What follows the id in the header; `None`: the id was before the value, and what follows it is there too.
    more: Option<&'a [u8]>,
    value: &'a [u8],
}

impl<'a> Framed<'a> {
    /// The bytes of a value whose schema is one thing.
    pub(super) fn value(&self) -> Result<&'a [u8], String> {
        match self.more {
            None | Some([]) => Ok(self.value),
            Some(more) => Err(format!("{} bytes follow the id in header `{VALUE_SCHEMA_HEADER}`", more.len())),
        }
    }

    /// The bytes that say which message of its schema it is, and the message: as they stand in front of it, or in the header.
    pub(super) fn message(&self) -> Result<(Vec<usize>, &'a [u8]), String> {
        let Some(more) = self.more else { return proto::index(self.value) };
        match proto::index(more)? {
            (places, []) => Ok((places, self.value)),
            (_, left) => Err(format!("{} bytes are left over in header `{VALUE_SCHEMA_HEADER}`", left.len())),
        }
    }
}

/// Does a value, or its header, begin as one that is framed?
pub(super) fn looks_framed(value: Option<&[u8]>, header: Option<&[u8]>) -> bool {
    value.is_some_and(|value| header.is_some() || (value.len() >= FRAME_BYTES && value[0] == 0))
}

/// The id and what follows it, from the header if there is one, else from the front.
pub(super) fn unframed<'a>(value: &'a [u8], header: Option<&'a [u8]>) -> Result<Framed<'a>, String> {
    let (id, more) = match header {
        None => return framed(value),
        Some([1, rest @ ..]) => {
            let (guid, more) =
                rest.split_at_checked(16).ok_or_else(|| format!("header `{VALUE_SCHEMA_HEADER}` has no GUID"))?;
            (SchemaId::Guid(Uuid::from_slice(guid).expect("so many were taken")), more)
        }
        Some([0, rest @ ..]) => match rest.split_at_checked(4) {
            Some((number, more)) => {
                (SchemaId::Number(u32::from_be_bytes(number.try_into().expect("so many were taken"))), more)
            }
            None => return Err(format!("header `{VALUE_SCHEMA_HEADER}` has no id of four bytes")),
        },
        Some(_) => return Err(format!("header `{VALUE_SCHEMA_HEADER}` begins with neither 0 nor 1")),
    };
    Ok(Framed { id, more: Some(more), value })
}

fn framed(value: &[u8]) -> Result<Framed<'_>, String> {
    match value {
        [0, a, b, c, d, value @ ..] => {
            Ok(Framed { id: SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), more: None, value })
        }
        [] => Err("the value is empty".into()),
        value if value.len() < FRAME_BYTES => Err(format!("{} bytes are too few for the id of a schema", value.len())),
        [first, ..] => Err(format!("the value begins with {first:#04x}, a schema's id with 0x00")),
    }
}

/// Appends what stands in front of a value of a schema.
pub(super) fn frame(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}
