//! The crate `prost-reflect` as the reference: bytes mean to us what they mean to it.

use super::*;
use crate::codec::proto::cursor::{Wire, put_sized, put_tag, put_varint};
use proptest::prelude::*;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value as Theirs};

/// Choices taken from bytes, so that what is made of them shrinks with them.
struct Dice<'a>(std::slice::Iter<'a, u8>);

impl Dice<'_> {
    fn roll(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    fn number(&mut self) -> u64 {
        match self.roll() % 4 {
            0 => self.roll().into(),
            1 => u64::from(self.roll()) << 33,
            2 => (-i64::from(self.roll())).cast_unsigned(),
            _ => u64::MAX / (u64::from(self.roll()) + 1),
        }
    }

    /// Some fields of a message, in any order and number.
    fn message(&mut self, message: &MessageDescriptor, depth: usize, out: &mut Vec<u8>) {
        let fields: Vec<FieldDescriptor> = message.fields().collect();
        let known = message.package_name() == "google.protobuf";
        for _ in 0..self.roll() % if known { 3 } else { 7 } {
            let pick = usize::from(self.roll());
            if pick == 255 {
                put_tag(777, Wire::Varint, out);
                put_varint(self.number(), out);
            } else if let Some(field) = fields.get(pick % fields.len().max(1)) {
                self.field(field, depth, out);
            }
        }
        for field in fields.iter().filter(|field| field.cardinality() == prost_reflect::Cardinality::Required) {
            if self.roll() > 8 {
                self.field(field, depth, out);
            }
        }
    }

    fn field(&mut self, field: &FieldDescriptor, depth: usize, out: &mut Vec<u8>) {
        let number = field.number();
        let wire = wire_of(field);
        if field.is_list() && !matches!(wire, Wire::Sized | Wire::Start) && self.roll().is_multiple_of(2) {
            put_tag(number, Wire::Sized, out);
            let count = self.roll() % 4;
            let packed: Result<(), ()> = put_sized(out, |out| {
                (0..count).for_each(|_| self.value(field, depth, out));
                Ok(())
            });
            return packed.expect("nothing fails");
        }
        if depth > 6 && matches!(field.kind(), Kind::Message(_)) {
            return;
        }
        put_tag(number, wire, out);
        self.value(field, depth + 1, out);
        if wire == Wire::Start {
            put_tag(number, Wire::End, out);
        }
    }

    fn value(&mut self, field: &FieldDescriptor, depth: usize, out: &mut Vec<u8>) {
        match field.kind() {
            Kind::Bool => out.push(self.roll() % 2),
            Kind::Enum(_) => put_varint(u64::from(self.roll() % 4), out),
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Int64 | Kind::Uint64 | Kind::Sint64 => {
                put_varint(self.number(), out)
            }
            Kind::Fixed32 | Kind::Sfixed32 => out.extend_from_slice(&self.number().to_le_bytes()[..4]),
            Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&self.number().to_le_bytes()),
            Kind::Float => out.extend_from_slice(&(f32::from(self.roll()) / 7.0 - 9.0).to_le_bytes()),
            Kind::Double => out.extend_from_slice(&(f64::from(self.roll()) / 7.0 - 9.0).to_le_bytes()),
            Kind::String | Kind::Bytes => {
                let size = usize::from(self.roll() % 40) * if self.roll() == 7 { 9 } else { 1 };
                put_varint(size as u64, out);
                out.resize(out.len() + size, b'a' + self.roll() % 20);
            }
            Kind::Message(message) if field.is_group() => self.message(&message, depth, out),
            Kind::Message(message) => {
                let sized: Result<(), ()> = put_sized(out, |out| {
                    self.message(&message, depth, out);
                    Ok(())
                });
                sized.expect("nothing fails");
            }
        }
    }
}

fn wire_of(field: &FieldDescriptor) -> Wire {
    match field.kind() {
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => Wire::Four,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => Wire::Eight,
        Kind::String | Kind::Bytes => Wire::Sized,
        Kind::Message(_) if field.is_group() => Wire::Start,
        Kind::Message(_) => Wire::Sized,
        _ => Wire::Varint,
    }
}

/// A message of the reference's as we have it; `None`: it breaks a rule of ours.
fn ours(message: &DynamicMessage) -> Option<Value> {
    let name = message.descriptor().full_name().to_owned();
    let field = |name: &str| message.get_field_by_name(name).expect("it is one of its fields").into_owned();
    let plain = |name: &str| scalar(&field(name), &message.descriptor().get_field_by_name(name).expect("it has it").kind());
    match name.strip_prefix("google.protobuf.") {
        None => {}
        Some("Timestamp" | "Duration") => {
            let seconds = field("seconds").as_i64().expect("an int64");
            let nanos = field("nanos").as_i32().expect("an int32");
            if name.ends_with("Timestamp") {
                let nanos = i128::from(u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?);
                let moment = Timestamp::from_nanosecond(i128::from(seconds) * 1_000_000_000 + nanos).ok()?;
                return Some(Value::Timestamp(moment));
            }
            let fits = seconds.unsigned_abs() <= 315_576_000_000 && nanos.unsigned_abs() < 1_000_000_000;
            let agree = seconds.signum() * i64::from(nanos.signum()) >= 0;
            return (fits && agree).then(|| Value::Duration(SignedDuration::new(seconds, nanos)));
        }
        Some("Struct") => return plain_map(&field("fields")),
        Some("ListValue") => return list(&field("values"), &Kind::String),
        Some("Any") => {
            let entries = [("@type".into(), plain("type_url")?), ("value".into(), plain("value")?)];
            return Some(Value::Map(entries.into_iter().collect()));
        }
        Some("Value") => {
            let set = message.fields().next();
            return match set {
                None => Some(Value::Null),
                Some((field, _)) if field.name() == "null_value" => Some(Value::Null),
                Some((field, value)) => scalar(value, &field.kind()),
            };
        }
        Some(_) => return plain("value"),
    }
    let mut entries = Vec::new();
    for field in message.descriptor().fields() {
        let declared = field.field_descriptor_proto().default_value.is_some();
        if field.supports_presence() && !message.has_field(&field) {
            if field.cardinality() == prost_reflect::Cardinality::Required {
                return None;
            }
            if !declared {
                continue;
            }
        }
        let found = message.get_field(&field);
        let value = match &*found {
            Theirs::Map(_) => plain_map(&found)?,
            Theirs::List(_) => list(&found, &field.kind())?,
            single => scalar(single, &field.kind())?,
        };
        entries.push((field.json_name().into(), value));
    }
    Some(Value::Map(Map::from_entries(entries)))
}

