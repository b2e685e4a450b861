//! One record of the topic of definitions.

use crate::record::{Millis, Text};
use crate::topology::model::Saga;
use crate::topology::{Loaded, Sources, definition};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Definitions of its sagas, as instances have them that began under it: one for each engine that computed another.
    pub sagas: BTreeMap<String, BTreeSet<String>>,
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
        let sagas = record.get("sagas").and_then(Json::as_object).into_iter().flatten().map(|(saga, known)| {
            let known = known.as_array().into_iter().flatten();
            (saga.clone(), known.filter_map(Json::as_str).map(str::to_owned).collect())
        });
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
            sagas: sagas.collect(),
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
            "sagas": self.sagas,
            "definition": self.definition,
        });
        record.to_string().into_bytes()
    }

    /// The file that was applied, checked again by this engine; `None` where the record holds none.
    pub fn reload(&self) -> Option<Loaded> {
        definition::reload(&self.name(), &self.definition)
    }

    /// The same, to be run: with what the files of its secrets say now.
    pub fn reload_with(&self, secrets: &dyn Sources) -> Option<Loaded> {
        definition::reload_with(&self.name(), &self.definition, secrets)
    }

    fn name(&self) -> String {
        format!("{} version {}", self.topology, self.version)
    }

    /// Is this the definition of one of its sagas? Asked anew where it is not noted: an earlier engine noted none.
    pub fn has(&self, saga: &str, definition: &str) -> bool {
        let is_noted = self.sagas.get(saga).is_some_and(|known| known.contains(definition));
        let again = || {
            let (topology, _) = self.reload()?.checked?;
            topology.sagas.iter().find(|model| model.name == saga).map(|model| model.definition == definition)
        };
        is_noted || again().unwrap_or(false)
    }

    /// Notes the definitions that sagas of it have, as this engine computes them. Was one of them not known?
    pub fn note(&mut self, sagas: &[Saga]) -> bool {
        let mut is_new = false;
        for saga in sagas {
            is_new |= self.sagas.entry(saga.name.to_string()).or_default().insert(saga.definition.to_string());
        }
        is_new
    }
}
