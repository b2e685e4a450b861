//! From the text of a scenario file to checked cases, with every problem on the way said.

mod expect;
mod fields;
mod message;
mod saga;

use super::model::{Act, Action, Case, Crash, Given, GivenState, Made, Round, Suite};
use super::shape::{ACTS, CASE, CRASH, CRASHES, FILE, GIVEN_STATE, POINTS, STEP};
use crate::node::{Trail, World};
use crate::record::{Millis, Text, Value};
use crate::runtime::Program;
use crate::topology::model::Topology;
use crate::topology::plan::{Owner, Partitions, Plan, TaskCount};
use crate::topology::yaml::{self, Node};
use crate::topology::{Diagnostic, Findings, Loaded, Severity, SourceText, finding};
use fields::Fields;
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Where the clock stands at the start of a case: 2026-01-01T00:00:00Z.
const START: Millis = 1_767_225_600_000;
const WORKERS_MAX: u32 = 8;
const PARTITIONS_MAX: u32 = 64;

/// Where the topologies are that scenario files name.
pub trait Topologies {
    /// Loads a topology file, named from the folder of the scenario file, with these values of params.
    fn load(&self, path: &str, params: &[(String, String)]) -> io::Result<Loaded>;
}

/// What came of a scenario file.
pub struct Reading {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Has it the field `skald-test`? A file without it is no scenario file.
    pub marked: bool,
    /// Its cases; only when there is no error.
    pub suite: Option<Suite>,
    /// Everything that was found, in the order of the file.
    pub findings: Vec<Diagnostic>,
}

/// Is this the text of a scenario file, as far as a look at its lines tells?
pub fn is_marked(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"skald-test:"))
}

/// Reads and checks a scenario file, with the topology that it names. Never panics, whatever the bytes are.
pub fn read(file: &str, bytes: &[u8], topologies: &dyn Topologies) -> Reading {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut findings = Findings::new(SourceText::new(file, text));
    let mut reading = Reading {
        file: file.into(),
        text: findings.source().text.clone(),
        marked: is_marked(bytes),
        suite: None,
        findings: Vec::new(),
    };
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        findings.push(at..at, finding("E101", "the file is not UTF-8"));
    } else if let Some(root) = yaml::read(&mut findings) {
        let mut root = root;
        yaml::mend(&mut root, &mut findings);
        let suite = Reader::new(&mut findings, topologies).suite(&root);
        reading.suite = suite.filter(|_| !findings.has_errors());
    } else if !findings.has_errors() {
        findings.push(0..0, finding("E106", "the file is empty").hint("begin with `skald-test: 1`"));
    }
    reading.findings = findings.finish();
    reading
}

/// The topology that a scenario file names, if it can be told.
pub fn topology_of(bytes: &[u8]) -> Option<String> {
    let mut findings = Findings::new(SourceText::new("", std::str::from_utf8(bytes).ok()?));
    let root = yaml::read(&mut findings)?;
    Some(root.get("topology")?.scalar()?.text.clone())
}

struct Reader<'a> {
    findings: &'a mut Findings,
    topologies: &'a dyn Topologies,
    trail: Arc<Trail>,
    made: Vec<(Setting, Made)>,
    /// What the case in hand runs on.
    topology: Option<Arc<Topology>>,
    plan: Option<Arc<Plan>>,
    /// Topics of the case that the topology does not know.
    others: BTreeSet<Text>,
    /// Does a message of the case want an answer?
    asks: bool,
    case: String,
    messages: usize,
}

/// What a topology is made ready with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Setting {
    params: Vec<(String, String)>,
    partitions: Option<u32>,
}

/// What holds for a case unless it says otherwise.
#[derive(Clone, Default)]
struct Defaults {
    setting: Setting,
    start: Option<Millis>,
    workers: Option<u32>,
    exact: bool,
}

impl<'a> Reader<'a> {
    fn new(findings: &'a mut Findings, topologies: &'a dyn Topologies) -> Self {
        Self {
            findings,
            topologies,
            trail: Arc::default(),
            made: Vec::new(),
            topology: None,
            plan: None,
            others: BTreeSet::new(),
            asks: false,
            case: String::new(),
            messages: 0,
        }
    }

