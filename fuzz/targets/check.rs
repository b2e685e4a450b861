//! Parse and check: any bytes as a topology file end in a checked model or in findings that name a place of the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::expr::roomy;
use skald::topology::{NoSources, across, load, render};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The thread that reads all inputs. A file is read with a large stack, and a thread for each takes longer than most files.
static READER: OnceLock<Mutex<(SyncSender<Vec<u8>>, Receiver<()>)>> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let reader = READER.get_or_init(|| Mutex::new(reader())).lock().unwrap_or_else(PoisonError::into_inner);
    reader.0.send(bytes.to_vec()).expect("it reads until the end");
    reader.1.recv().expect("a panic ends the process");
});

fn reader() -> (SyncSender<Vec<u8>>, Receiver<()>) {
    let (inputs, input) = sync_channel::<Vec<u8>>(1);
    let (done, outcome) = sync_channel(1);
    std::thread::spawn(move || {
        let done = Mutex::new((input, done));
        roomy(|| {
            let (input, done) = &*done.lock().unwrap_or_else(PoisonError::into_inner);
            while let Ok(bytes) = input.recv() {
                check(&bytes);
                if done.send(()).is_err() {
                    return;
                }
            }
        });
    });
    (inputs, outcome)
}

fn check(bytes: &[u8]) {
    let loaded = load("fuzz.yaml", bytes, &[], &NoSources);
    assert_eq!(loaded.checked.is_none(), loaded.has_errors(), "a model is handed out only when nothing is wrong");
    for found in &loaded.findings {
        assert!(loaded.text.get(found.range.clone()).is_some(), "a place in the file: {found:?}");
        assert!(found.line >= 1 && found.column >= 1 && !found.message.is_empty());
    }
    // What people see of a finding costs as much as finding it: that is tried with one input in sixteen.
    let chosen = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte));
    if chosen % 16 == 0 {
        let first = &loaded.findings[..loaded.findings.len().min(2)];
        let _ = render::text(first, |_| Some(&loaded.text), true);
    }
    let _ = across(std::slice::from_ref(&loaded));
}
