//! The versions that instances of sagas may have begun with.
//!
//! Of every version but the one that runs it is known which types its sagas take: they are read even where the file that runs has no
//! use for them. The version itself is loaded when the first of its instances comes, and made ready once per worker; after a restart
//! one that has none left costs nothing. A definition that is not known sends for what was applied in the meantime: under a
//! rolling upgrade a newer worker's instances come to older ones, too.

use super::{Applied, read};
use crate::broker::Broker;
use crate::node::{Book, Versions, World};
use crate::record::Text;
use crate::sync::lock;
use crate::topology::model::Topology;
use crate::topology::plan::Plan;
use crate::topology::{Loaded, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

/// A version with sagas that differ from those of a file.
#[derive(Debug)]
pub struct Other<'a> {
    /// What was applied.
    pub applied: &'a Applied,
    /// Its sagas that are another in the file, or gone from it, with the definitions that their instances have.
    pub sagas: BTreeMap<String, BTreeSet<String>>,
    /// What it is; an error says why this engine cannot read it.
    pub loaded: Result<Loaded, String>,
}

/// The versions with sagas that differ from those of a file.
pub fn others<'a>(all: &'a [Applied], topology: &Topology, secrets: &dyn Sources) -> Vec<Other<'a>> {
    let own: BTreeMap<&str, &str> = topology.sagas.iter().map(|saga| (saga.name.as_str(), saga.definition.as_str())).collect();
    let mut others = Vec::new();
    for applied in all {
        let loaded = load(applied, secrets);
        let mut sagas = applied.sagas.clone();
        if let Ok(loaded) = &loaded {
            for saga in &loaded.checked.as_ref().expect("it was checked").0.sagas {
                sagas.entry(saga.name.to_string()).or_default().insert(saga.definition.to_string());
            }
        }
        // What was computed by another engine counts as the same where this one computes the same.
        sagas.retain(|saga, known| own.get(saga.as_str()).is_none_or(|own| !known.contains(*own)));
        if !sagas.is_empty() {
            others.push(Other { applied, sagas, loaded });
        }
    }
    others
}

fn load(applied: &Applied, secrets: &dyn Sources) -> Result<Loaded, String> {
    let loaded = applied.reload_with(secrets).ok_or("it is no definition")?;
    match &loaded.checked {
        Some(_) => Ok(loaded),
        None => {
            let first = loaded.findings.iter().find(|found| found.code.starts_with('E'));
            Err(first.map_or_else(|| "it has findings".to_owned(), ToString::to_string))
        }
    }
}

/// The versions of a topology, for a worker that runs one of them.
pub struct Known {
    topology: Arc<Topology>,
    plan: Arc<Plan>,
    secrets: Box<dyn Sources + Send>,
    broker: Arc<dyn Broker>,
    /// The schemas of the version that is in force.
    book: Book,
    /// Types that sagas of other versions take.
    takes: BTreeMap<Text, BTreeSet<Text>>,
    state: Mutex<State>,
}

struct State {
    all: Vec<Applied>,
    made: BTreeMap<u32, Arc<World>>,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("takes", &self.takes).finish_non_exhaustive()
    }
}

impl Known {
    /// From what was applied of a topology; `secrets` reads the files that its params name.
    pub fn new(
        all: Vec<Applied>,
        topology: Arc<Topology>,
        plan: Arc<Plan>,
        broker: Arc<dyn Broker>,
        secrets: Box<dyn Sources + Send>,
    ) -> Self {
        let mut takes: BTreeMap<Text, BTreeSet<Text>> = BTreeMap::new();
        for other in others(&all, &topology, &*secrets) {
            let Ok(loaded) = &other.loaded else { continue };
            let (model, _) = loaded.checked.as_ref().expect("it was checked");
            for saga in model.sagas.iter().filter(|saga| other.sagas.contains_key(saga.name.as_str())) {
                let types = saga.takes.iter().map(|taken| taken.kind.clone());
                takes.entry(saga.name.clone()).or_default().extend(types);
            }
        }
        Self {
            topology,
            plan,
            secrets,
            broker,
            book: Book::empty(),
            takes,
            state: Mutex::new(State { all, made: BTreeMap::new() }),
        }
    }

    /// With the schemas that messages in Avro are written with, whichever version sends them.
    #[must_use]
    pub fn with_book(mut self, book: Book) -> Self {
        self.book = book;
        self
    }

    fn find(&self, state: &mut State, saga: &str, definition: &str) -> Result<Option<Arc<World>>, Text> {
        let is_of = |applied: &Applied| applied.sagas.get(saga).is_some_and(|known| known.contains(definition));
        let mut unreadable = None;
        // The one that names it first; of those that do not, an earlier engine may have had another form.
        for certain in [true, false] {
            for applied in state.all.iter().filter(|applied| is_of(applied) == certain) {
                let version = applied.version;
                if let Some(world) = state.made.get(&version).filter(|_| certain) {
                    return Ok(Some(world.clone()));
                }
                let loaded = load(applied, &*self.secrets);
                let why = match loaded {
                    Ok(Loaded { checked: Some((topology, plan)), .. }) => {
                        let named =
                            topology.sagas.iter().any(|one| one.name == saga && (certain || one.definition == definition));
                        if !named {
                            continue;
                        }
                        let world = World::beside(Arc::new(topology), Arc::new(plan), &self.plan, self.book.clone());
                        tracing::info!(topology = %self.topology.name, saga, version, "instances of this version are led by it");
                        state.made.insert(version, world.clone());
                        return Ok(Some(world));
                    }
                    Ok(_) => "it has findings".to_owned(),
                    Err(why) => why,
                };
                let text = format!(
                    "the saga began with version {version}, which this engine cannot read ({why}): run the engine that applied it \
                     ({}) until `skald saga drain` shows that none of its instances is left",
                    applied.engine
                );
                unreadable = unreadable.or(certain.then(|| Text::from(text)));
            }
            if let Some(why) = unreadable.take() {
                return Err(why);
            }
        }
        Ok(None)
    }
}

impl Versions for Known {
    fn takes(&self, saga: &str, kind: &str) -> bool {
        self.takes.get(saga).is_some_and(|types| types.contains(kind))
    }

    fn world(&self, saga: &str, definition: &str) -> Result<Option<Arc<World>>, Text> {
        let mut state = lock(&self.state);
        if let Some(world) = self.find(&mut state, saga, definition)? {
            return Ok(Some(world));
        }
        match read(&*self.broker, &self.topology.name) {
            Ok(all) => state.all = all,
            Err(error) => return Err(format!("{error}: {}", chain(&error)).into()),
        }
        self.find(&mut state, saga, definition)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}