    fn suite(mut self, root: &Node) -> Option<Suite> {
        let fields = self.fields(root, &FILE)?;
        match fields.get("skald-test").and_then(Node::scalar).map(|scalar| &scalar.value) {
            Some(Value::Int(1)) => {}
            Some(_) => {
                let range = fields.get("skald-test").map_or(0..0, |node| node.range.clone());
                self.say(range, finding("E1001", "this engine reads scenario files of version 1").hint("`skald-test: 1`"));
            }
            None => self.say(fields.head(), finding("E106", "a scenario file begins with `skald-test: 1`")),
        }
        let Some(path) = fields.some("topology") else {
            let found = finding("E106", "a scenario file needs `topology`: the file that it is about");
            self.say(fields.head(), found.hint("as `topology: shop.yaml`, from the folder of this file"));
            return None;
        };
        let (range, path) = (path.range.clone(), self.text(path)?);
        self.optional_text(&fields, "description");
        let defaults = self.defaults(&fields, &Defaults::default());
        let topology = self.make(&path, &range, &defaults.setting)?;
        let mut cases = Vec::new();
        let mut names = BTreeSet::new();
        if fields.some("cases").is_none() {
            self.say(fields.head(), finding("E106", "a scenario file needs `cases`"));
        }
        for node in self.items(fields.get("cases"), "cases") {
            let case = self.case(node, &path, &range, &defaults);
            if let Some(case) = case {
                if !names.insert(case.name.clone()) {
                    self.say(case.range.clone(), finding("E1011", format!("there is a case `{}` already", case.name)));
                }
                cases.push(case);
            }
        }
        let source = self.findings.source();
        Some(Suite {
            file: source.file.clone(),
            text: source.text.clone(),
            topology: self.made[topology].1.file.clone(),
            cases,
            made: self.made.into_iter().map(|(_, made)| made).collect(),
            trail: self.trail,
        })
    }

    fn defaults(&mut self, fields: &Fields<'_>, outer: &Defaults) -> Defaults {
        let mut setting = outer.setting.clone();
        for (name, value) in self.params(fields.get("params")) {
            setting.params.retain(|(known, _)| *known != name);
            setting.params.push((name, value));
        }
        setting.partitions = self.optional_count(fields, "partitions", 1..=PARTITIONS_MAX).or(setting.partitions);
        Defaults {
            setting,
            start: fields.get("now").and_then(|node| self.moment(node)).or(outer.start),
            workers: self.optional_count(fields, "workers", 1..=WORKERS_MAX).or(outer.workers),
            exact: self.truth(fields, "exact").unwrap_or(outer.exact),
        }
    }

    /// Makes the topology ready, once for each setting; its index.
    fn make(&mut self, path: &str, range: &Range<usize>, setting: &Setting) -> Option<usize> {
        let known = self.made.iter().position(|(known, _)| known == setting);
        let at = match known {
            Some(at) => at,
            None => {
                let loaded = match self.topologies.load(path, &setting.params) {
                    Ok(loaded) => loaded,
                    Err(error) => {
                        self.say(range.clone(), finding("E1002", format!("`{path}` cannot be read: {error}")));
                        return None;
                    }
                };
                let first = loaded.findings.iter().find(|found| found.severity() == Severity::Error).map(ToString::to_string);
                let Some((topology, plan)) = loaded.checked else {
                    let found = finding("E1002", format!("the topology `{path}` has errors"));
                    let found = match first {
                        Some(first) => found.cause(first),
                        None => found,
                    };
                    self.say(range.clone(), found.hint(format!("see `skald check {path}`")));
                    return None;
                };
                let plan = Arc::new(setting.partitions.map_or_else(|| plan.clone(), |count| with_partitions(&plan, count)));
                let world = World::with_trail(Arc::new(topology), plan, Some(self.trail.clone()));
                let program = Arc::new(Program::compile(&world));
                let made = Made { file: loaded.file, world, program, partitions: setting.partitions.unwrap_or(1) };
                self.made.push((setting.clone(), made));
                self.made.len() - 1
            }
        };
        let world = &self.made[at].1.world;
        (self.topology, self.plan) = (Some(world.topology.clone()), Some(world.plan.clone()));
        Some(at)
    }

