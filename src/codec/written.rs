//! The schemas that a topic's records were written with, each compared once with those that the topic declares.

use super::avro::{self, Plan};
use super::decode::undecodable;
use super::wire::{Framed, Lookup, SchemaId};
use super::{Contract, Document, Format, Language, Schema, bundled, proto};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Text, Value, json};
use crate::sync::{read, write};
use std::sync::{Arc, RwLock};

/// Code of the failure of a record whose schema is not known yet: nothing is wrong with it, and it is to be decoded again.
pub const SCHEMA_PENDING: &str = "SCHEMA_PENDING";
/// Writers' schemas that a topic remembers.
const WRITERS_MAX: usize = 64;

/// What was compared so far.
#[derive(Debug, Default)]
pub(super) struct Written(RwLock<Vec<(SchemaId, Known)>>);

/// A writer, or why its schema cannot be used: that is found once, too.
type Known = Result<Arc<Writer>, Arc<str>>;

/// A writer's schema, as the topic's format reads it.
#[derive(Debug)]
pub(super) enum Writer {
    Avro(AvroWriter),
    Proto(ProtoWriter),
    Json(JsonWriter),
}

/// A value of a writer's, about to be read.
pub(super) enum Opened<'a> {
    Avro(&'a AvroWriter, &'a [u8]),
    Proto(Arc<ProtoMessage>, &'a [u8]),
    Json(&'a JsonWriter, &'a [u8]),
}

/// Why a value was not read.
pub(super) enum Unread {
    /// What the schema writes does not fit the declared one, whatever the value is.
    Misfit(String),
    /// The value does not fit the declared schema.
    Invalid(String),
    /// The bytes are no value of the schema.
    Broken(String),
}

impl Written {
    /// The schema of an id, from memory where it was used before.
    pub(super) fn writer(&self, id: SchemaId, contract: &Contract) -> Result<Arc<Writer>, Failure> {
        let unusable = |why: &Arc<str>| undecodable(format!("schema {id} cannot be used: {why}"));
        if let Some((_, writer)) = read(&self.0).iter().find(|(known, _)| *known == id) {
            return writer.as_ref().map(Arc::clone).map_err(unusable);
        }
        let Some(schemas) = &contract.registered.schemas else {
            return Err(undecodable("the value has the id of a schema, and no schema registry is named"));
        };
        let writer = match schemas.find(id) {
            Lookup::Found(document) => Writer::of(&document, contract).map(Arc::new).map_err(Arc::from),
            Lookup::Absent => return Err(undecodable(format!("the schema registry has no schema {id}"))),
            Lookup::Pending => {
                let message = format!("the schema registry has not told yet what schema {id} is");
                return Err(Failure::new(Class::Engine, SCHEMA_PENDING, Stage::Decode, message));
            }
        };
        let mut all = write(&self.0);
        if all.len() >= WRITERS_MAX {
            // As many writers on one topic are somebody's game: the oldest are compared again when they come back.
            drop(all.remove(0));
        }
        all.push((id, writer.clone()));
        writer.as_ref().map(Arc::clone).map_err(unusable)
    }
}

impl Writer {
    /// Makes a schema ready that records of a topic carry. Each format has its languages.
    fn of(document: &Document, contract: &Contract) -> Result<Self, String> {
        match (contract.format, document.language) {
            (Format::Avro | Format::Auto, Language::Avro) => AvroWriter::of(document, contract).map(Self::Avro),
            (Format::Protobuf | Format::Auto, Language::Protobuf) => ProtoWriter::of(document, contract).map(Self::Proto),
            (Format::Json | Format::Auto, Language::Json) => JsonWriter::of(document, contract).map(Self::Json),
            (format, language) => Err(format!("it is {}, and the topic is read as {}", language.name(), format.name())),
        }
    }

    /// Finds the value behind what says which schema it has.
    pub(super) fn open<'a>(&'a self, framed: &Framed<'a>) -> Result<Opened<'a>, String> {
        Ok(match self {
            Self::Avro(avro) => Opened::Avro(avro, framed.value()?),
            Self::Json(json) => Opened::Json(json, framed.value()?),
            Self::Proto(proto) => {
                let (places, bytes) = framed.message()?;
                Opened::Proto(proto.message(&places)?, bytes)
            }
        })
    }
}

impl Opened<'_> {
    /// The full name of what was written, which a declared schema may have too.
    pub(super) fn name(&self) -> Option<&Text> {
        match self {
            Self::Avro(avro, _) => avro.named.as_ref(),
            Self::Proto(message, _) => Some(message.whole.name()),
            Self::Json(json, _) => json.named.as_ref(),
        }
    }

    /// The value as a declared type has it, given with its place; `None`: as it was meant, if `checked` by what its writer names.
    pub(super) fn read(&self, declared: Option<(usize, Option<&Schema>)>, checked: bool) -> Result<Value, Unread> {
        let language = match self {
            Self::Avro(..) => Language::Avro,
            Self::Proto(..) => Language::Protobuf,
            Self::Json(..) => Language::Json,
        };
        // One in another language has no part in the reading, and judges what was read.
        if let Some((_, Some(schema))) =
            declared.filter(|(_, schema)| schema.is_some_and(|schema| schema.language() != language))
        {
            return schema.accept(self.read(None, false)?).map_err(Unread::Invalid);
        }
        let declared = declared.map(|(place, _)| place);
        match self {
            Self::Avro(avro, bytes) => avro.read(declared, bytes),
            Self::Json(json, bytes) => json.read(declared, checked, bytes),
            Self::Proto(message, bytes) => {
                let schema = reader_of(declared, &message.declared, &message.whole)?;
                schema.read(bytes).map_err(Unread::Broken)
            }
        }
    }
}

