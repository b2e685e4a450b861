//! May a topology take the place of what was applied before? Asked by `plan`, `apply` and `run` alike.

use super::Problem;
use super::cluster::failed;
use super::load::Checked;
use crate::applied::{self, Applied, Standing, standing};
use crate::broker::Broker;
use crate::change::{Comparison, Mark, Reason, Side, Verdict, compare, lacks};
use crate::clock::Clock;
use crate::config::Exit;
use crate::desk::{self, Desk};
use crate::record::Text;
use crate::runtime::Survey;
use crate::topology::Loaded;
use std::collections::BTreeMap;

/// How a file stands to what was applied, and what taking it would mean.
pub(super) struct Weighed {
    /// What it was compared with, in words.
    pub(super) against: Option<String>,
    /// What that gave.
    pub(super) comparison: Option<Comparison>,
    /// Why it is not taken, where that is no matter of one node.
    pub(super) refusal: Option<String>,
    /// Is it to be recorded?
    pub(super) records: bool,
    /// What becomes of the recorded definition.
    pub(super) text: String,
}

/// What old records of a topic are there, as far as the cluster's settings tell.
pub(super) struct Reach(BTreeMap<Text, String>);

impl Reach {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Self(BTreeMap::new())
    }

    /// From the settings of the topics of a plan.
    pub(super) fn of(survey: &Survey) -> Self {
        let found = survey.topics.iter().filter_map(|topic| topic.found.as_ref());
        let cut = found.filter_map(|info| {
            let setting = |name: &str| info.config.get(name).map_or("", String::as_str);
            if setting("cleanup.policy").contains("compact") {
                return Some((info.name.clone(), "keeps the last record of a key only".to_owned()));
            }
            let bounds = [("retention.ms", "ms"), ("retention.bytes", "bytes")];
            let bound = bounds.iter().find(|(name, _)| !matches!(setting(name), "" | "-1"));
            bound.map(|(name, _)| (info.name.clone(), format!("keeps its records for `{name}={}` only", setting(name))))
        });
        Self(cut.collect())
    }

    fn cut(&self, topic: &str) -> Option<String> {
        self.0.get(topic).cloned()
    }
}

/// Weighs a file against everything that was applied.
pub(super) fn weigh(all: &[Applied], checked: &Checked, reach: &Reach) -> Weighed {
    let version = checked.plan.version;
    let with = |other: &Applied| {
        let against = Some(format!("version {} on the cluster", other.version));
        match compared(other.reload(), checked, reach) {
            Ok(comparison) => (against, Some(comparison), None),
            Err(why) => (against, None, Some(format!("version {} on the cluster cannot be read: {why}", other.version))),
        }
    };
    let standing = standing(all, version, &checked.definition);
    let last = all.iter().max_by_key(|applied| applied.version);
    let (against, comparison, unreadable) = last.map_or((None, None, None), with);
    let (refusal, records, text) = match standing {
        Standing::First => (None, true, format!("version {version} is to be recorded, the first")),
        Standing::Same(_) => return same(version, against, comparison),
        Standing::Next(_) => (unreadable, true, format!("version {version} is to be recorded")),
        Standing::Earlier(last) => {
            (unreadable, false, format!("version {version} was applied before version {}", last.version))
        }
        Standing::Refused(why) => (Some(why), false, "nothing is recorded".to_owned()),
    };
    Weighed { against, comparison, refusal, records, text }
}

/// What was applied last: nothing to weigh, whatever states were kept then.
fn same(version: u32, against: Option<String>, comparison: Option<Comparison>) -> Weighed {
    Weighed { against, comparison, refusal: None, records: false, text: format!("version {version} is recorded") }
}

/// Compares with another file, or with a definition that was read again.
pub(super) fn compared(old: Option<Loaded>, checked: &Checked, reach: &Reach) -> Result<Comparison, String> {
    let old = old.ok_or("it is no definition")?;
    let (Some((topology, plan)), Some(definition)) = (&old.checked, &old.definition) else {
        let first = old.findings.iter().find(|found| found.code.starts_with('E'));
        return Err(first.map_or_else(|| "it has findings".to_owned(), ToString::to_string));
    };
    Ok(compare(Side { topology, plan, definition }, checked.side(), &|topic| reach.cut(topic)))
}