    fn case(&mut self, node: &Node, path: &str, topology: &Range<usize>, outer: &Defaults) -> Option<Case> {
        let fields = self.fields(node, &CASE)?;
        let name = match fields.some("name") {
            Some(node) => node,
            None => {
                self.say(fields.head(), finding("E106", "a case needs a `name`: what it shows"));
                return None;
            }
        };
        let (range, name) = (name.range.clone(), self.text(name)?.to_string());
        self.optional_text(&fields, "description");
        let skip = self.optional_text(&fields, "skip").map(|reason| reason.to_string());
        let defaults = self.defaults(&fields, outer);
        let made = self.make(path, topology, &defaults.setting)?;
        (self.case, self.messages, self.asks) = (name.clone(), 0, false);
        self.others.clear();
        let mut workers = defaults.workers.unwrap_or(1);

        let given = self.items(fields.get("given"), "messages and states").iter().filter_map(|item| self.given(item)).collect();
        let mut rounds = Vec::new();
        let several = fields.some("steps");
        if let (Some(_), Some(entry)) = (several, fields.entry("when").or_else(|| fields.entry("then"))) {
            let found = finding("E1008", format!("`{}` stands beside `steps`", entry.key));
            self.say(entry.key_range.clone(), found.hint("make it a step of its own"));
        }
        match several {
            Some(steps) => {
                for item in self.items(Some(steps), "steps") {
                    let Some(step) = self.fields(item, &STEP) else { continue };
                    rounds.push(self.round(&step, &mut workers, defaults.exact));
                }
            }
            None => rounds.push(self.round(&fields, &mut workers, defaults.exact)),
        }
        if rounds.iter().all(|round| round.when.is_empty()) && !self.findings.has_errors() {
            self.say(range.clone(), finding("E106", "nothing happens in this case").hint("say `when`, or `steps`"));
        }
        Some(Case {
            name,
            range,
            skip,
            made,
            start: defaults.start.unwrap_or(START),
            workers: defaults.workers.unwrap_or(1) as usize,
            given,
            rounds,
            others: std::mem::take(&mut self.others).into_iter().collect(),
        })
    }

    fn round(&mut self, fields: &Fields<'_>, workers: &mut u32, exact: bool) -> Round {
        let name = self.optional_text(fields, "name").map(|name| name.to_string());
        let mut when: Vec<Action> = Vec::new();
        for item in self.items(fields.get("when"), "messages and acts") {
            let after_message = when.iter().any(|action| matches!(action.act, Act::Send(_)));
            if let Some(act) = self.action(item, workers, after_message) {
                let range = item.map().and_then(<[_]>::first).map_or(item.range.clone(), |entry| entry.key_range.clone());
                when.push(Action { act, range });
            }
        }
        let then = fields.get("then");
        let items = self.items(then.filter(|node| !node.is_null()), "what is expected");
        let then_range = then.filter(|node| !node.is_null()).map(|node| node.range.clone());
        let expected = items.iter().filter_map(|item| self.expected(item, exact)).collect();
        let first_key = fields.entry("when").map_or(fields.head(), |entry| entry.key_range.clone());
        let then_key = fields.entry("then").map(|entry| entry.key_range.clone());
        Round { name, when, then: expected, then_key, then_range, range: fields.node.range.clone(), first_key }
    }

    fn given(&mut self, node: &Node) -> Option<Given> {
        if node.get("saga").is_some() {
            return self.given_saga(node);
        }
        if node.get("answer").is_some() {
            return self.answer(node).map(|answer| Given::Answer(Box::new(answer)));
        }
        if node.get("state").is_none() {
            return self.message(node).map(|message| Given::Message(Box::new(message)));
        }
        let fields = self.fields(node, &GIVEN_STATE)?;
        let name = fields.get("state")?;
        let index = self.aggregate_named(name)?;
        let key = match fields.some("key") {
            Some(node) => self.tree(node)?,
            None => {
                self.say(fields.head(), finding("E106", "a given state needs a `key`: which instance"));
                return None;
            }
        };
        let Some(value) = fields.some("value") else {
            self.say(fields.head(), finding("E106", "a given state needs a `value`"));
            return None;
        };
        let tree = self.tree(value)?;
        let topology = self.topology.clone()?;
        let present = topology.aggregates[index].state_version;
        let state_version = self.optional_count(&fields, "state_version", 1..=present).unwrap_or(present);
        if let (Some(schema), Some(value)) = (&topology.aggregates[index].state.schema, tree.constant())
            && state_version == present
            && !schema.compiled.fits(&value)
        {
            let found = finding("E1006", format!("the state does not fit its schema: {}", schema.compiled.misfit(&value)));
            self.say(tree.range.clone(), found);
        }
        let version = self.optional_count(&fields, "version", 1..=1_000_000_000).unwrap_or(1);
        Some(Given::State(Box::new(GivenState { node: index, key, version: version.into(), state_version, value: tree })))
    }

