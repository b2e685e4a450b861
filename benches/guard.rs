//! How many instructions does a record take? More than it did is a regression, whatever else the machine is doing.
//!
//! Each case runs under valgrind twice, with few rounds and with many; the difference divided by the rounds between them is what one
//! round takes, without the start of the process. Input is fixed and there is one thread, so two runs of one build give the same
//! count; what another build may give within [`MARGIN`] is passed over, since the compiler splits code anew when any of it changes.
//!
//! ```text
//! benches/guard             compares with benches/guard.txt
//! UPDATE=1 benches/guard    writes it anew
//! ```
//!
//! Counts are those of the build that `cargo test` makes: this crate without optimisation over optimised dependencies, ten times what
//! the release takes. Building it optimised would cost minutes in every run of `.ci/run`. So a count is no measure of speed, and what only
//! the optimiser sees through is not told from work; what is noticed is work that was not there before: another copy, another look-up,
//! another pass over the bytes.

mod fixture;

use fixture::{Epoch, ORDER, RESERVE, SCHEMA, node, record, step, world};
use skald::broker::{Batch, NewRecord};
use skald::expr::{EvalError, Expect, Fuel, Names, Scope, Slot, Type, compile, names};
use skald::record::{Map, Value, json, partition_of};
use skald::state::{Batch as Writes, Entity, Memory, SlotLimits, Slots, StoreName, Stores};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The one of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A count may be so much above the one that was written down.
const MARGIN: f64 = 0.05;
const FEW: u64 = 200;
const MANY: u64 = 1_200;

/// A name and what is done in one round.
type Case = (&'static str, fn(u64));

const CASES: [Case; 9] = [
    ("decode", |rounds| steps("", rounds)),
    ("forward", |rounds| steps("large", rounds)),
    ("fold", |rounds| steps("customers", rounds)),
    ("decide", |rounds| steps("stock", rounds)),
    ("parse", parse),
    ("serialize", serialize),
    ("expression", expression),
    ("store", store),
    ("partition", partition),
];

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match words.as_slice() {
        [name, rounds] => {
            let case = CASES.iter().find(|(known, _)| known == name).expect("a case of the list");
            case.1(rounds.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        _ => judge(),
    }
}

fn judge() -> ExitCode {
    let found: BTreeMap<&str, u64> = CASES.iter().map(|(name, _)| (*name, per_round(name))).collect();
    if std::env::var_os("UPDATE").is_some() {
        let mut text =
            String::from("# Instructions per round of benches/guard.rs; `UPDATE=1 benches/guard` writes them anew.\n");
        for (name, count) in &found {
            let _ = writeln!(text, "{name} {count}");
        }
        std::fs::write(path(), text).expect("the file is writable");
        return ExitCode::SUCCESS;
    }
    let known = std::fs::read_to_string(path()).expect("benches/guard.txt; `UPDATE=1` writes it");
    let known: BTreeMap<&str, u64> = known
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' ').and_then(|(name, count)| Some((name, count.parse().ok()?))))
        .collect();
    let mut worse = known.keys().copied().collect::<Vec<_>>() != found.keys().copied().collect::<Vec<_>>();
    if worse {
        println!("the cases are others than those of benches/guard.txt");
    }
    for (name, count) in &found {
        let before = known.get(name).copied().unwrap_or(*count);
        let share = *count as f64 / before as f64 - 1.0;
        let verdict = match share {
            share if share > MARGIN => "MORE THAN IT MAY BE",
            share if share < -MARGIN => "less: write it down with UPDATE=1",
            _ => "",
        };
        println!("{name:<12} {before:>8} {count:>8} {:>+7.1} %  {verdict}", share * 100.0);
        worse |= share > MARGIN;
    }
    if worse { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/guard.txt")
}

fn per_round(case: &str) -> u64 {
    (instructions(case, MANY) - instructions(case, FEW)) / (MANY - FEW)
}

/// Of a whole process.
fn instructions(case: &str, rounds: u64) -> u64 {
    let binary = std::env::current_exe().expect("this program has a file");
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(binary)
        .args([case, &rounds.to_string()])
        // What the shell of one machine has and that of another has not moves the stack.
        .env_clear()
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{case}: {said}");
    let count = said.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind says what it has counted").1;
    count.trim().parse().expect("a number")
}

/// A record through a node, or only to its event.
fn steps(name: &str, rounds: u64) {
    let world = world(SCHEMA);
    let decoder = world.decoder(world.topic("orders"));
    let record = record(if name == "stock" { RESERVE } else { ORDER });
    if name.is_empty() {
        for _ in 0..rounds {
            black_box(decoder.decode(black_box(&record)).expect("a good record"));
        }
        return;
    }
    let (node, mut epoch) = (node(&world, name), Epoch::default());
    for _ in 0..rounds {
        step(&world, &decoder, &*node, &record, &mut epoch);
    }
}

fn parse(rounds: u64) {
    for _ in 0..rounds {
        black_box(json::read(black_box(ORDER.as_bytes())).expect("JSON"));
    }
}

fn serialize(rounds: u64) {
    let (value, mut out) = (json::read(ORDER.as_bytes()).expect("JSON"), Vec::with_capacity(1_024));
    for _ in 0..rounds {
        out.clear();
        json::write(black_box(&value), &mut out).expect("it was read");
        black_box(&out);
    }
}

struct Frame {
    data: Value,
    state: Value,
}

impl Names for Frame {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        Ok(if slot == names::DATA { &self.data } else { &self.state })
    }
}

