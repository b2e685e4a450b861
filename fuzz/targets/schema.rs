//! Schemas: whoever may register one has it read here. Any text is a schema or an error, and whatever bytes are read with it are a
//! value or an error, within their bounds.
//!
//! A further language gets its line in [`read`].

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::codec::Schema;
use skald::codec::avro::{self, Plan};
use skald::record::{Value, json};

// The text of a schema; behind a zero byte a value.
fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let text = std::str::from_utf8(parts.next().unwrap_or_default());
    let Ok(text) = text else { return };
    read(text, parts.next().unwrap_or(bytes));
});

fn read(text: &str, value: &[u8]) {
    if let Ok(schema) = avro::Schema::parse(text, &[]) {
        let plan = Plan::new(&schema, &schema).or_else(|_| Plan::of_writer(&schema));
        if let Ok(read) = plan.and_then(|plan| plan.read(value))
            && let Ok(accepted) = schema.accept(read)
        {
            let mut written = Vec::new();
            if schema.write(&accepted, &mut written).is_ok() {
                let again =
                    Plan::new(&schema, &schema).and_then(|plan| plan.read(&written)).expect("what was written can be read");
                assert_eq!(format!("{again:?}"), format!("{accepted:?}"));
            }
        }
        let _ = schema.accept(json::read(value).unwrap_or(Value::Null));
    }
    if let Ok(document) = serde_json::from_str(text)
        && let Ok(schema) = Schema::compile(&document)
    {
        let _ = schema.accept(json::read(value).unwrap_or(Value::Null));
    }
}
