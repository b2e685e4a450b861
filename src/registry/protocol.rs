//! The shapes of the API on the wire.

use super::{Error, Result};
use crate::codec::{Document, Language, Reference};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub(super) struct SchemaRequest<'a> {
    schema: &'a str,
    #[serde(rename = "schemaType")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<NamedReference<'a>>,
}

#[derive(Serialize)]
struct NamedReference<'a> {
    name: &'a str,
    subject: &'a str,
    version: Option<u32>,
}

impl<'a> SchemaRequest<'a> {
    pub(super) fn of(document: &'a Document) -> Self {
        let named = document.named().map(|Reference { name, subject, version, .. }| NamedReference {
            name,
            subject,
            version: *version,
        });
        Self { schema: &document.text, kind: document.language.name(), references: named.collect() }
    }
}

/// A schema, with what is known of its place where it was asked for by that.
#[derive(Debug, Deserialize)]
pub(super) struct SchemaAnswer {
    pub(super) schema: String,
    /// Left out for Avro.
    #[serde(rename = "schemaType", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) references: Option<Vec<ReferenceAnswer>>,
    #[serde(default)]
    pub(super) id: Option<u32>,
    #[serde(default)]
    pub(super) version: Option<u32>,
}

impl SchemaAnswer {
    pub(super) fn language(&self) -> Result<Language> {
        match self.kind.as_deref() {
            None | Some("AVRO") => Ok(Language::Avro),
            Some("JSON") => Ok(Language::Json),
            Some("PROTOBUF") => Ok(Language::Protobuf),
            Some(other) => Err(Error::Unusable(format!("a schema of the kind `{}`", shortened(other)))),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ReferenceAnswer {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct IdAnswer {
    pub(super) id: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlaceAnswer {
    pub(super) id: u32,
    pub(super) version: u32,
}

#[derive(Debug, Deserialize)]
pub(super) struct FitAnswer {
    pub(super) is_compatible: bool,
    #[serde(default)]
    pub(super) messages: Option<Vec<String>>,
    /// As Apicurio says it.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorAnswer {
    pub(super) error_code: u32,
    #[serde(default)]
    pub(super) message: Option<String>,
}

/// A foreign text for a message.
pub(super) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARS_MAX).collect();
    if text.chars().count() > CHARS_MAX { format!("{line}…") } else { line }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    // Segments of dots alone are taken out of paths.
    if out.bytes().all(|byte| byte == b'.') { out.replace('.', "%2E") } else { out }
}
