//! One form for content that means the same: lists where one value may stand for a list of one, defaults left out, expressions
//! without their blanks, descriptions away.

use crate::topology::plan::normal;
use serde_json::{Map, Value as Json, json};

/// Maps whose keys are the user's names.
const NAMED: [&str; 14] = [
    "topics",
    "params",
    "aggregates",
    "repositories",
    "pipelines",
    "sagas",
    "tables",
    "services",
    "decide",
    "evolve",
    "types",
    "states",
    "upcasters",
    "let",
];
/// Fields in which one value stands for a list of one.
const LISTS: [&str; 8] = ["from", "require", "emit", "updates", "cancel_timer", "transitions", "ignore", "reply_to"];
/// Fields that hold templates: what is in them is the user's.
const TEMPLATES: [&str; 11] =
    ["data", "set", "map", "initial", "upcast", "reply", "details", "headers", "metadata", "message", "reason"];
/// Fields that hold schemas or values: nothing in them is touched.
const VALUES: [&str; 3] = ["schema", "validate", "params"];
/// Fields that hold an expression.
const EXPRESSIONS: [&str; 9] = ["when", "that", "key", "filter", "rekey", "flat_map", "in", "id", "time"];
/// What holds where a section says nothing.
const DEFAULTS: [(&str, &[(&str, &str)]); 5] = [
    ("topics", &[("format", "json"), ("key_format", "string"), ("envelope", "event"), ("type_header", "type")]),
    ("aggregates", &[("store", "disk"), ("dedupe", "1h")]),
    ("repositories", &[("store", "disk")]),
    ("sagas", &[("compensation", "reverse"), ("retain", "7d")]),
    ("pipelines", &[]),
];

/// Brings the content of a file into the one form.
pub(super) fn normalise(file: &mut Json) {
    let Some(fields) = file.as_object_mut() else { return };
    for no_content in ["skald", "version", "description"] {
        fields.remove(no_content);
    }
    fields.retain(|_, value| !value.is_null());
    for (section, defaults) in DEFAULTS {
        let Some(entries) = fields.get_mut(section).and_then(Json::as_object_mut) else { continue };
        for entry in entries.values_mut() {
            if entry.is_null() {
                *entry = json!({});
            }
            let Some(entry) = entry.as_object_mut() else { continue };
            entry.retain(|key, value| !defaults.iter().any(|(name, default)| key == name && value == default));
            if section == "topics" {
                entry.retain(|key, value| !(key == "validate" && *value == json!(true)));
                entry.get_mut("types").into_iter().for_each(types);
            }
            entry.retain(|key, value| !(key == "state_version" && *value == json!(1)));
            entry.get_mut("from").into_iter().for_each(sources);
            entry.get_mut("errors").into_iter().for_each(errors);
            if section == "pipelines" {
                entry.get_mut("type").into_iter().for_each(listed);
            }
        }
    }
    fields.get_mut("errors").into_iter().for_each(errors);
    fields.retain(|key, value| !(key == "errors" && *value == json!({})));
    fields.values_mut().for_each(drop_empty_errors);
    for (key, value) in fields.iter_mut() {
        tidy(key, value);
    }
}

/// `types: [a, b]` is `{a: , b: }`, and no schema is any.
fn types(value: &mut Json) {
    let names = match value {
        Json::String(name) => vec![name.clone()],
        Json::Array(names) => names.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Json::Object(fields) => {
            fields.values_mut().filter(|schema| **schema == json!({})).for_each(|schema| *schema = Json::Null);
            return;
        }
        _ => return,
    };
    *value = Json::Object(names.into_iter().map(|name| (name, Json::Null)).collect());
}

/// Sources are a list of maps.
fn sources(value: &mut Json) {
    listed(value);
    for source in value.as_array_mut().into_iter().flatten() {
        if source.is_string() {
            *source = json!({ "topic": source.take() });
        }
    }
}

fn listed(value: &mut Json) {
    if !value.is_array() {
        *value = Json::Array(vec![value.take()]);
    }
}

fn errors(value: &mut Json) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|key, value| !(matches!(key.as_str(), "undecodable" | "then") && value == "skip"));
    }
}

fn drop_empty_errors(section: &mut Json) {
    for entry in section.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(entry) = entry.as_object_mut() {
            entry.retain(|key, value| !(key == "errors" && *value == json!({})));
        }
    }
}

fn tidy(key: &str, value: &mut Json) {
    if VALUES.contains(&key) {
        return;
    }
    if TEMPLATES.contains(&key) {
        return template(value);
    }
    if LISTS.contains(&key) && !value.is_null() {
        listed(value);
    }
    match value {
        Json::String(text) if EXPRESSIONS.contains(&key) => *text = normal(text),
        Json::String(_) => template(value),
        Json::Array(items) => items.iter_mut().for_each(|item| tidy("", item)),
        Json::Object(fields) if NAMED.contains(&key) => {
            // What stands under a name is told by the map that the name stands in.
            let below = match key {
                "let" => "when",
                "types" => "schema",
                _ => "",
            };
            fields.values_mut().for_each(|field| tidy(below, field));
        }
        Json::Object(fields) => {
            fields.remove("description");
            fields.iter_mut().for_each(|(key, field)| tidy(key, field));
        }
        _ => {}
    }
}

/// Expressions of a template in one form; its other texts are as they are.
fn template(value: &mut Json) {
    match value {
        Json::String(text) if text.starts_with('=') && !text.starts_with("==") => *text = format!("={}", normal(&text[1..])),
        Json::Array(items) => items.iter_mut().for_each(template),
        Json::Object(fields) => fields.values_mut().for_each(template),
        _ => {}
    }
}
