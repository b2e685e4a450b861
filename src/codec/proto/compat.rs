//! What speaks against reading by a newer file what an older one wrote.

use super::Files;
use super::files::siblings;
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor};

impl Files {
    /// Why messages that `older` wrote cannot be read by this one, as registries see it; nothing, where the list is empty.
    pub fn objections(&self, older: &Files) -> Vec<String> {
        let mut found = Vec::new();
        let mut open: Vec<MessageDescriptor> = older.file().messages().collect();
        while let Some(old) = open.pop() {
            match self.pool().get_message_by_name(old.full_name()) {
                None => found.push(format!("message `{}` is gone", old.full_name())),
                Some(new) => changed(&old, &new, &mut found),
            }
            open.extend(siblings(old.child_messages()));
        }
        found.sort();
        found
    }
}

fn changed(old: &MessageDescriptor, new: &MessageDescriptor, found: &mut Vec<String>) {
    for field in old.fields() {
        let Some(now) = new.get_field(field.number()) else { continue };
        if form(&field) != form(&now) || field.is_list() != now.is_list() {
            found.push(format!("field {} of `{}` has changed its type", field.number(), old.full_name()));
        }
    }
    let is_new = |field: &FieldDescriptor| old.get_field(field.number()).is_none();
    for field in new.fields().filter(|field| field.cardinality() == Cardinality::Required).filter(is_new) {
        found.push(format!("field `{}` of `{}` is required, and new", field.name(), old.full_name()));
    }
}

/// What is the same on the wire: bytes of one are bytes of the other.
fn form(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Enum(_) => "varint".into(),
        Kind::Sint32 | Kind::Sint64 => "zigzag".into(),
        Kind::Fixed32 | Kind::Sfixed32 => "fixed32".into(),
        Kind::Fixed64 | Kind::Sfixed64 => "fixed64".into(),
        Kind::String | Kind::Bytes => "bytes".into(),
        Kind::Message(entry) if field.is_map() => {
            format!("map {} {}", form(&entry.map_entry_key_field()), form(&entry.map_entry_value_field()))
        }
        Kind::Message(message) => message.full_name().to_owned(),
        kind @ (Kind::Float | Kind::Double) => format!("{kind:?}"),
    }
}
