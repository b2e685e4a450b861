//! The JSON Schema of scenario files, for editors: made from the table that the reader goes by.

use super::shape::{self, Kind, Shape};
use serde_json::{Map, Value as Json, json};

/// The schema, in draft-07.
pub fn schema() -> Json {
    let mut root = object(&shape::FILE, &["skald-test", "topology", "cases"]);
    root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    root["title"] = json!("Scenario file of Skald");
    root["properties"]["skald-test"] = json!({ "const": 1, "description": "Version of scenario files: 1." });
    root["patternProperties"] = json!({ "^x-": {} });
    let any = |shapes: &[&Shape]| json!({ "anyOf": shapes.iter().map(|shape| item(shape)).collect::<Vec<_>>() });
    root["definitions"] = json!({
        "case": object(&shape::CASE, &["name"]),
        "step": object(&shape::STEP, &[]),
        "given": any(&shape::GIVEN),
        "when": any(&shape::WHEN),
        "then": any(&shape::THEN),
        "crash": object(&shape::CRASH, &[]),
    });
    root
}

/// An item of a list, known by a field that it must have.
fn item(shape: &Shape) -> Json {
    match shape.what {
        // A message has a type or a topic, and one act stands alone.
        "a message" => {
            let mut message = object(shape, &[]);
            message["anyOf"] = json!([{ "required": ["type"] }, { "required": ["topic"] }]);
            message
        }
        "an item of `when`" => {
            let mut act = object(shape, &[]);
            act["minProperties"] = json!(1);
            act["maxProperties"] = json!(1);
            act
        }
        _ => object(shape, &[shape.fields[0].name]),
    }
}

fn object(shape: &Shape, required: &[&str]) -> Json {
    let properties: Map<String, Json> = shape
        .fields
        .iter()
        .map(|field| {
            let mut property = kind(field.kind);
            property["description"] = json!(field.text);
            (field.name.to_owned(), property)
        })
        .collect();
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn kind(kind: Kind) -> Json {
    let list =
        |name: &str| json!({ "type": ["array", "object", "null"], "items": { "$ref": format!("#/definitions/{name}") } });
    match kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Count => json!({ "type": "integer", "minimum": 0 }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::Duration => json!({ "type": "string", "pattern": "^([0-9.]+(d|h|m|s|ms|us|ns))+$" }),
        Kind::Moment => json!({ "type": "string" }),
        Kind::Params => json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } }),
        Kind::Value => json!({}),
        Kind::Values => json!({ "type": "object" }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Crash => json!({ "anyOf": [{ "enum": shape::CRASHES }, { "$ref": "#/definitions/crash" }] }),
        Kind::None => {
            json!({ "anyOf": [{ "const": true }, { "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
        }
        Kind::Cases => list("case"),
        Kind::Steps => list("step"),
        Kind::Given => list("given"),
        Kind::When => list("when"),
        Kind::Then => list("then"),
    }
}
