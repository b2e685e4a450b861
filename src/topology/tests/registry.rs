//! Schemas that are named by a subject of a schema registry.

use crate::codec::{Document, Language, Reference};
use crate::topology::definition::reload;
use crate::topology::{Loaded, Sources, load};
use std::io;

/// A registry of two subjects.
struct Subjects;

impl Sources for Subjects {
    fn schema(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn registered(&self, subject: &str, version: Option<u32>) -> Result<Option<Document>, String> {
        let order =
            r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"line","type":"Line"}]}"#;
        let line = r#"{"type":"record","name":"Line","fields":[{"name":"cents","type":"long"}]}"#;
        match (subject, version) {
            ("orders-value", Some(3)) => {
                let line = Reference {
                    name: "Line".into(),
                    subject: "lines".into(),
                    version: Some(1),
                    text: line.into(),
                    uses: Vec::new(),
                };
                Ok(Some(Document { references: vec![line], uses: vec![0], ..Document::alone(Language::Avro, order) }))
            }
            ("mails", None) => {
                let mail = r#"{"title":"Mail","type":"object","required":["to"],"properties":{"to":{"type":"string"}}}"#;
                Ok(Some(Document::alone(Language::Json, mail)))
            }
            ("proto", _) => Ok(Some(Document::alone(Language::Protobuf, "syntax = \"proto3\";"))),
            _ => Err(format!("there is no `{subject}`")),
        }
    }
}

const FILE: &str = "\
skald: 1
topology: mails
topics:
  orders: { format: avro, envelope: none, types: { order.created.v1: registry:orders-value@3 } }
  mails: { registry: true, envelope: none, types: { mail.v1: registry:mails } }
pipelines:
  mail:
    from: orders
    type: order.created.v1
    steps:
      - filter: data.line.cents > 1
      - emit: { type: mail.v1, to: mails, key: =data.id, data: { to: =data.id } }
";

fn found(text: &str) -> Vec<String> {
    let loaded = load("mails.yaml", text.as_bytes(), &[], &Subjects);
    loaded.findings.iter().map(|found| format!("{} {}", found.code, found.message)).collect()
}

#[test]
fn expressions_and_messages_are_checked_against_the_schemas_of_a_registry() {
    assert_eq!(found(FILE), Vec::<String>::new());
    assert_eq!(found(&FILE.replace("line.cents", "line.pence")), ["E307 no field `pence`"]);
    let missing = found(&FILE.replace("{ to: =data.id }", "{}"));
    assert!(missing.iter().any(|found| found == "E401 `mail.v1` needs the field `to`"), "{missing:?}");
    let misspelt = found(&FILE.replace("registry:mails", "registry:mial"));
    assert_eq!(misspelt, ["E212 `registry:mial` cannot be read: there is no `mial`"]);
    let other = found(&FILE.replace("registry:mails", "registry:orders-value@3"));
    assert!(other.iter().any(|found| found.starts_with("E409 this is an Avro schema")), "{other:?}");
}

#[test]
fn what_was_applied_is_read_again_where_no_registry_is() {
    let first = load("mails.yaml", FILE.as_bytes(), &[], &Subjects);
    let record = first.definition.as_ref().expect("it is without errors").record();
    let again = reload("recorded", &record).expect("it is a record");
    assert!(!again.has_errors(), "{:#?}", again.findings);
    let hash = |loaded: &Loaded| loaded.definition.as_ref().map(crate::topology::Definition::hash);
    assert_eq!(hash(&again), hash(&first));
    let (topology, _) = again.checked.expect("it is without errors");
    let orders = topology.topics.iter().find(|topic| topic.name == "orders").expect("it is declared");
    let schema = orders.types.as_ref().and_then(|types| types[0].schema.as_ref()).expect("it was recorded");
    assert_eq!(schema.subject.as_deref(), Some("orders-value"));
    assert_eq!(schema.compiled.document().references.len(), 1);
}