fn list(value: &Theirs, kind: &Kind) -> Option<Value> {
    let items = value.as_list().expect("a list");
    items.iter().map(|item| scalar(item, kind)).collect::<Option<_>>().map(Value::list)
}

fn plain_map(value: &Theirs) -> Option<Value> {
    let entry = |(key, value): (&MapKey, &Theirs)| {
        let key = match key {
            MapKey::Bool(truth) => truth.to_string(),
            MapKey::I32(number) => number.to_string(),
            MapKey::I64(number) => number.to_string(),
            MapKey::U32(number) => number.to_string(),
            MapKey::U64(number) => number.to_string(),
            MapKey::String(text) => text.clone(),
        };
        Some((key.into(), scalar(value, &Kind::String)?))
    };
    value.as_map().expect("a map").iter().map(entry).collect::<Option<Map>>().map(Value::Map)
}

fn scalar(value: &Theirs, kind: &Kind) -> Option<Value> {
    Some(match value {
        Theirs::Bool(truth) => Value::Bool(*truth),
        Theirs::I32(number) => Value::Int((*number).into()),
        Theirs::I64(number) => Value::Int(*number),
        Theirs::U32(number) => Value::Int((*number).into()),
        Theirs::U64(number) => i64::try_from(*number).map_or_else(|_| Value::BigInt(number.to_string().into()), Value::Int),
        Theirs::F32(number) => Value::Double((*number).into()),
        Theirs::F64(number) => Value::Double(*number),
        Theirs::String(text) => Value::from(text.as_str()),
        Theirs::Bytes(bytes) => Value::Bytes(bytes[..].into()),
        Theirs::EnumNumber(number) => {
            let Kind::Enum(symbols) = kind else { unreachable!("numbers of enums are of enums") };
            let first = symbols.enum_descriptor_proto().value.iter().find(|symbol| symbol.number() == *number);
            first.map_or_else(|| Value::from(number.to_string()), |symbol| Value::from(symbol.name()))
        }
        Theirs::Message(message) => ours(message)?,
        Theirs::List(_) | Theirs::Map(_) => unreachable!("they have roads of their own"),
    })
}

fn descriptor() -> MessageDescriptor {
    files().pool().get_message_by_name("every.Every").expect("it is there")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn bytes_mean_to_us_what_they_mean_to_the_reference(choices in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (schema, descriptor) = (every(), descriptor());
        let mut bytes = Vec::new();
        Dice(choices.iter()).message(&descriptor, 0, &mut bytes);
        let theirs = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).expect("sound bytes");
        let found = schema.read(&bytes);
        let Some(expected) = ours(&theirs) else {
            prop_assert!(found.is_err(), "{:?}", found);
            return Ok(());
        };
        let found = match found {
            // We look at each that stands there, the reference at the one that is left where another replaces it.
            Err(why) if why.ends_with("no timestamp") || why.ends_with("no duration") => return Ok(()),
            found => found.expect("sound bytes"),
        };
        prop_assert_eq!(&found, &expected);
        // A moment may be read that is too early to be written.
        let Ok(accepted) = schema.accept(found.clone()) else { return Ok(()) };
        prop_assert_eq!(&accepted, &found);
        let mut written = Vec::new();
        schema.write(&accepted, &mut written).expect("it was accepted");
        let back = DynamicMessage::decode(descriptor, written.as_slice()).expect("what we wrote");
        prop_assert_eq!(ours(&back), Some(expected));
        prop_assert_eq!(schema.read(&written).expect("what we wrote"), found);
    }

    #[test]
    fn damaged_bytes_end_in_a_value_or_an_error(
        choices in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let (schema, descriptor) = (every(), descriptor());
        let mut bytes = Vec::new();
        Dice(choices.iter()).message(&descriptor, 0, &mut bytes);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(schema.read(&bytes));
            drop(schema.read(&bytes[..at]));
        }
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(every().read(&bytes));
        drop(super::index(&bytes));
    }

    #[test]
    fn any_text_ends_in_a_schema_or_an_error(text in "([a-z]{1,8}|[{}\\[\\]<>()=;\"'./*\\\\ 0-9]|message |syntax = \"proto3\"; |import |option |oneof |map<){0,40}") {
        drop(Files::compile("a.proto", &text, &[]).and_then(|files| files.message(None)));
    }
}
