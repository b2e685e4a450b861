//! One record of the topic of definitions.

use crate::record::{Millis, Text};
use crate::topology::{Loaded, definition};
use serde_json::{Value as Json, json};

/// Version of the record's form.
const FORMAT: u64 = 1;

/// A definition that was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// Topology.
    pub topology: Text,
    /// Its version.
    pub version: u32,
    /// Hash of the content, as the engine that applied it computed it.
    pub hash: String,
    /// When.
    pub at: Millis,
    /// Version of the engine that applied it.
    pub engine: String,
    /// The content.
    pub definition: Json,
    /// Nodes that kept states which other rules had made.
    pub kept: Vec<String>,
    /// Nodes whose states were given up.
    pub discarded: Vec<String>,
}

impl Applied {
    /// Reads a value of the topic; `None` where it is no definition of this topology.
    pub fn of(value: &[u8], topology: &str) -> Option<Self> {
        let record: Json = serde_json::from_slice(value).ok()?;
        let text = |name: &str| record.get(name).and_then(Json::as_str).map(str::to_owned);
        let names = |name: &str| {
            let list = record.get(name).and_then(Json::as_array).into_iter().flatten();
            list.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        if record.get("format").and_then(Json::as_u64) != Some(FORMAT) || text("topology").as_deref() != Some(topology) {
            return None;
        }
        Some(Self {
            topology: topology.into(),
            version: record.get("version").and_then(Json::as_u64).and_then(|version| u32::try_from(version).ok())?,
            hash: text("hash")?,
            at: record.get("at").and_then(Json::as_i64)?,
            engine: text("engine")?,
            definition: record.get("definition")?.clone(),
            kept: names("kept"),
            discarded: names("discarded"),
        })
    }

    /// As a value of the topic.
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = json!({
            "format": FORMAT,
            "topology": self.topology.as_str(),
            "version": self.version,
            "hash": self.hash,
            "at": self.at,
            "engine": self.engine,
            "kept": self.kept,
            "discarded": self.discarded,
            "definition": self.definition,
        });
        record.to_string().into_bytes()
    }

    /// The file that was applied, checked again by this engine; `None` where the record holds none.
    pub fn reload(&self) -> Option<Loaded> {
        definition::reload(&format!("{} version {}", self.topology, self.version), &self.definition)
    }
}
