//! The same cluster from many threads at once, under the real clock: nothing is lost and nobody sleeps through its wake-up.

use super::*;
use crate::broker::Wake;
use crate::clock::SystemClock;
use std::sync::mpsc::{Receiver, sync_channel};

const LANES: usize = 3;
const TRANSACTIONS: usize = 100;

/// Far longer than anything takes here; a wake-up that never comes fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(60);

fn bell() -> (Wake, Receiver<()>) {
    let (ring, rung) = sync_channel(1);
    // A full channel means that the sleeper has a call waiting already.
    (Arc::new(move || _ = ring.try_send(())), rung)
}

fn write(cluster: &Cluster, lane: usize) {
    let (wake, rung) = bell();
    let mut client = cluster.transactions(&TransactionSettings { wake, ..lane_settings(&format!("lane-{lane}")) }).unwrap();
    let mut done = |op: Op| {
        client.submit(op);
        loop {
            match client.reply() {
                Some(reply) => return reply.result.unwrap(),
                None => rung.recv_timeout(PATIENCE).unwrap(),
            }
        }
    };
    done(Op::Init);
    for number in 0..TRANSACTIONS {
        let value = format!("{lane}/{number}");
        done(Op::Begin);
        done(Op::Produce(batch("in", &[("k", &value), ("k", &value)])));
        done(Op::Drain);
        done(if number % 5 == 4 { Op::Abort } else { Op::Commit });
    }
}

fn read(cluster: &Cluster, group: &str, wanted: usize) -> Vec<String> {
    let (wake, rung) = bell();
    let settings = ConsumerSettings { wake, ..consumer_settings(group, None, &["in"]) };
    let mut consumer = cluster.consumer(&settings).unwrap();
    let mut seen = Vec::new();
    while seen.len() < wanted {
        let limit = Limit { records: 7, time: Duration::from_millis(10) };
        let polled = consumer.poll(limit, &mut |record| seen.push(String::from_utf8_lossy(record.value.unwrap()).into_owned()));
        match polled {
            Polled::Assigned(partitions) => {
                consumer.accept(&partitions).unwrap();
                consumer.resume_at(&[(at("in", 0), 0)]).unwrap();
            }
            Polled::Full => {}
            Polled::Idle if seen.len() < wanted => rung.recv_timeout(PATIENCE).unwrap(),
            Polled::Idle => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[test]
fn threads_share_a_cluster_and_nobody_sleeps_through_its_wake_up() {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    let spec = TopicSpec { name: "in".into(), partitions: 1, replication: None, config: BTreeMap::new() };
    cluster.create_topic(&spec).unwrap();
    let wanted = LANES * TRANSACTIONS / 5 * 4 * 2;
    let logs: Vec<Vec<String>> = std::thread::scope(|scope| {
        let readers: Vec<_> = ["a", "b"].map(|group| scope.spawn(|| read(&cluster, group, wanted))).into_iter().collect();
        for lane in 0..LANES {
            scope.spawn({
                let cluster = &cluster;
                move || write(cluster, lane)
            });
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!(logs[0], logs[1], "one order for everybody");
    for lane in 0..LANES {
        let prefix = format!("{lane}/");
        let mine: Vec<usize> = logs[0].iter().filter_map(|value| value.strip_prefix(&prefix)?.parse().ok()).collect();
        let expected: Vec<usize> = (0..TRANSACTIONS).filter(|number| number % 5 != 4).flat_map(|number| [number; 2]).collect();
        assert_eq!(mine, expected);
    }
}
