//! Which librdkafka properties a client gets: the engine's defaults, then the user's, then those that the engine owns.
//!
//! A user's property is checked when it is set: one that the engine owns is refused with the reason, one that could run code or
//! write files is refused, an unknown one or a bad value is refused by librdkafka itself. Secrets are never shown.

mod owned;

use crate::broker::{ConsumerSettings, Isolation, TransactionSettings};
use crate::record::Text;
use owned::{ALIASES, DANGEROUS, OWNED, SECRET_PARTS};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use std::time::Duration;

/// The longest wait for a delivery; a default, so that a drain ends before the lane's watchdog does.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(8);
/// The longest wait for a response; far below the transaction's time-out, so that a lost one is noticed in time.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of records that are sent as one batch; a default.
const BATCH_BYTES: usize = 1_000_000;

/// Why a property is not taken: lower case, complete sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("property `{key}`: {reason}")]
pub struct PropertyRefused {
    /// The property as it was given.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// How members of a group share partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// The members agree; a member keeps its place over a restart.
    #[default]
    Classic,
    /// The cluster assigns (KIP-848). Members come and go under names of their own, because it would refuse a restarted one under
    /// the dead one's name for as long as a session lasts, and how long that is the cluster says.
    Consumer,
}

/// Where the brokers are, and the user's properties for the clients.
#[derive(Clone)]
pub struct Properties {
    bootstrap: Text,
    protocol: GroupProtocol,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    role: Option<Role>,
    key: String,
    value: String,
}

/// Which clients a property is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Consumer,
    Producer,
}

impl Properties {
    /// Clients for these brokers (`host:port`, several separated by commas), with the engine's defaults.
    pub fn new(bootstrap: &str) -> Self {
        Self { bootstrap: bootstrap.into(), protocol: GroupProtocol::default(), entries: Vec::new() }
    }

    /// The brokers.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// How members of groups share partitions; else by the classic protocol.
    pub fn set_group_protocol(&mut self, protocol: GroupProtocol) {
        self.protocol = protocol;
    }

    pub(super) fn group_protocol(&self) -> GroupProtocol {
        self.protocol
    }

