//! The embedded broker keeps the contract of the Kafka boundary, under a clock that is moved by hand.

#[macro_use]
mod contract;

use contract::Harness;
use skald::broker::Broker;
use skald::broker::embedded::{Cluster, Options};
use skald::clock::{Clock, ManualClock};
use std::sync::Arc;
use std::time::Duration;

struct Embedded {
    clock: Arc<ManualClock>,
    cluster: Cluster,
}

impl Harness for Embedded {
    fn broker(&self) -> &dyn Broker {
        &self.cluster
    }

    fn pause(&self) {
        self.clock.advance(Duration::from_millis(10));
    }

    fn elapsed(&self) -> Duration {
        self.clock.mono()
    }

    fn suffix(&self) -> String {
        "x".to_owned()
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(6)
    }

    fn delete_topic(&self, name: &str) {
        self.cluster.delete_topic(name).expect("the topic is there");
    }

    fn grow_topic(&self, name: &str, partitions: u32) {
        self.cluster.grow_topic(name, partitions).expect("the topic can grow");
    }
}

/// With delays, so that rows meet the moments in between.
fn slow() -> Embedded {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000, 1));
    let options = Options {
        marker_delay: Duration::from_millis(25),
        heartbeat_interval: Duration::from_millis(500),
        initial_rebalance_delay: Duration::from_millis(100),
        ..Options::default()
    };
    Embedded { cluster: Cluster::new(clock.clone(), options), clock }
}

/// As `skald dev` runs it.
fn quick() -> Embedded {
    let clock = Arc::new(ManualClock::new(1_700_000_000_000, 1));
    Embedded { cluster: Cluster::new(clock.clone(), Options::default()), clock }
}

mod with_delays {
    use super::contract;
    contract::contract_rows!(super::slow());
}

mod without_delays {
    use super::contract;
    contract::contract_rows!(super::quick());
}
