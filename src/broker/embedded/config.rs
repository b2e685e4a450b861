//! Settings of a topic: the names and defaults of Kafka 4, read once.

use crate::record::Millis;
use std::collections::BTreeMap;
use std::time::Duration;

/// Names that are known, with Kafka's defaults. Those without an effect here are kept and shown, so that a plan that compares
/// a topic's settings with its wishes sees what it would see on a cluster.
const DEFAULTS: [(&str, &str); 21] = [
    ("cleanup.policy", "delete"),
    ("compression.type", "producer"),
    ("delete.retention.ms", "86400000"),
    ("file.delete.delay.ms", "60000"),
    ("flush.messages", "9223372036854775807"),
    ("flush.ms", "9223372036854775807"),
    ("index.interval.bytes", "4096"),
    ("max.compaction.lag.ms", "9223372036854775807"),
    ("max.message.bytes", "1048588"),
    ("message.timestamp.type", "CreateTime"),
    ("min.cleanable.dirty.ratio", "0.5"),
    ("min.compaction.lag.ms", "0"),
    ("min.insync.replicas", "1"),
    ("preallocate", "false"),
    ("retention.bytes", "-1"),
    ("retention.ms", "604800000"),
    ("segment.bytes", "1073741824"),
    ("segment.index.bytes", "10485760"),
    ("segment.jitter.ms", "0"),
    ("segment.ms", "604800000"),
    ("unclean.leader.election.enable", "false"),
];

/// Settings of a topic, read.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// What was given when the topic was made.
    pub(super) given: BTreeMap<String, String>,
    pub(super) compact: bool,
    pub(super) delete: bool,
    pub(super) retention: Option<Duration>,
    pub(super) retention_bytes: Option<u64>,
    pub(super) lag_min: Duration,
    pub(super) delete_retention: Duration,
    pub(super) message_bytes_max: usize,
    pub(super) dirty_ratio_min: f64,
    pub(super) log_append_time: bool,
}

impl Config {
    /// Reads the settings of a topic; the error says which one is wrong.
    pub(super) fn read(given: &BTreeMap<String, String>) -> Result<Self, String> {
        if let Some(name) = given.keys().find(|name| !DEFAULTS.iter().any(|(known, _)| known == name)) {
            return Err(format!("unknown topic setting `{name}`"));
        }
        let text = |name: &str| given.get(name).map_or_else(|| default(name), String::as_str).trim();
        let number =
            |name: &str| text(name).parse::<i64>().map_err(|_| format!("`{name}` is not a whole number: `{}`", text(name)));
        let at_least_zero = |name: &str| match number(name)? {
            number if number >= 0 => Ok(number as u64),
            number => Err(format!("`{name}` is negative: `{number}`")),
        };
        let (mut compact, mut delete) = (false, false);
        for policy in text("cleanup.policy").split(',').map(str::trim) {
            match policy {
                "compact" => compact = true,
                "delete" => delete = true,
                other => return Err(format!("`cleanup.policy` knows `compact` and `delete`, not `{other}`")),
            }
        }
        let log_append_time = match text("message.timestamp.type") {
            "CreateTime" => false,
            "LogAppendTime" => true,
            other => return Err(format!("`message.timestamp.type` knows `CreateTime` and `LogAppendTime`, not `{other}`")),
        };
        let dirty_ratio_min = text("min.cleanable.dirty.ratio");
        let dirty_ratio_min = match dirty_ratio_min.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => return Err(format!("`min.cleanable.dirty.ratio` is not between 0 and 1: `{dirty_ratio_min}`")),
        };
        Ok(Self {
            given: given.clone(),
            compact,
            delete,
            retention: u64::try_from(number("retention.ms")?).ok().map(Duration::from_millis),
            retention_bytes: u64::try_from(number("retention.bytes")?).ok(),
            lag_min: Duration::from_millis(at_least_zero("min.compaction.lag.ms")?),
            delete_retention: Duration::from_millis(at_least_zero("delete.retention.ms")?),
            message_bytes_max: usize::try_from(at_least_zero("max.message.bytes")?).unwrap_or(usize::MAX),
            dirty_ratio_min,
            log_append_time,
        })
    }

    /// All settings, defaults included.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let defaults = DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        defaults.chain(self.given.clone()).collect()
    }

    /// Records older than this go.
    pub(super) fn oldest(&self, now: Millis) -> Option<Millis> {
        let retention = Millis::try_from(self.retention?.as_millis()).unwrap_or(Millis::MAX);
        Some(now.saturating_sub(retention))
    }
}

fn default(name: &str) -> &'static str {
    DEFAULTS.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn settings_are_read_with_kafkas_defaults() {
        let config = read(&[]).unwrap();
        assert!(config.delete && !config.compact && !config.log_append_time);
        assert_eq!((config.retention, config.retention_bytes), (Some(Duration::from_hours(168)), None));
        assert_eq!((config.message_bytes_max, config.all().len()), (1_048_588, DEFAULTS.len()));

        let config = read(&[("cleanup.policy", "compact, delete"), ("retention.ms", "-1"), ("retention.bytes", "9")]).unwrap();
        assert!(config.delete && config.compact);
        assert_eq!((config.retention, config.retention_bytes, config.oldest(5)), (None, Some(9), None));
        assert_eq!(config.all()["retention.bytes"], "9");
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        for (name, value) in [
            ("no.such", "1"),
            ("cleanup.policy", "shred"),
            ("retention.ms", "a week"),
            ("delete.retention.ms", "-1"),
            ("min.cleanable.dirty.ratio", "2"),
            ("message.timestamp.type", "Never"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }
}