/// Adds to what was weighed which running instances of sagas would lack something, or be left behind. Only where something is lacking
/// are they counted: that takes a look at each.
pub(super) fn look_after_instances(
    broker: &dyn Broker,
    all: &[Applied],
    checked: &Checked,
    weighed: &mut Weighed,
) -> Result<(), Problem> {
    let mut census = Census { broker, checked, open: BTreeMap::new() };
    for (saga, text) in census.lacking(all, weighed.records)? {
        match &mut weighed.comparison {
            Some(comparison) if comparison.nodes.iter().any(|node| node.name == saga) => {
                comparison.add(&saga, Reason { verdict: Verdict::Refused, text, at: None });
            }
            _ => weighed.refusal = weighed.refusal.take().or(Some(text)),
        }
    }
    let Some(comparison) = &mut weighed.comparison else { return Ok(()) };
    let gone = comparison.left_behind().filter(|node| node.kind == "saga").map(|node| node.name.clone());
    for saga in gone.collect::<Vec<_>>() {
        let open: u64 = census.open_of(&saga)?.values().sum();
        if open > 0 {
            let text = format!("{open} of its instances are under way (`skald saga drain`)");
            comparison.add(&saga, Reason { verdict: Verdict::Refused, text, at: None });
        }
    }
    Ok(())
}

/// Instances under way, looked at once per saga.
struct Census<'a> {
    broker: &'a dyn Broker,
    checked: &'a Checked,
    open: BTreeMap<String, BTreeMap<Text, u64>>,
}

impl Census<'_> {
    /// What instances of other versions would lack, by saga. Of a file that was taken before (`anew` says it was not) only what cannot be
    /// read at all: what it lacks was weighed then.
    fn lacking(&mut self, all: &[Applied], anew: bool) -> Result<Vec<(String, String)>, Problem> {
        let mut lines = Vec::new();
        for other in applied::others(all, &self.checked.topology, &self.checked.sources()) {
            let version = other.applied.version;
            for (saga, definitions) in &other.sagas {
                if !self.checked.topology.sagas.iter().any(|model| model.name == saga.as_str()) {
                    continue;
                }
                let lacking = match &other.loaded {
                    Ok(Loaded { checked: Some((topology, plan)), definition: Some(definition), .. }) if anew => {
                        lacks(Side { topology, plan, definition }, self.checked.side(), saga)
                    }
                    Ok(_) => Vec::new(),
                    Err(why) => {
                        let engine = &other.applied.engine;
                        vec![format!(
                            "this engine cannot read that version ({why}): run {engine}, which applied it, until they are drained"
                        )]
                    }
                };
                if lacking.is_empty() {
                    continue;
                }
                let open = self.open_of(saga)?;
                let count: u64 =
                    open.iter().filter(|(own, _)| definitions.contains(own.as_str())).map(|(_, count)| count).sum();
                if count > 0 {
                    let under_way = if count == 1 { "instance is" } else { "instances are" };
                    lines.extend(lacking.into_iter().map(|lack| {
                        (saga.clone(), format!("{count} {under_way} under way that began with version {version}: {lack} until `skald saga drain` shows none of them"))
                    }));
                }
            }
        }
        Ok(lines)
    }

    /// Instances of a saga that are not over, by definition.
    fn open_of(&mut self, saga: &str) -> Result<&BTreeMap<Text, u64>, Problem> {
        if !self.open.contains_key(saga) {
            let found = Desk::open(self.broker, &self.checked.plan.topology, Some(saga));
            let remains = match found.and_then(|desk| desk.remains(&mut |_, _| {})) {
                Ok(remains) => remains.into_iter().map(|(own, of)| (own, of.open.values().sum())).collect(),
                // It never ran.
                Err(desk::Error::NoSagas { .. } | desk::Error::NoSaga { .. }) => BTreeMap::new(),
                Err(error) => return Err(Problem::of(Exit::Failed, &error)),
            };
            self.open.insert(saga.to_owned(), remains);
        }
        Ok(&self.open[saga])
    }
}

/// Everything that was applied of a topology.
pub(super) fn applied_to(broker: &dyn Broker, topology: &str) -> Result<Vec<Applied>, Problem> {
    applied::read(broker, topology).map_err(|error| problem(&error))
}

/// Records a topology as applied.
pub(super) fn record(broker: &dyn Broker, clock: &dyn Clock, entry: &Applied) -> Result<(), Problem> {
    applied::record(broker, entry, clock.wall()).map_err(|error| problem(&error))
}

