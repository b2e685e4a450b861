//! Schemas for workers: from a bounded cache at once, from the registry when it has answered.
//!
//! ```text
//!              find                     it has one
//!  (unknown) ────────▶ Wanted ─────────────────────────▶ Found
//!      ▲               │    ▲ it does not answer,
//!      │               │    └─┘ later each time
//!      └──── a minute ─┴─ it says there is none ───────▶ Absent
//! ```
//!
//! A thread of its own asks, one id at a time: however many workers and records want a schema, it is asked for once. Ids come
//! from records, which may hold anything, so questions are rationed, and so is what is remembered. A registry that was down is
//! asked for ever: whoever wants the schema waits.

use super::{Error, Registry};
use crate::clock::Clock;
use crate::codec::{Document, Lookup, SchemaId, Schemas};
use crate::sync::lock;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// An id that does not exist is not asked for again for so long.
const ABSENT_FOR: Duration = Duration::from_secs(60);
/// Pause after a question that was not answered; it doubles.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Down to this often.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);
/// So many questions may be asked at once …
const QUESTIONS: u32 = 20;
/// … and one more each time that so long has passed.
const QUESTION_EVERY: Duration = Duration::from_millis(100);
/// Ids that are remembered.
const ENTRIES_MAX: usize = 2_000;
/// Bytes of schemas that are remembered.
const BYTES_MAX: usize = 64 << 20;

/// See the module.
pub struct Lookups {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    registry: Arc<dyn Registry>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: FxHashMap<SchemaId, Entry>,
    bytes: usize,
    /// Counts what was wanted, to tell what is oldest.
    turn: u64,
    over: bool,
}

struct Entry {
    turn: u64,
    known: Known,
}

enum Known {
    Wanted { due: Duration, tries: u32 },
    Found(Arc<Document>),
    Absent { until: Duration },
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lookups({:?})", self.shared.registry)
    }
}

impl Lookups {
    /// Starts to ask a registry for what will be wanted.
    pub fn start(registry: Arc<dyn Registry>, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { registry, clock, state: Mutex::default() });
        let asking = shared.clone();
        let thread = thread::Builder::new().name("registry".into()).spawn(move || asking.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        lock(&self.shared.state).over = true;
        if let Some(thread) = &self.thread {
            // It ends by itself, at the latest when its question under way has timed out.
            thread.thread().unpark();
        }
    }
}

impl Schemas for Lookups {
    fn find(&self, id: SchemaId) -> Lookup {
        let now = self.shared.clock.mono();
        let mut state = lock(&self.shared.state);
        match state.entries.get(&id).map(|entry| &entry.known) {
            Some(Known::Found(document)) => return Lookup::Found(document.clone()),
            Some(Known::Absent { until }) if now < *until => return Lookup::Absent,
            Some(Known::Wanted { .. }) => return Lookup::Pending,
            Some(Known::Absent { .. }) | None => {}
        }
        state.put(id, Known::Wanted { due: now, tries: 0 });
        drop(state);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Lookup::Pending
    }
}

impl State {
    fn put(&mut self, id: SchemaId, known: Known) {
        if let Known::Found(document) = &known {
            self.bytes += document.bytes();
        }
        self.turn += 1;
        let entry = Entry { turn: self.turn, known };
        if let Some(Entry { known: Known::Found(old), .. }) = self.entries.insert(id, entry) {
            self.bytes -= old.bytes();
        }
        while (self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX) && self.entries.len() > 1 {
            // What was wanted last stays, and what is forgotten is asked for again.
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.turn).map(|(id, _)| *id);
            let oldest = oldest.expect("there are several");
            if let Some(Entry { known: Known::Found(old), .. }) = self.entries.remove(&oldest) {
                self.bytes -= old.bytes();
            }
        }
    }

    /// The id that has waited longest, if it is its turn; else when the next one's is.
    fn next(&self, now: Duration) -> Result<(SchemaId, u32), Option<Duration>> {
        let wanted = self.entries.iter().filter_map(|(id, entry)| match entry.known {
            Known::Wanted { due, tries } => Some((due, entry.turn, *id, tries)),
            _ => None,
        });
        match wanted.min() {
            Some((due, _, id, tries)) if due <= now => Ok((id, tries)),
            Some((due, ..)) => Err(Some(due)),
            None => Err(None),
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut ration = Ration { left: QUESTIONS, since: self.clock.mono() };
        loop {
            let now = self.clock.mono();
            let next = {
                let state = lock(&self.state);
                if state.over {
                    return;
                }
                state.next(now)
            };
            let wait = match next {
                Ok((id, tries)) => match ration.take(now) {
                    Ok(()) => {
                        self.ask(id, tries);
                        continue;
                    }
                    Err(wait) => Some(wait),
                },
                Err(due) => due.map(|due| due.saturating_sub(now)),
            };
            match wait {
                Some(wait) => thread::park_timeout(wait),
                None => thread::park(),
            }
        }
    }

    fn ask(&self, id: SchemaId, tries: u32) {
        let answer = self.registry.schema(id);
        let now = self.clock.mono();
        let known = match answer {
            Ok(document) => Known::Found(Arc::new(document)),
            Err(Error::Absent(_)) => {
                tracing::warn!(%id, "the schema registry has no schema of this id: records that carry it are dead letters");
                Known::Absent { until: now + ABSENT_FOR }
            }
            Err(error) => {
                let wait = (AGAIN_AFTER * 2_u32.pow(tries.min(10))).min(AGAIN_AFTER_MAX);
                tracing::warn!(%id, %error, again_after = ?wait, "a schema is not known yet: records that carry its id wait");
                Known::Wanted { due: now + wait, tries: tries.saturating_add(1) }
            }
        };
        lock(&self.state).put(id, known);
    }
}

/// Questions that may be asked: some at once, then so many in a second.
struct Ration {
    left: u32,
    since: Duration,
}

impl Ration {
    /// Takes one, or says how long to wait for it.
    fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let gained = now.saturating_sub(self.since).as_millis() / QUESTION_EVERY.as_millis();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        self.since = if self.left.saturating_add(gained) >= QUESTIONS { now } else { self.since + QUESTION_EVERY * gained };
        self.left = self.left.saturating_add(gained).min(QUESTIONS);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err((self.since + QUESTION_EVERY).saturating_sub(now)),
        }
    }
}
