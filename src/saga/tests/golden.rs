//! A few runs, line by line.

use super::*;
use std::path::Path;

fn expect(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saga").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).expect("the file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{}: UPDATE=1 writes it anew", path.display());
}

/// What becomes of an operation in a run.
type Behave = fn(Deed, usize) -> Behaviour;

#[test]
fn runs_are_as_they_were() {
    let accepted: Behave = |_, _| Behaviour::Accept;
    let charge_refused: Behave = |deed, _| if deed.0 == 1 { Behaviour::Reject("DECLINED") } else { Behaviour::Accept };
    let charge_busy: Behave = |deed, nth| match deed {
        (1, _, Direction::Forward) if nth <= 2 => Behaviour::Reject("BUSY"),
        _ => Behaviour::Accept,
    };
    let stock_silent: Behave = |deed, _| match deed {
        (0, 1, Direction::Forward) => Behaviour::Drop,
        _ => Behaviour::Accept,
    };
    let full: Behave = |deed, _| match deed {
        (0, 1, Direction::Forward) => Behaviour::Reject("FULL"),
        _ => Behaviour::Accept,
    };
    for (name, file, behave) in [
        ("fulfilment-done.expected", 0, accepted),
        ("fulfilment-declined.expected", 0, charge_refused),
        ("fulfilment-busy.expected", 0, charge_busy),
        ("fulfilment-silent.expected", 0, stock_silent),
        ("travel-full.expected", 1, full),
    ] {
        let (file, kind, data) = LED[file];
        let play = Play::load(file);
        let mut desk = begun(&play, kind, data);
        desk.run(&mut |deed, nth| behave(deed, nth), &mut |_| None);
        check_end(&desk);
        expect(name, &desk.transcript());
    }
}
