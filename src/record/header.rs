//! Record headers: a name and, as Kafka allows, bytes or nothing.

use super::Text;
use bytes::Bytes;

/// A header that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name; not unique within a record.
    pub name: Text,
    /// Bytes, or `None` where the producer wrote null.
    pub value: Option<Bytes>,
}

/// A header borrowed from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRef<'a> {
    /// Name; not unique within a record.
    pub name: &'a str,
    /// Bytes, or `None` where the producer wrote null.
    pub value: Option<&'a [u8]>,
}

impl Header {
    /// A header with a text value.
    pub fn text(name: impl Into<Text>, value: impl AsRef<str>) -> Self {
        Self { name: name.into(), value: Some(Bytes::copy_from_slice(value.as_ref().as_bytes())) }
    }

    /// The header, borrowed.
    pub fn as_ref(&self) -> HeaderRef<'_> {
        HeaderRef { name: &self.name, value: self.value.as_deref() }
    }
}

impl HeaderRef<'_> {
    /// Copies the header.
    pub fn to_header(&self) -> Header {
        Header { name: self.name.into(), value: self.value.map(Bytes::copy_from_slice) }
    }
}
