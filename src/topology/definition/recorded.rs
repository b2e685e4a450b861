//! Schemas of a registry in a record: with their texts, so that what was applied can be read where no registry is.

use crate::codec::{Document, Language, Reference};
use serde_json::{Value as Json, json};

/// For the record.
pub(super) fn write(document: &Document) -> Json {
    let reference = |one: &Reference| json!({ "name": *one.name, "subject": *one.subject, "version": one.version, "schema": *one.text, "uses": one.uses });
    json!({
        "schemaType": document.language.name(),
        "schema": *document.text,
        "references": document.references.iter().map(reference).collect::<Vec<_>>(),
        "uses": document.uses,
    })
}

/// From the record; `None`: it is none.
pub(super) fn read(recorded: &Json) -> Option<Document> {
    let text = |of: &Json, name: &str| of.get(name).and_then(Json::as_str).map(Into::into);
    let languages = [Language::Avro, Language::Json, Language::Protobuf];
    let kind = recorded.get("schemaType")?.as_str()?;
    let all = recorded.get("references")?.as_array()?;
    // Each leads to those before it, so that there is no circle.
    let uses = |of: &Json, before: usize| -> Option<Vec<usize>> {
        let place = |place: &Json| place.as_u64().and_then(|place| usize::try_from(place).ok()).filter(|place| *place < before);
        of.get("uses")?.as_array()?.iter().map(place).collect()
    };
    let reference = |(at, one): (usize, &Json)| {
        Some(Reference {
            name: text(one, "name")?,
            subject: text(one, "subject")?,
            version: one.get("version")?.as_u64().and_then(|version| u32::try_from(version).ok()),
            text: text(one, "schema")?,
            uses: uses(one, at)?,
        })
    };
    Some(Document {
        language: languages.into_iter().find(|language| language.name() == kind)?,
        text: text(recorded, "schema")?,
        references: all.iter().enumerate().map(reference).collect::<Option<_>>()?,
        uses: uses(recorded, all.len())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_with_references_is_read_as_it_was_recorded() {
        let reference = |name: &str, uses: &[usize]| Reference {
            name: name.into(),
            subject: "s".into(),
            version: Some(2),
            text: "{}".into(),
            uses: uses.into(),
        };
        let references = vec![reference("a", &[]), reference("b", &[0])];
        let document = Document { references, uses: vec![1], ..Document::alone(Language::Json, "{\"a\":1}") };
        let recorded = write(&document);
        assert_eq!(read(&recorded), Some(document));
        for (at, wrong) in
            [("schemaType", json!("XML")), ("uses", json!([2])), ("references", json!([{}])), ("schema", json!(1))]
        {
            let mut changed = recorded.clone();
            changed[at] = wrong;
            assert_eq!(read(&changed), None, "{at}");
        }
    }
}
