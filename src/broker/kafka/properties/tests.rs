//! Which properties are taken from a user, and which a client gets.

use super::*;
use crate::broker::Guarantee;

#[test]
fn properties_that_the_engine_owns_or_that_run_code_are_refused_with_the_reason() {
    for (key, value, part) in [
        ("enable.auto.commit", "true", "the engine's"),
        ("consumer.isolation.level", "read_uncommitted", "the engine's"),
        ("producer.acks", "1", "the engine's"),
        ("plugin.library.paths", "/tmp/x.so", "foreign code"),
        ("producer.plugin.library.paths", "/tmp/x.so", "foreign code"),
        ("sasl.kerberos.kinit.cmd", "rm -rf /", "foreign code"),
        ("ssl.engine.location", "/tmp/x.so", "foreign code"),
        ("rebalance_cb", "1", "pointer"),
        ("no.such.property", "1", "no such configuration property"),
        ("linger.ms", "soon", "invalid value"),
        ("consumer.", "1", "no such"),
        ("client.rack", "a\0b", "zero byte"),
        ("sasl.oauthbearer.token.endpoint.url", "http://10.0.0.1/token", "https"),
        ("sasl.oauthbearer.token.endpoint.url", "http://127.0.0.1@10.0.0.1/token", "https"),
    ] {
        let refused = Properties::new("localhost:9092").set(key, value).expect_err(key);
        assert!(refused.reason.to_lowercase().contains(part), "{key}: {refused}");
        assert_eq!(refused.key, key);
    }
}

#[test]
fn a_batch_is_no_larger_than_what_the_smallest_topic_takes() {
    for (user, bound, size) in
        [(None, 1 << 20, "1000000"), (None, 20_000, "20000"), (Some("5000"), 20_000, "5000"), (Some("50000"), 20_000, "20000")]
    {
        let mut properties = Properties::new("localhost:9092");
        if let Some(user) = user {
            properties.set("producer.batch.size", user).expect("batch size");
        }
        let settings = TransactionSettings {
            guarantee: Guarantee::default(),
            group: "g".into(),
            transactional_id: "id".into(),
            client_id: "c".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: bound,
            wake: std::sync::Arc::new(|| {}),
        };
        assert_eq!(properties.transactional(&settings, "id").get("batch.size"), Some(size), "{user:?}, {bound}");
    }
}

#[test]
fn a_member_has_the_properties_of_its_protocol_and_no_other() {
    let settings = ConsumerSettings {
        group: "g".into(),
        instance: Some("00.a".into()),
        client_id: "c".into(),
        topics: vec!["in".into()],
        patterns: Vec::new(),
        session_timeout: Duration::from_secs(6),
        max_poll_interval: Duration::from_secs(60),
        wake: std::sync::Arc::new(|| {}),
    };
    let own = [
        ("group.protocol", "classic", "consumer"),
        ("partition.assignment.strategy", "range", ""),
        ("session.timeout.ms", "6000", ""),
        ("heartbeat.interval.ms", "500", ""),
        ("group.instance.id", "00.a", ""),
        ("group.remote.assignor", "", "range"),
        ("max.poll.interval.ms", "60000", "60000"),
        ("group.id", "g", "g"),
        ("isolation.level", "read_committed", "read_committed"),
    ];
    let mut properties = Properties::new("localhost:9092");
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        properties.set_group_protocol(protocol);
        let config = properties.group_member(&settings);
        for (name, classic, consumer) in own {
            let value = if protocol == GroupProtocol::Classic { classic } else { consumer };
            assert_eq!(config.get(name).unwrap_or_default(), value, "{name}, {protocol:?}");
        }
        // Checked as a whole: librdkafka refuses what does not go with the protocol.
        let made: Result<rdkafka::consumer::BaseConsumer, KafkaError> = config.create();
        assert!(made.is_ok(), "{protocol:?}: {:?}", made.err());
        assert_eq!(properties.reader("g", Isolation::ReadCommitted).get("group.protocol"), Some("classic"));
    }
    assert!(properties.check().is_ok());
    properties.set("consumer.heartbeat.interval.ms", "100").expect("a property");
    assert_eq!(properties.check().expect_err("the cluster's").key, "heartbeat.interval.ms");
    properties.set_group_protocol(GroupProtocol::Classic);
    assert!(properties.check().is_ok());
}

#[test]
fn a_prefix_restricts_a_property_to_its_clients_and_the_engines_own_stay() {
    let mut properties = Properties::new("localhost:9092");
    properties.set("linger.ms", "4").expect("linger");
    properties.set("queue.buffering.max.ms", "5").expect("its other name");
    properties.set("producer.compression.type", "zstd").expect("compression");
    properties.set("consumer.fetch.wait.max.ms", "50").expect("fetch wait");
    let producer = properties.idempotent();
    assert_eq!(producer.get("linger.ms"), Some("5"), "the last word holds, under either name");
    assert_eq!(producer.get("queue.buffering.max.ms"), None);
    assert_eq!(producer.get("compression.type"), Some("zstd"));
    assert_eq!(producer.get("fetch.wait.max.ms"), None);
    let reader = properties.reader("g", Isolation::ReadCommitted);
    assert_eq!(reader.get("fetch.wait.max.ms"), Some("50"));
    assert_eq!(reader.get("compression.type"), None);
    assert_eq!(reader.get("auto.offset.reset"), Some("error"));
    assert_eq!(reader.get("fetch.max.bytes"), Some("8388608"), "a restore reads more at once than a worker");
    properties.set("fetch.max.bytes", "2000000").expect("fetch size");
    let reader = properties.reader("g", Isolation::ReadCommitted);
    assert_eq!(reader.get("fetch.max.bytes"), Some("2000000"), "unless the user says how much");
}

#[test]
fn credentials_do_not_travel_in_the_clear_except_on_this_host() {
    for (bootstrap, protocol, mechanism, fine) in [
        ("broker:9092", "sasl_plaintext", "PLAIN", false),
        ("broker:9092", "SASL_PLAINTEXT", "SCRAM-SHA-512", false),
        ("localhost:9092,broker:9092", "sasl_plaintext", "OAUTHBEARER", false),
        ("localhost.example.com:9092", "sasl_plaintext", "PLAIN", false),
        ("broker:9092", "sasl_ssl", "PLAIN", true),
        ("localhost:9092", "sasl_plaintext", "PLAIN", true),
        ("127.0.0.1:9092, [::1]:9093", "sasl_plaintext", "PLAIN", true),
        ("broker:9092", "plaintext", "", true),
    ] {
        let mut properties = Properties::new(bootstrap);
        properties.set("security.protocol", protocol).expect(protocol);
        if !mechanism.is_empty() {
            properties.set("sasl.mechanism", mechanism).expect(mechanism);
        }
        assert_eq!(properties.check().is_ok(), fine, "{bootstrap} {protocol} {mechanism}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let mut properties = Properties::new("localhost:9092");
    properties.set("sasl.password", "hunter2").expect("password");
    properties.set("consumer.sasl.oauthbearer.client.secret", "hunter2").expect("secret");
    properties.set("client.rack", "a").expect("rack");
    let shown = format!("{properties:?}");
    assert!(!shown.contains("hunter2") && shown.contains("\"client.rack\": \"a\""), "{shown}");
    let refused = Properties::new("x").set("ssl.key.pem", "hunter2").err().map(|e| e.to_string()).unwrap_or_default();
    assert!(!refused.contains("hunter2"), "{refused}");
}
