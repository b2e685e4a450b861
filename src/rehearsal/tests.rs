//! A rehearsal beside a cluster that is left as it was.

use super::*;
use crate::broker::TopicSpec;
use crate::clock::SystemClock;
use crate::dlq::{Chosen, Redrive};
use crate::node::World;
use crate::record::partition_of;
use crate::runtime::{Engine, Exit, Running};
use crate::topology::{self, NoSources};

fn topology(expression: &str) -> String {
    format!(
        r#"
skald: 1
topology: tried
topics:
  numbers: {{ partitions: 2, key: data.id, types: {{ number.v1: {{ type: object, required: [id, by], properties: {{ id: {{ type: string }}, by: {{ type: integer }} }} }} }} }}
  told: {{ partitions: 2, types: {{ told.v1: {{}} }} }}
aggregates:
  sums:
    from: numbers
    initial: {{ n: 0 }}
    evolve:
      number.v1:
        set:
          n: "=state.n + {expression}"
    updates: {{ type: told.v1, to: told, key: key, data: {{ n: =state.n }} }}
"#
    )
}

fn program(expression: &str) -> Arc<Program> {
    let loaded = topology::load("test.yaml", topology(expression).as_bytes(), &[], &NoSources);
    assert!(!loaded.has_errors(), "{:#?}", loaded.findings);
    let (topology, plan) = loaded.checked.unwrap();
    Arc::new(Program::compile(&World::new(Arc::new(topology), Arc::new(plan))))
}

fn start(cluster: &Cluster, clock: &Arc<SystemClock>) -> Running {
    let program = program("100 / data.by");
    let prepared = prepare(&program.plan, &*cluster.admin().unwrap(), true).unwrap();
    let engine = Engine {
        program,
        prepared: Arc::new(prepared),
        broker: Arc::new(cluster.clone()),
        stores: Arc::new(Memory::new()),
        clock: clock.clone(),
        telemetry: Telemetry::new(),
        settings: Settings::default(),
    };
    engine.start().unwrap()
}

fn count(cluster: &Cluster) -> u64 {
    let topics = cluster.admin().unwrap().topics().unwrap();
    let count = |topic: &crate::broker::TopicInfo| {
        crate::reading::Log::open(cluster, &topic.name, Isolation::ReadUncommitted).unwrap().unwrap().span()
    };
    topics.iter().map(count).sum()
}

#[test]
fn letters_are_tried_with_the_states_of_the_cluster_which_is_left_as_it_was() {
    let clock = Arc::new(SystemClock::new());
    let cluster = Cluster::new(clock.clone(), Options::default());
    let running = start(&cluster, &clock);
    let mut producer = cluster.producer().unwrap();
    for (id, by) in [("a", 2), ("a", 0), ("b", 0), ("a", 10)] {
        let value = format!(r#"{{"id":"{id}{by}","type":"number.v1","data":{{"id":"{id}","by":{by}}}}}"#);
        let record = Record {
            topic: "numbers".into(),
            partition: partition_of(id.as_bytes(), 2),
            timestamp: 1,
            key: Some(id.as_bytes().to_vec().into()),
            value: Some(value.into_bytes().into()),
            headers: Vec::new(),
        };
        producer.send(&record).unwrap();
    }
    while running.totals().get().dead_letters < 2 || running.totals().get().processed < 2 {
        std::thread::yield_now();
    }
    running.stop();
    assert!(matches!(running.wait(), Exit::Stopped));
    let spec = TopicSpec { name: "elsewhere".into(), partitions: 3, replication: None, config: BTreeMap::new() };
    cluster.create_topic(&spec).unwrap();

    let mut letters = Vec::new();
    let look = Redrive::look(&cluster, "tried.dlq", 3, &Chosen::default(), &mut |letter, record| {
        letters.push((letter.clone(), record))
    });
    assert_eq!(look.unwrap().acted, 2);
    letters.sort_by_key(|(letter, _)| letter.record.key.clone());
    let filed: Vec<Filed> = letters.iter().map(|(letter, _)| letter.clone()).collect();
    let before = count(&cluster);

    let mended = program("(data.by == 0 ? 1 : 100 / data.by)");
    let mut stage = Rehearsal::new(&mended, &filed, &cluster, 5).unwrap();
    assert_eq!(stage.empty(), [] as [Text; 0]);
    let mut outcome = |at: usize| {
        let came = stage.play(&letters[at].1).unwrap();
        assert!(came.failures.is_empty() && came.halted.is_none(), "{came:?}");
        assert_eq!(came.emitted.len(), 1);
        came.states
    };
    let state = |key: &str, state: &str| vec![("sums".into(), key.into(), Some(state.into()))];
    assert_eq!(outcome(0), state("a", r#"{"n":61}"#), "on top of what the cluster keeps of it");
    assert_eq!(outcome(1), state("b", r#"{"n":1}"#));
    assert_eq!(outcome(1), state("b", r#"{"n":2}"#), "one letter sees what those before it did");

    let mut stage = Rehearsal::new(&program("100 / data.by"), &filed, &cluster, 5).unwrap();
    let came = stage.play(&letters[0].1).unwrap();
    let failed: Vec<_> = came.failures.iter().map(|found| found.cause().code).collect();
    assert_eq!((failed, came.emitted.len(), came.states.len()), (vec!["EXPRESSION_ERROR".into()], 0, 0));
    let stray = Record { topic: "nowhere".into(), ..letters[0].1.clone() };
    assert!(matches!(stage.play(&stray), Err(Error::NotRead { .. })));
    assert_eq!(count(&cluster), before, "nothing was written to the cluster");
}
