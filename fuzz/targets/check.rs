//! Parse and check: any bytes as a topology file end in a checked model or in findings that name a place of the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::topology::{NoSources, across, load, render};

fuzz_target!(|bytes: &[u8]| {
    let loaded = load("fuzz.yaml", bytes, &[], &NoSources);
    assert_eq!(loaded.checked.is_none(), loaded.has_errors(), "a model is handed out only when nothing is wrong");
    for found in &loaded.findings {
        assert!(loaded.text.get(found.range.clone()).is_some(), "a place in the file: {found:?}");
        assert!(found.line >= 1 && found.column >= 1 && !found.message.is_empty());
    }
    let first = &loaded.findings[..loaded.findings.len().min(2)];
    let _ = render::text(first, |_| Some(&loaded.text), true);
    let _ = across(std::slice::from_ref(&loaded));
});
