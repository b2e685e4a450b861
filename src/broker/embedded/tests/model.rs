//! Random programs of several producers against a plain model: readers see exactly what is committed, in order.

use super::*;
use crate::broker::ErrorClass;
use proptest::prelude::*;

const LANES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Begin(usize),
    Produce(usize, usize),
    Commit(usize),
    Abort(usize),
    Rebuild(usize),
    /// The client's process dies; another takes its place.
    Crash(usize),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let lane = 0..LANES;
    prop_oneof![
        3 => lane.clone().prop_map(Step::Begin),
        4 => (lane.clone(), 1..4_usize).prop_map(|(lane, records)| Step::Produce(lane, records)),
        3 => lane.clone().prop_map(Step::Commit),
        1 => lane.clone().prop_map(Step::Abort),
        1 => lane.clone().prop_map(Step::Rebuild),
        1 => lane.prop_map(Step::Crash),
        2 => (1..15_000_u16).prop_map(Step::Pass),
    ]
}

/// What the model knows of a lane.
#[derive(Clone, Debug, Default)]
struct Modelled {
    begun: bool,
    /// Numbers of the records of the open transaction.
    open: Vec<usize>,
}

fn check(steps: &[Step], marker_delay: Duration) -> Result<(), TestCaseError> {
    let world = World::new(Options { marker_delay, ..Options::default() });
    world.topic("out", 1, &[]);
    let id = |lane: usize| format!("lane-{lane}");
    let mut lanes: Vec<_> = (0..LANES).map(|lane| world.ready(&id(lane))).collect();
    let mut model = vec![Modelled::default(); LANES];
    let mut committed: Vec<usize> = Vec::new();
    let mut written = 0;
    // A reader that follows all the time, as a consumer does.
    let mut follower = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    follower.assign(&[(at("out", 0), 0)]).unwrap();
    let mut followed: Vec<(Offset, usize)> = Vec::new();
    for step in steps {
        match *step {
            Step::Begin(lane) if !model[lane].begun => match lanes[lane].run(Op::Begin) {
                Ok(_) => model[lane].begun = true,
                Err(error) => {
                    prop_assert_eq!(error.class, ErrorClass::Fenced);
                    lanes[lane].done(Op::Rebuild);
                }
            },
            Step::Produce(lane, records) if model[lane].begun => {
                let numbers: Vec<usize> = (written..written + records).collect();
                written += records;
                let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                let records: Vec<_> = texts.iter().map(|text| ("k", text.as_str())).collect();
                let produced = lanes[lane].run(Op::Produce(batch("out", &records)));
                match produced.and_then(|_| lanes[lane].run(Op::Drain)) {
                    Ok(_) => model[lane].open.extend(numbers),
                    Err(error) => {
                        prop_assert_eq!(error.class, ErrorClass::Fenced, "timed out");
                        lanes[lane].done(Op::Rebuild);
                        model[lane] = Modelled::default();
                    }
                }
            }
            Step::Commit(lane) if model[lane].begun => match lanes[lane].run(Op::Commit) {
                Ok(_) => committed.append(&mut std::mem::take(&mut model[lane]).open),
                Err(error) => {
                    prop_assert_eq!(error.class, ErrorClass::Fenced, "timed out");
                    lanes[lane].done(Op::Rebuild);
                    model[lane] = Modelled::default();
                }
            },
            Step::Abort(lane) if model[lane].begun => {
                if lanes[lane].run(Op::Abort).is_err() {
                    lanes[lane].done(Op::Rebuild);
                }
                model[lane] = Modelled::default();
            }
            Step::Rebuild(lane) => {
                lanes[lane].done(Op::Rebuild);
                model[lane] = Modelled::default();
            }
            Step::Crash(lane) => {
                lanes[lane] = world.lane(&id(lane));
                lanes[lane].done(Op::Init);
                model[lane] = Modelled::default();
            }
            Step::Pass(time) => world.pass(Duration::from_millis(time.into())),
            Step::Begin(_) | Step::Produce(..) | Step::Commit(_) | Step::Abort(_) => {}
        }
        let mut visible = Vec::new();
        follower.poll(ALL, &mut |record| visible.push((record.offset, number(record.value)))).unwrap();
        prop_assert!(visible.iter().all(|(_, number)| committed.contains(number)), "{visible:?} of {committed:?}");
        followed.extend(visible);
    }
    // Everything that is open times out, so that nothing holds readers back.
    drop(lanes);
    world.pass(Duration::from_secs(30));
    follower.poll(ALL, &mut |record| followed.push((record.offset, number(record.value)))).unwrap();
    prop_assert!(followed.is_sorted_by(|a, b| a.0 < b.0), "each once, in order");
    let seen: Vec<usize> = followed.iter().map(|(_, number)| *number).collect();
    // Numbers were given in the order of writing, which is the order of the log.
    committed.sort_unstable();
    prop_assert_eq!(&seen, &committed);
    let end = follower.position(&at("out", 0));
    let raw = world.read("out", 0, Isolation::ReadUncommitted);
    prop_assert!(raw.len() >= seen.len() && raw.iter().all(|(offset, _, _)| *offset < end));
    Ok(())
}

fn number(value: Option<&[u8]>) -> usize {
    std::str::from_utf8(value.unwrap()).unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_exactly_what_is_committed_in_order(steps in proptest::collection::vec(step(), 1..60), delay in 0..3_u64) {
        check(&steps, Duration::from_millis(delay * 20))?;
    }
}