    fn action(&mut self, node: &Node, workers: &mut u32, after_message: bool) -> Option<Act> {
        if node.get("answer").is_some() {
            return self.answer(node).map(|answer| Act::Answer(Box::new(answer)));
        }
        let act = node.map().and_then(|entries| entries.iter().find(|entry| ACTS.has(&entry.key)));
        let Some(act) = act else { return self.message(node).map(|message| Act::Send(Box::new(message))) };
        let fields = self.fields(node, &ACTS)?;
        if let Some(other) = node.map().and_then(|entries| entries.iter().find(|entry| entry.key != act.key)) {
            let found = finding("E1008", format!("`{}` and `{}` in one item", act.key, other.key));
            self.say(other.key_range.clone(), found.hint("write one item for each"));
        }
        let value = fields.get(&act.key)?;
        match act.key.as_str() {
            "advance" => self.duration(value).map(Act::Advance),
            "duplicate" => {
                if !after_message {
                    self.say(act.key_range.clone(), finding("E1008", "there is no message before this that could come again"));
                }
                self.count(value, 1..=1_000).map(Act::Duplicate)
            }
            "rebalance" => match self.word(value, &["join", "leave"])? {
                "join" if *workers == WORKERS_MAX => {
                    self.say(value.range.clone(), finding("E1010", format!("there are {WORKERS_MAX} workers already")));
                    None
                }
                "join" => {
                    *workers += 1;
                    Some(Act::Join)
                }
                _ if *workers == 1 => {
                    let found = finding("E1010", "the last worker cannot leave: nobody would be there to go on");
                    self.say(value.range.clone(), found.hint("start with `workers: 2`, or let one join before"));
                    None
                }
                _ => {
                    *workers -= 1;
                    Some(Act::Leave)
                }
            },
            "hold" => self.read_topic(value).map(Act::Hold),
            "release" => self.read_topic(value).map(Act::Release),
            _ => self.crash(value, *workers).map(Act::Crash),
        }
    }

    fn crash(&mut self, node: &Node, workers: u32) -> Option<Crash> {
        let point = |word: &str| POINTS.iter().copied().find(|(name, _)| *name == word);
        let mut crash = Crash { point: None, passing: 1, worker: None, down: Duration::ZERO, disk_lost: false };
        if node.map().is_none() {
            crash.point = point(self.word(node, CRASHES)?);
            return Some(crash);
        }
        let fields = self.fields(node, &CRASH)?;
        if let Some(node) = fields.get("at") {
            crash.point = point(self.word(node, CRASHES)?);
        }
        crash.passing = self.optional_count(&fields, "passing", 1..=1_000).unwrap_or(1).into();
        if let Some(node) = fields.get("worker") {
            let number = self.count(node, 1..=WORKERS_MAX)?;
            if number > workers {
                self.say(node.range.clone(), finding("E1010", format!("there is no worker {number}: there are {workers}")));
            }
            crash.worker = Some(number as usize - 1);
        }
        crash.down = fields.get("down").and_then(|node| self.duration(node)).unwrap_or_default();
        if let Some(node) = fields.get("disk") {
            crash.disk_lost = self.word(node, &["kept", "lost"])? == "lost";
        }
        Some(crash)
    }

    /// A topic that the topology reads.
    fn read_topic(&mut self, node: &Node) -> Option<Text> {
        let name = self.text(node)?;
        let plan = self.plan.clone()?;
        let mut read = plan.subtopologies.iter().flat_map(|part| &part.sources).map(|topic| plan.topics[*topic].name.as_str());
        if !read.clone().any(|topic| topic == name) {
            let found = finding("E1003", format!("the topology reads no topic `{name}`"));
            self.say(node.range.clone(), found.meant(&name, &mut read));
            return None;
        }
        Some(name)
    }

    /// The aggregate of that name, as an index of the model.
    fn aggregate_named(&mut self, node: &Node) -> Option<usize> {
        let name = self.text(node)?;
        let topology = self.topology.clone()?;
        let found = topology.aggregates.iter().position(|aggregate| aggregate.name == name);
        if found.is_none() {
            let known = topology.aggregates.iter().map(|aggregate| aggregate.name.as_str());
            let told = finding("E1007", format!("there is no aggregate `{name}`"));
            let told = match topology.sagas.iter().any(|saga| saga.name == name) {
                true => told.hint(format!("of a saga: `saga: {name}`")),
                false => told.meant(&name, known),
            };
            self.say(node.range.clone(), told);
        }
        found
    }
}

/// The plan with another number of partitions for everything that a count is declared of, or left to the cluster.
fn with_partitions(plan: &Plan, count: u32) -> Plan {
    let mut plan = plan.clone();
    for topic in &mut plan.topics {
        let is_left = topic.owner == Owner::User && topic.partitions == Partitions::Cluster;
        if is_left || matches!(topic.partitions, Partitions::Declared(_)) {
            topic.partitions = Partitions::Declared(count);
        }
    }
    for part in &mut plan.subtopologies {
        if let TaskCount::Declared(declared) = &mut part.count {
            *declared = count;
        }
    }
    plan
}