fn expression(rounds: u64) {
    let data = json::read(ORDER.as_bytes()).expect("JSON").get("data").cloned().unwrap_or_default();
    let frame = Frame { data, state: json::read(br#"{"status":"open","total":10.5}"#).expect("JSON") };
    let scope = Scope::new().with(names::DATA, Type::Any).with(names::STATE, Type::Any);
    let text = "data.total > 10.0 && state.status == 'open' && data.orderId.startsWith('order-')";
    let program = compile(text, &scope, &Expect::Any).program.expect("a good expression");
    for _ in 0..rounds {
        black_box(program.eval(black_box(&frame), &mut Fuel::new()).expect("it holds"));
    }
}

/// A state that is read, changed, sealed into its changelog record and applied to a store in memory, ten to an epoch.
fn store(rounds: u64) {
    const EPOCH: u64 = 10;
    let limits = SlotLimits { cache_bytes: 1 << 20, record_bytes: 1 << 20 };
    let store = Memory::new().open(&StoreName::of_node("orders"), 0).expect("opens");
    let (mut slots, mut batch) = (Slots::new(store, "orders.0", limits), Batch::new(vec!["log".into()]));
    for round in 0..rounds {
        // As many keys as there are whatever the rounds, so that a store that has grown is no difference.
        let key = format!("order-{:04}", round % FEW);
        black_box(slots.entity(key.as_bytes()).expect("reads"));
        let fields =
            [("customer", Value::from("customer-17")), ("orders", Value::from(round as i64)), ("total", Value::from(1.25))];
        let value = Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map>());
        let entity = Entity { value, version: round, last_event: None, state_version: 1, expires_at: None };
        slots.put_entity(key.as_bytes(), Some(entity)).expect("fits");
        slots.keep();
        if round % EPOCH == EPOCH - 1 {
            let writes = slots.seal(&mut |entry| {
                let (key, value) = (Some(entry.key), entry.value);
                batch.push(NewRecord { topic: 0, partition: 0, timestamp: 0, key, value, headers: &[] });
            });
            let writes = writes.expect("seals");
            slots.store().clone().apply(&Writes { writes, checkpoints: Vec::new() }).expect("applies");
            slots.committed();
            black_box(&batch);
            batch.clear();
        }
    }
}

fn partition(rounds: u64) {
    for _ in 0..rounds {
        black_box(partition_of(black_box(b"customer-2654435761"), 12));
    }
}