/// What is recorded of a topology.
pub(super) fn entry(checked: &Checked, clock: &dyn Clock) -> Applied {
    let mut entry = applied::applied(&checked.plan.topology, checked.plan.version, &checked.definition, clock.wall());
    entry.note(&checked.topology.sagas);
    entry
}

fn problem(error: &applied::Error) -> Problem {
    match error {
        applied::Error::Broker { source, .. } => failed(source).within(&error.to_string()),
        _ => Problem::of(Exit::Failed, error),
    }
}

/// Nodes that stand in the way, one line each, those excepted that the caller answers for.
pub(super) fn obstacles(comparison: &Comparison, kept: &[String], discarded: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for node in &comparison.nodes {
        let answered = match (node.verdict, node.mark) {
            (Verdict::Unchanged | Verdict::Compatible, _) => continue,
            (Verdict::Rebuild, _) => kept.contains(&node.name),
            (Verdict::Refused, Mark::Removed) => discarded.contains(&node.name),
            (Verdict::Refused, _) => false,
        };
        if answered {
            continue;
        }
        for reason in node.reasons.iter().filter(|reason| reason.verdict > Verdict::Compatible) {
            let at = reason.at.as_ref().map_or(String::new(), |at| format!(" ({}:{}:{})", at.file, at.line, at.column));
            lines.push(format!("{} {}: {}: {}{at}", node.kind, node.name, reason.verdict.name(), reason.text));
        }
    }
    lines
}

/// The refusal of a topology.
pub(super) fn refused(weighed: &Weighed, checked: &Checked, lines: &[String]) -> Problem {
    let (topology, version) = (&checked.plan.topology, checked.plan.version);
    match &weighed.refusal {
        Some(refusal) => Problem::new(Exit::Failed, format!("`{topology}` version {version} is refused: {refusal}")),
        None => {
            let against = weighed.against.as_deref().unwrap_or_default();
            let text = format!("`{topology}` version {version} is refused, against {against}:\n{}", lines.join("\n"));
            Problem::new(Exit::Failed, text)
                .hint("`skald plan` shows the changes; what can be done about each is in docs/changing-topologies.md")
        }
    }
}

/// What a topology is let in with.
pub(super) struct Admitted {
    /// What is to be recorded, if anything.
    pub(super) to_record: Option<Applied>,
    /// Everything that was applied.
    pub(super) all: Vec<Applied>,
}

/// Lets a topology in that is to run.
pub(super) fn admit(broker: &dyn Broker, checked: &Checked, clock: &dyn Clock) -> Result<Admitted, Problem> {
    let all = applied_to(broker, &checked.plan.topology)?;
    let reach = if all.is_empty() { Reach::unknown() } else { Reach::of(&survey(broker, checked)?) };
    let mut weighed = weigh(&all, checked, &reach);
    let is_last = all.last().is_some_and(|last| last.version == checked.plan.version);
    let same = !weighed.records && weighed.refusal.is_none() && is_last;
    look_after_instances(broker, &all, checked, &mut weighed)?;
    let lines = weighed.comparison.as_ref().map_or_else(Vec::new, |comparison| obstacles(comparison, &[], &[]));
    if weighed.refusal.is_some() || !lines.is_empty() {
        return Err(refused(&weighed, checked, &lines));
    }
    if !weighed.records && !same {
        tracing::warn!(topology = %checked.plan.topology, "{}; it runs all the same", weighed.text);
    }
    let known = all.iter().find(|known| known.version == checked.plan.version);
    let to_record = match (weighed.records, known) {
        (true, _) => Some(entry(checked, clock)),
        // Another engine computed other names for what instances keep.
        (false, Some(known)) => {
            let mut again = known.clone();
            again.note(&checked.topology.sagas).then_some(again)
        }
        (false, None) => None,
    };
    Ok(Admitted { to_record, all })
}

/// The topics of a plan beside those of the cluster.
pub(super) fn survey(broker: &dyn Broker, checked: &Checked) -> Result<Survey, Problem> {
    let admin = broker.admin().map_err(|error| failed(&error))?;
    crate::runtime::survey(&checked.plan, &*admin).map_err(|error| match &error {
        crate::runtime::Error::Broker(cause) => failed(cause),
        error => Problem::of(Exit::Failed, error),
    })
}
