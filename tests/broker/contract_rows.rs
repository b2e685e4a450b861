//! The contract of the Kafka boundary, kept by the implementation over librdkafka on a real broker.

use crate::contract::Harness;
use crate::tools::{kafka, unique};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use skald::broker::Broker;
use skald::broker::kafka::Kafka;
use skald::clock::{Clock, SystemClock};
use std::time::Duration;

struct Real {
    kafka: Kafka,
    brokers: &'static str,
    clock: SystemClock,
    suffix: String,
}

impl Real {
    fn new(brokers: &'static str) -> Self {
        Self { kafka: kafka(brokers), brokers, clock: SystemClock::new(), suffix: unique("row") }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", self.brokers).create().expect("an admin client")
    }
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(answer)
}

impl Harness for Real {
    fn broker(&self) -> &dyn Broker {
        &self.kafka
    }

    fn pause(&self) {
        std::thread::sleep(Duration::from_millis(1));
    }

    fn elapsed(&self) -> Duration {
        self.clock.mono()
    }

    fn suffix(&self) -> String {
        self.suffix.clone()
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(6)
    }

    fn delete_topic(&self, name: &str) {
        let results = wait(self.admin().delete_topics(&[name], &AdminOptions::new())).expect("an answer");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    fn grow_topic(&self, name: &str, partitions: u32) {
        let new = NewPartitions::new(name, partitions as usize);
        let results = wait(self.admin().create_partitions(&[new], &AdminOptions::new())).expect("an answer");
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}

crate::contract::contract_rows!(match crate::cluster::shared() {
    Some(brokers) => Real::new(brokers),
    None => return,
});
