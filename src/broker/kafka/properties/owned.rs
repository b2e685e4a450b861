//! Properties that are not the user's to set, and other names of those that are.

/// Properties that decide what the engine's guarantees rest on.
pub(super) const OWNED: [(&str, &str); 41] = [
    ("bootstrap.servers", "the brokers are given by their own setting"),
    ("metadata.broker.list", "the brokers are given by their own setting"),
    ("client.id", "it tells the members of a group what the others run"),
    ("group.id", "the group is the topology's name"),
    ("group.instance.id", "it is made of the worker's id"),
    ("group.protocol", "it has its own setting"),
    ("group.protocol.type", "it tells consumers from other members"),
    ("group.remote.assignor", "tasks rest on the `range` assignor"),
    ("partition.assignment.strategy", "tasks rest on the `range` assignor"),
    ("session.timeout.ms", "it has its own setting"),
    ("max.poll.interval.ms", "it has its own setting"),
    ("enable.auto.commit", "offsets are committed in transactions only"),
    ("auto.commit.enable", "offsets are committed in transactions only"),
    ("auto.commit.interval.ms", "offsets are committed in transactions only"),
    ("enable.auto.offset.store", "offsets are committed in transactions only"),
    ("offset.store.method", "offsets are committed in transactions only"),
    ("offset.store.path", "offsets are committed in transactions only"),
    ("offset.store.sync.interval.ms", "offsets are committed in transactions only"),
    ("auto.offset.reset", "where to start is declared per source; a lost offset must stop the task"),
    ("isolation.level", "uncommitted records must never be processed"),
    ("enable.partition.eof", "the reader of logs rests on it"),
    ("check.crcs", "damaged records must be noticed"),
    ("allow.auto.create.topics", "topics are created with the plan's settings"),
    ("transactional.id", "it is made of the topology's and the worker's names"),
    ("transaction.timeout.ms", "it has its own setting"),
    ("enable.idempotence", "transactions need it"),
    ("enable.gapless.guarantee", "transactions do not work with it"),
    ("acks", "transactions need all of them"),
    ("request.required.acks", "transactions need all of them"),
    ("max.in.flight", "transactions bound it"),
    ("max.in.flight.requests.per.connection", "transactions bound it"),
    ("message.max.bytes", "it follows from the topics' own bounds"),
    ("partitioner", "partitions are computed by the engine"),
    ("queuing.strategy", "transactions need the order of sending"),
    ("delivery.report.only.error", "an epoch waits for every delivery"),
    ("produce.offset.report", "restores rest on the offsets of deliveries"),
    ("log.queue", "log lines go to the engine's log"),
    ("enabled_events", "events are served by the engine"),
    ("test.mock.num.brokers", "it replaces the cluster by a mock"),
    ("internal.termination.signal", "signals are handled by the engine"),
    ("enable.sasl.oauthbearer.unsecure.jwt", "it accepts tokens that nobody signed"),
];

/// Properties by which whoever writes them could run code in this process.
pub(super) const DANGEROUS: [&str; 6] = [
    "plugin.library.paths",
    "sasl.kerberos.kinit.cmd",
    "ssl.engine.location",
    "ssl.engine.id",
    "ssl.providers",
    "ssl_engine_callback_data",
];

/// Other names of the same property. One of them is kept, or it would be chance whether the user's value or the default holds.
pub(super) const ALIASES: [(&str, &str); 6] = [
    ("queue.buffering.max.ms", "linger.ms"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("compression.codec", "compression.type"),
    ("message.send.max.retries", "retries"),
    ("max.partition.fetch.bytes", "fetch.message.max.bytes"),
];

/// Whose values are not shown.
pub(super) const SECRET_PARTS: [&str; 9] =
    ["password", "secret", "passphrase", "pem", "token", "ssl_key", "oauthbearer.config", "username", "assertion"];
