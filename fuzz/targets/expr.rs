//! Expressions: any text is refused with findings inside of it, or gives a value or an error within its budget. What the
//! checker lets through evaluates to a value that is no larger than allowed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::expr::{EvalError, Expect, Fuel, Kind, Names, Scope, Slot, Template, TemplateSource, Type, compile, names};
use skald::record::{Value, json};
use std::sync::LazyLock;

static DATA: LazyLock<Value> = LazyLock::new(|| {
    let text = br#"{"id":"a-1","n":3,"d":1.5,"ok":true,"none":null,"tags":["x","y","x"],"lines":[{"sku":"a","count":2}],
        "when":"2026-01-02T03:04:05Z","inner":{"deep":{"k":"v"}},"big":123456789012345678901234567890}"#;
    json::read(text).expect("it is JSON")
});

struct Data;

impl Names for Data {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        match slot {
            names::DATA | names::STATE => Ok(&DATA),
            _ => Err(EvalError::new(Kind::MissingField, "not here")),
        }
    }
}

fuzz_target!(|text: &str| {
    // One scope that knows nothing of the values, one that knows all.
    for ty in [Type::Any, Type::of(&DATA)] {
        let scope = Scope::new().with(names::DATA, ty.clone()).with(names::STATE, ty);
        let compiled = compile(text, &scope, &Expect::Any);
        for found in &compiled.findings {
            assert!(text.get(found.range.clone()).is_some(), "a place in the text: {found:?}");
        }
        if let Some(program) = &compiled.program {
            let first = program.eval(&Data, &mut Fuel::new());
            let again = program.eval(&Data, &mut Fuel::new());
            assert_eq!(format!("{first:?}"), format!("{again:?}"), "the same values, the same result");
        }
        let source = TemplateSource::Text { text: text.to_owned(), place: 0 };
        if let (Some(template), _, _) = Template::compile(&source, &scope)
            && let Ok(Some(value)) = template.eval(&Data, &mut Fuel::new())
        {
            let mut out = Vec::new();
            json::write(&value, &mut out).expect("what a template gives can be written");
        }
    }
});