/// What reads a value: that of the declared type, given by its place, or what reads it as it was meant.
fn reader_of<'a, T>(declared: Option<usize>, of_types: &'a [Result<T, String>], whole: &'a T) -> Result<&'a T, Unread> {
    match declared {
        Some(place) => of_types[place].as_ref().map_err(|why| Unread::Misfit(why.clone())),
        None => Ok(whole),
    }
}

/// A writer's schema in Avro.
#[derive(Debug)]
pub(super) struct AvroWriter {
    named: Option<Text>,
    /// Reads values as the writer meant them.
    whole: Plan,
    /// Per declared type: reads them as its schema has them, or why not.
    plans: Vec<Result<Plan, String>>,
}

impl AvroWriter {
    fn of(document: &Document, contract: &Contract) -> Result<Self, String> {
        let writer = avro::Schema::parse(&document.text, &document.referred()).map_err(|error| error.to_string())?;
        let plan = |schema: &Option<Schema>| match schema.as_ref().and_then(Schema::avro) {
            Some((reader, _)) => Plan::new(&writer, reader),
            None => Plan::of_writer(&writer),
        };
        let plans = contract.types.iter().flatten().map(|(_, schema)| plan(schema)).collect();
        Ok(Self { named: writer.name().cloned(), whole: Plan::of_writer(&writer)?, plans })
    }

    fn read(&self, declared: Option<usize>, bytes: &[u8]) -> Result<Value, Unread> {
        reader_of(declared, &self.plans, &self.whole)?.read(bytes).map_err(Unread::Broken)
    }
}

/// A writer's file in Protobuf. Which of its messages is meant stands with each value.
#[derive(Debug)]
pub(super) struct ProtoWriter {
    files: proto::Files,
    /// What the topic declares, by type.
    declared: Vec<Option<proto::Schema>>,
    /// Messages that were asked for. There are no more of them than the file has.
    messages: RwLock<Vec<(Vec<usize>, Arc<ProtoMessage>)>>,
}

/// A message of a writer's.
#[derive(Debug)]
pub(super) struct ProtoMessage {
    /// As the writer has it.
    whole: proto::Schema,
    /// Per declared type: what it is read by, or why it is not. Protobuf reads what has a message's name by any version of it.
    declared: Vec<Result<proto::Schema, String>>,
}

impl ProtoWriter {
    fn of(document: &Document, contract: &Contract) -> Result<Self, String> {
        let files = proto::Files::of("schema.proto", document).map_err(|error| error.to_string())?;
        let declared = |(_, schema): &(Text, Option<Schema>)| schema.as_ref().and_then(Schema::proto).cloned();
        Ok(Self { files, declared: contract.types.iter().flatten().map(declared).collect(), messages: RwLock::default() })
    }

    fn message(&self, places: &[usize]) -> Result<Arc<ProtoMessage>, String> {
        if let Some((_, message)) = read(&self.messages).iter().find(|(known, _)| known == places) {
            return Ok(message.clone());
        }
        let whole = self.files.at(places).map_err(|error| error.to_string())?;
        let fitting = |declared: &Option<proto::Schema>| match declared {
            None => Ok(whole.clone()),
            Some(schema) if schema.name() == whole.name() => Ok(schema.clone()),
            Some(schema) => Err(format!("it is a `{}`, and the type is a `{}`", whole.name(), schema.name())),
        };
        let declared = self.declared.iter().map(fitting).collect();
        let message = Arc::new(ProtoMessage { whole, declared });
        write(&self.messages).push((places.to_vec(), message.clone()));
        Ok(message)
    }
}

/// A writer's JSON Schema: it names what it describes, and says what of it is where the topic declares nothing.
#[derive(Debug)]
pub(super) struct JsonWriter {
    named: Option<Text>,
    whole: Result<Schema, String>,
    /// The schemas that the topic declares, by type.
    declared: Vec<Option<Schema>>,
    unchecked: bool,
}

impl JsonWriter {
    fn of(document: &Document, contract: &Contract) -> Result<Self, String> {
        let schema = bundled(document).map_err(|error| error.to_string())?;
        Ok(Self {
            named: schema.get("title").and_then(serde_json::Value::as_str).map(Text::new),
            whole: Schema::compile_json(&schema, document.clone()).map_err(|error| error.to_string()),
            declared: contract.types.iter().flatten().map(|(_, schema)| schema.clone()).collect(),
            unchecked: contract.registered.unchecked,
        })
    }

    fn read(&self, declared: Option<usize>, checked: bool, bytes: &[u8]) -> Result<Value, Unread> {
        let value = json::read(bytes).map_err(|error| Unread::Broken(error.to_string()))?;
        if !checked || self.unchecked {
            return Ok(value);
        }
        let schema = match declared.and_then(|place| self.declared[place].as_ref()) {
            Some(declared) => declared,
            None => self.whole.as_ref().map_err(|why| Unread::Misfit(why.clone()))?,
        };
        schema.accept(value).map_err(Unread::Invalid)
    }
}

#[cfg(test)]
mod proto_tests;
#[cfg(test)]
mod tests;