    /// Sets a property for all clients, or with the prefix `consumer.` or `producer.` for those only; the last one holds.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PropertyRefused> {
        let refused = |reason: String| PropertyRefused { key: key.to_owned(), reason };
        let (role, name) = match (key.strip_prefix("consumer."), key.strip_prefix("producer.")) {
            (Some(name), _) => (Some(Role::Consumer), name),
            (_, Some(name)) => (Some(Role::Producer), name),
            _ => (None, key),
        };
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| *owned == name) {
            return Err(refused(format!("it is the engine's: {reason}")));
        }
        if DANGEROUS.contains(&name) {
            return Err(refused("it can make the process run foreign code".into()));
        }
        if name.ends_with("_cb") || matches!(name, "opaque" | "interceptors" | "default_topic_conf" | "ssl_key" | "ssl_ca") {
            return Err(refused("it is a pointer, not a setting".into()));
        }
        // librdkafka knows its properties best: names, ranges, enumerations.
        let mut probe = ClientConfig::new();
        probe.set(name, value);
        match probe.create_native_config() {
            Ok(_) => {}
            Err(KafkaError::ClientConfig(_, _, _, _)) if is_secret(name) => {
                return Err(refused("the value is not accepted".into()));
            }
            Err(KafkaError::ClientConfig(_, text, _, _)) => return Err(refused(lower_first(&text))),
            Err(_) => return Err(refused("name or value holds a zero byte".into())),
        }
        if name == "sasl.oauthbearer.token.endpoint.url" && !value.starts_with("https://") && !is_loopback_url(value) {
            return Err(refused("tokens are fetched by https only, unless from this host".into()));
        }
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, kept)| kept);
        self.entries.push(Entry { role, key: name.to_owned(), value: value.to_owned() });
        Ok(())
    }

    /// Do the properties go together, and safely? Passwords and tokens do not travel in the clear, except on this host.
    pub fn check(&self) -> Result<(), PropertyRefused> {
        if self.protocol == GroupProtocol::Consumer && self.user(Role::Consumer, "heartbeat.interval.ms").is_some() {
            return Err(PropertyRefused {
                key: "heartbeat.interval.ms".into(),
                reason: "with the consumer protocol the cluster says how often".into(),
            });
        }
        for role in [Role::Consumer, Role::Producer] {
            let last = |name| self.user(role, name).map(str::to_ascii_lowercase);
            let protocol = last("security.protocol").unwrap_or_else(|| "plaintext".into());
            let mechanism = last("sasl.mechanism").unwrap_or_default();
            let clear = protocol == "sasl_plaintext";
            if clear && mechanism != "gssapi" && !self.bootstrap.split(',').all(is_loopback) {
                return Err(PropertyRefused {
                    key: "security.protocol".into(),
                    reason: "`sasl_plaintext` would send credentials in the clear: use `sasl_ssl`".into(),
                });
            }
            let unverified = last("enable.ssl.certificate.verification").is_some_and(|value| value == "false");
            if unverified || last("ssl.endpoint.identification.algorithm").is_some_and(|value| value == "none") {
                tracing::warn!(
                    "the brokers' certificates are not fully verified: anybody on the way can read and change records"
                );
            }
        }
        Ok(())
    }

    /// For a client that only reads metadata.
    pub(super) fn plain(&self, role: Role) -> ClientConfig {
        let mut config = self.start(role);
        self.own(&mut config);
        config
    }

    pub(super) fn group_member(&self, settings: &ConsumerSettings) -> ClientConfig {
        let mut config = self.start(Role::Consumer);
        self.own(&mut config);
        config
            .set("group.id", settings.group.as_str())
            .set("client.id", settings.client_id.as_str())
            .set("max.poll.interval.ms", millis(settings.max_poll_interval.max(settings.session_timeout)));
        match self.protocol {
            GroupProtocol::Classic => Self::classic_member(&mut config, settings),
            GroupProtocol::Consumer => {
                config.set("group.protocol", "consumer").set("group.remote.assignor", "range");
            }
        }
        reads(&mut config, Isolation::ReadCommitted);
        config
    }

    fn classic_member(config: &mut ClientConfig, settings: &ConsumerSettings) {
        // A third of the session at most, or the group would lose healthy members.
        let heartbeat = (settings.session_timeout / 4).min(Duration::from_millis(500));
        config
            .set("heartbeat.interval.ms", millis(heartbeat))
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", millis(settings.session_timeout));
        if let Some(instance) = &settings.instance {
            config.set("group.instance.id", instance.as_str());
        }
    }

    /// For a client that reads partitions or committed offsets without ever joining the group it names.
    pub(super) fn reader(&self, group: &str, isolation: Isolation) -> ClientConfig {
        let mut config = self.start(Role::Consumer);
        // Each partition has its own queue here, so this is per partition.
        for (name, value) in [("queued.max.messages.kbytes", "4096"), ("fetch.max.bytes", "8388608")] {
            if self.user(Role::Consumer, name).is_none() {
                config.set(name, value);
            }
        }
        self.own(&mut config);
        config.set("group.id", group).set("group.protocol", "classic").set("enable.partition.eof", "true");
        reads(&mut config, isolation);
        config
    }

    pub(super) fn transactional(&self, settings: &TransactionSettings, transactional_id: &str) -> ClientConfig {
        let mut config = self.writer(settings);
        config.set("transactional.id", transactional_id).set("transaction.timeout.ms", millis(settings.transaction_timeout));
        config
    }

    /// For a lane without transactions. What is not delivered is given up before others may write in its place, whatever the user
    /// wants.
    pub(super) fn untransacted(&self, settings: &TransactionSettings) -> ClientConfig {
        let mut config = self.writer(settings);
        config.set("message.timeout.ms", millis(self.message_timeout().min(settings.transaction_timeout)));
        config
    }

    fn writer(&self, settings: &TransactionSettings) -> ClientConfig {
        let mut config = self.start(Role::Producer);
        // librdkafka refuses a message time-out beyond the transaction's; a user's own value is left to that check.
        if self.user(Role::Producer, "message.timeout.ms").is_none() {
            config.set("message.timeout.ms", millis(MESSAGE_TIMEOUT.min(settings.transaction_timeout)));
        }
        if self.user(Role::Producer, "socket.timeout.ms").is_none() {
            config.set("socket.timeout.ms", millis(SOCKET_TIMEOUT.min(settings.transaction_timeout)));
        }
        // A batch beyond its topic's bound is refused as a whole, and small records make large batches.
        config.set("batch.size", self.request_bytes(settings).to_string());
        self.own(&mut config);
        config
            .set("client.id", settings.client_id.as_str())
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", settings.max_message_bytes.clamp(1000, 1_000_000_000).to_string());
        config
    }

    /// Bytes of records in a request for a partition, at most.
    pub(super) fn request_bytes(&self, settings: &TransactionSettings) -> usize {
        let batch = self.user(Role::Producer, "batch.size").and_then(|text| text.parse().ok()).unwrap_or(BATCH_BYTES);
        batch.min(settings.max_batch_bytes).max(1)
    }

    pub(super) fn idempotent(&self) -> ClientConfig {
        let mut config = self.start(Role::Producer);
        self.own(&mut config);
        config.set("enable.idempotence", "true").set("acks", "all").set("message.max.bytes", "100000000");
        config
    }

    /// For records that are to be refused: they are sent as they are, whatever their size.
    pub(super) fn trial(&self, message_bytes: usize) -> ClientConfig {
        let mut config = self.start(Role::Producer);
        self.own(&mut config);
        config
            .set("enable.idempotence", "false")
            .set("acks", "all")
            .set("compression.type", "none")
            .set("message.max.bytes", (message_bytes + 10_000).to_string());
        config
    }

    /// How long the lane waits for deliveries before it calls them failed.
    pub(super) fn message_timeout(&self) -> Duration {
        let user = self.user(Role::Producer, "message.timeout.ms");
        user.and_then(|text| text.parse().ok()).map_or(MESSAGE_TIMEOUT, Duration::from_millis)
    }

    /// The user's last word on a property.
    fn user(&self, role: Role, name: &str) -> Option<&str> {
        let mut found = self.entries.iter().rev().filter(|entry| entry.role.is_none_or(|of| of == role));
        found.find(|entry| entry.key == name).map(|entry| entry.value.as_str())
    }

    /// The engine's defaults and what the user set over them.
    fn start(&self, role: Role) -> ClientConfig {
        let mut config = ClientConfig::new();
        let debug = self.user(role, "debug").is_some();
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
            .set("client.id", "skald")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            // How long a topic that nobody knows is waited for.
            .set("topic.metadata.propagation.max.ms", "3000")
            .set("enable.metrics.push", "false");
        match role {
            Role::Consumer => config
                // A seek waits for the fetch under way; an idle partition makes that the longest one.
                .set("fetch.wait.max.ms", "100")
                .set("fetch.queue.backoff.ms", "10")
                // What is read ahead: some milliseconds of work. Every record in the queue takes about as much again as it is long, and
                // the answer to a fetch is kept until its last record is done, so the usual 50 MiB of it are a bound that is none.
                .set("fetch.max.bytes", "1048576")
                .set("queued.min.messages", "4000")
                .set("queued.max.messages.kbytes", "2048")
                .set("topic.metadata.refresh.interval.ms", "30000"),
            Role::Producer => config
                .set("linger.ms", "1")
                .set("batch.size", BATCH_BYTES.to_string())
                .set("message.timeout.ms", millis(MESSAGE_TIMEOUT))
                .set("socket.timeout.ms", millis(SOCKET_TIMEOUT)),
        };
        for entry in &self.entries {
            if entry.role.is_none_or(|of| of == role) {
                config.set(&entry.key, &entry.value);
            }
        }
        config
    }

    fn own(&self, config: &mut ClientConfig) {
        config.set("bootstrap.servers", self.bootstrap.as_str()).set("allow.auto.create.topics", "false");
    }
}

fn reads(config: &mut ClientConfig, isolation: Isolation) {
    config
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set(
            "isolation.level",
            match isolation {
                Isolation::ReadCommitted => "read_committed",
                Isolation::ReadUncommitted => "read_uncommitted",
            },
        );
}

fn millis(length: Duration) -> String {
    length.as_millis().to_string()
}

fn is_secret(key: &str) -> bool {
    SECRET_PARTS.iter().any(|part| key.contains(part))
}

fn is_loopback(address: &str) -> bool {
    let address = address.trim();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = match address.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => address.split([':', '/']).next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_loopback_url(url: &str) -> bool {
    url.starts_with("http://") && !url.contains('@') && is_loopback(url)
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_map();
        shown.entry(&"bootstrap.servers", &self.bootstrap);
        for entry in &self.entries {
            let value = if is_secret(&entry.key) { "***" } else { entry.value.as_str() };
            shown.entry(&entry.key, &value);
        }
        shown.finish()
    }
}

#[cfg(test)]
mod tests;
