//! Which schema a value was written with: the id in front of it, or in a header.
//!
//! Of the two forms that schema registries know, `00` and four bytes of an id before the value is read and written; `01` and the
//! sixteen bytes of a GUID in a header is read.

use super::Document;
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

/// The id and the bytes of the value, from the header if there is one, else from the front.
pub(super) fn unframed<'a>(value: &'a [u8], header: Option<&[u8]>) -> Result<(SchemaId, &'a [u8]), String> {
    match (header, value) {
        (Some([1, guid @ ..]), value) => {
            let guid = Uuid::from_slice(guid).map_err(|_| format!("header `{VALUE_SCHEMA_HEADER}` has no GUID"))?;
            Ok((SchemaId::Guid(guid), value))
        }
        (Some([0, number @ ..]), value) => {
            let number = number.try_into().map_err(|_| format!("header `{VALUE_SCHEMA_HEADER}` has no id of four bytes"))?;
            Ok((SchemaId::Number(u32::from_be_bytes(number)), value))
        }
        (Some(_), _) => Err(format!("header `{VALUE_SCHEMA_HEADER}` begins with neither 0 nor 1")),
        (None, [0, a, b, c, d, value @ ..]) => Ok((SchemaId::Number(u32::from_be_bytes([*a, *b, *c, *d])), value)),
        (None, value) if value.len() < FRAME_BYTES => Err(format!("{} bytes are too few for the id of a schema", value.len())),
        (None, [first, ..]) => Err(format!("the value begins with {first:#04x}, a schema's id with 0x00")),
        (None, []) => Err("the value is empty".into()),
    }
}

/// Appends what stands in front of a value of a schema.
pub(super) fn frame(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}
