//! A registry in this process, in memory.
//!
//! Ids follow from the schemas, so that every one of these gives a schema the same id. New versions must be able to read what the
//! one before wrote, as with Confluent's registry by default.

use super::{Error, Place, Registry, Result, Version};
use crate::codec::{Document, Language, Lookup, SchemaId, Schemas, avro, proto};
use crate::sync::lock;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// See the module.
#[derive(Debug, Default)]
pub struct Embedded(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    schemas: BTreeMap<SchemaId, Arc<Document>>,
    subjects: BTreeMap<String, Vec<u32>>,
}

impl Embedded {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a schema of no subject under a GUID.
    pub fn keep(&self, guid: uuid::Uuid, document: Document) {
        lock(&self.0).schemas.insert(SchemaId::Guid(guid), Arc::new(document));
    }
}

/// What a schema is kept under.
fn id_of(document: &Document) -> u32 {
    let mut hash = Sha256::new();
    hash.update(document.language.name());
    document.references.iter().for_each(|reference| hash.update(reference.text.as_bytes()));
    hash.update(document.text.as_bytes());
    let digest = hash.finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) & 0x7fff_ffff
}

fn compiled(document: &Document) -> Result<avro::Schema> {
    avro::Schema::parse(&document.text, &document.referred()).map_err(|error| Error::Unusable(error.to_string()))
}

fn files(document: &Document) -> Result<proto::Files> {
    proto::Files::of("schema.proto", document).map_err(|error| Error::Unusable(error.to_string()))
}

impl Kept {
    fn objections(&self, subject: &str, document: &Document) -> Result<Vec<String>> {
        let latest = self.subjects.get(subject).and_then(|ids| ids.last());
        let Some(latest) = latest.and_then(|id| self.schemas.get(&SchemaId::Number(*id))) else { return Ok(Vec::new()) };
        if latest.language != document.language {
            return Ok(vec![format!("`{subject}` is {}", latest.language.name())]);
        }
        match document.language {
            Language::Avro => Ok(avro::Plan::new(&compiled(latest)?, &compiled(document)?).err().into_iter().collect()),
            Language::Protobuf => Ok(files(document)?.objections(&files(latest)?)),
            Language::Json => Ok(Vec::new()),
        }
    }
}

impl Registry for Embedded {
    fn schema(&self, id: SchemaId) -> Result<Document> {
        let found = lock(&self.0).schemas.get(&id).map(|document| (**document).clone());
        found.ok_or_else(|| Error::Absent(format!("schema {id}")))
    }

    fn version(&self, subject: &str, version: Option<u32>) -> Result<Version> {
        let kept = lock(&self.0);
        let ids = kept.subjects.get(subject).map_or(&[][..], Vec::as_slice);
        let place = version.map_or(ids.len(), |version| version as usize);
        let id = place.checked_sub(1).and_then(|place| ids.get(place));
        let id = *id.ok_or_else(|| Error::Absent(format!("version of subject `{subject}`")))?;
        let document = (*kept.schemas[&SchemaId::Number(id)]).clone();
        Ok(Version { id, version: u32::try_from(place).unwrap_or(u32::MAX), document })
    }

    fn find(&self, subject: &str, document: &Document) -> Result<Option<Place>> {
        let id = id_of(document);
        let kept = lock(&self.0);
        let place = kept.subjects.get(subject).and_then(|ids| ids.iter().position(|known| *known == id));
        Ok(place.map(|place| Place { id, version: u32::try_from(place + 1).unwrap_or(u32::MAX) }))
    }

    fn register(&self, subject: &str, document: &Document) -> Result<u32> {
        let mut kept = lock(&self.0);
        let id = id_of(document);
        if kept.subjects.get(subject).is_some_and(|ids| ids.contains(&id)) {
            return Ok(id);
        }
        let reasons = kept.objections(subject, document)?;
        if !reasons.is_empty() {
            return Err(Error::Incompatible { subject: subject.to_owned(), reasons });
        }
        let known = kept.schemas.entry(SchemaId::Number(id)).or_insert_with(|| Arc::new(document.clone()));
        if **known != *document {
            return Err(Error::Unusable(format!("two schemas have the id {id}")));
        }
        kept.subjects.entry(subject.to_owned()).or_default().push(id);
        Ok(id)
    }

    fn objections(&self, subject: &str, document: &Document) -> Result<Vec<String>> {
        lock(&self.0).objections(subject, document)
    }
}

impl Schemas for Embedded {
    fn find(&self, id: SchemaId) -> Lookup {
        lock(&self.0).schemas.get(&id).cloned().map_or(Lookup::Absent, Lookup::Found)
    }
}
