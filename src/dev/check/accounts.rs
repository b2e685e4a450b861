//! What holds for every topology: ids are unique and every input is accounted for.

use super::event::{decode, hash_of};
use super::{Logs, Verdict};
use std::collections::HashSet;

/// What the engine says that it did, and the topics that tell whether it did.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Name of the topology: the source of what it writes.
    pub topology: String,
    /// Topics that it reads.
    pub sources: Vec<String>,
    /// Topics that it writes messages to.
    pub outputs: Vec<String>,
    /// Topics of snapshots.
    pub snapshots: Vec<String>,
    /// Its dead letters.
    pub dead_letters: String,
    /// Records that it says it has read; `None` where it ran before and does not remember.
    pub records_read: Option<u64>,
    /// Dead letters that it says it has written; likewise.
    pub dead_letters_written: Option<u64>,
}

/// Compares the engine's figures with the logs, and looks for ids that stand twice.
pub fn check_accounts(logs: &mut dyn Logs, accounts: &Accounts) -> Result<Verdict, String> {
    let mut verdict = Verdict::default();
    let read = count(logs, &accounts.sources)?;
    if let Some(said) = accounts.records_read {
        verdict.lose(read.saturating_sub(said), || format!("the sources hold {read} records, {said} were read"));
        verdict.double(said.saturating_sub(read), || format!("the sources hold {read} records, {said} were read"));
    }
    let letters = count(logs, std::slice::from_ref(&accounts.dead_letters))?;
    if let Some(said) = accounts.dead_letters_written {
        verdict.lose(said.saturating_sub(letters), || format!("{said} dead letters were counted, {letters} are there"));
        verdict.double(letters.saturating_sub(said), || format!("{said} dead letters were counted, {letters} are there"));
    }
    for topic in &accounts.outputs {
        twice(logs, topic, &accounts.topology, &mut verdict)?;
    }
    for topic in &accounts.snapshots {
        verdict.aggregates += live_keys(logs, topic)?;
    }
    Ok(verdict)
}

fn count(logs: &mut dyn Logs, topics: &[String]) -> Result<u64, String> {
    let mut records = 0;
    for topic in topics {
        for partition in 0..logs.partitions(topic) {
            logs.read(topic, partition as i32, &mut |_| records += 1)?;
        }
    }
    Ok(records)
}

/// Ids are derived from the input's place, so a record that was processed twice writes an id twice.
fn twice(logs: &mut dyn Logs, topic: &str, source: &str, verdict: &mut Verdict) -> Result<(), String> {
    let mut seen = HashSet::new();
    for partition in 0..logs.partitions(topic) {
        logs.read(topic, partition as i32, &mut |record| {
            let Some(event) = record.value.and_then(decode).filter(|event| event.source == source) else { return };
            if !event.id.is_empty() && !seen.insert(hash_of(&event.id)) {
                verdict.double(1, || format!("`{topic}-{partition}` has the id `{}` twice", event.id));
            }
        })?;
    }
    Ok(())
}

fn live_keys(logs: &mut dyn Logs, topic: &str) -> Result<u64, String> {
    let mut live = HashSet::new();
    for partition in 0..logs.partitions(topic) {
        logs.read(topic, partition as i32, &mut |record| {
            let key = record.key.unwrap_or_default().to_vec();
            if record.value.is_some() {
                live.insert(key);
            } else {
                live.remove(&key);
            }
        })?;
    }
    Ok(live.len() as u64)
}
