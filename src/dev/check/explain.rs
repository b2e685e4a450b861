//! Finds the order in which a node must have read its inputs.
//!
//! A node that reads several topics sees each of them in order, but between topics any order is right. For one key there are few
//! messages, so all orders are tried until one explains exactly what was written; if none does, the one that leaves the least
//! unexplained tells what was lost or doubled.

use super::event::{fingerprint, hash_of};
use std::collections::HashMap;

/// One node of the sample, for one key at a time.
pub(super) trait Model {
    /// State of a key.
    type State: Clone + Default;
    /// What it reads.
    type Input;

    /// Handles one input: the effects, as fingerprints under the input's id.
    fn step(&self, state: &mut Self::State, input: &Self::Input, effects: &mut Effects);
}

/// What inputs led to.
#[derive(Clone, Debug, Default)]
pub(super) struct Effects {
    /// Fingerprints, each with the (hashed) id of the input that caused it.
    list: Vec<(u64, u64)>,
    /// The messages in full, for tests that play the shop.
    #[cfg(test)]
    pub(super) told: Vec<(&'static str, &'static str, serde_json::Value)>,
}

impl Effects {
    /// Notes that this input wrote this message.
    pub(super) fn add(&mut self, cause: &str, topic: &'static str, kind: &'static str, data: serde_json::Value) {
        self.list.push((hash_of(cause), fingerprint(topic, kind, &data)));
        #[cfg(test)]
        self.told.push((topic, kind, data));
    }
}

/// What explains a key's history best.
#[derive(Clone, Debug)]
pub(super) struct Explanation<S> {
    pub(super) state: S,
    pub(super) missing: u64,
    pub(super) extra: u64,
}

/// What a state that does not fit weighs against messages that do not.
const MISFIT_COST: u64 = 4;
/// So many orders are tried at most.
const ORDERS_MAX: usize = 20_000;

/// Tries orders of `inputs` (one list per topic) against what was `observed`, and takes for the best that whose state `fits` among
/// those with the fewest differences.
pub(super) fn explain<M: Model>(
    model: &M,
    inputs: &[Vec<M::Input>],
    observed: &HashMap<u64, Vec<u64>>,
    fits: &dyn Fn(&M::State) -> bool,
) -> Explanation<M::State> {
    let mut search = Search { model, inputs, observed, fits, best: None, tried: 0 };
    search.go(&mut vec![0; inputs.len()], M::State::default(), Effects::default());
    let (_, best) = search.best.expect("there is at least one order, that of no inputs");
    best
}

struct Search<'a, M: Model> {
    model: &'a M,
    inputs: &'a [Vec<M::Input>],
    observed: &'a HashMap<u64, Vec<u64>>,
    fits: &'a dyn Fn(&M::State) -> bool,
    best: Option<(u64, Explanation<M::State>)>,
    tried: usize,
}

impl<M: Model> Search<'_, M> {
    fn go(&mut self, at: &mut Vec<usize>, mut state: M::State, mut effects: Effects) {
        // While one topic alone has inputs left there is nothing to choose: a key with a long history does not nest.
        let before = at.clone();
        loop {
            let mut open = (0..self.inputs.len()).filter(|topic| at[*topic] < self.inputs[*topic].len());
            let (Some(topic), None) = (open.next(), open.next()) else { break };
            self.model.step(&mut state, &self.inputs[topic][at[topic]], &mut effects);
            at[topic] += 1;
        }
        let mut ended = true;
        for topic in 0..self.inputs.len() {
            let Some(input) = self.inputs[topic].get(at[topic]) else { continue };
            ended = false;
            if self.tried >= ORDERS_MAX || self.best.as_ref().is_some_and(|(cost, _)| *cost == 0) {
                break;
            }
            let (mut state, mut effects) = (state.clone(), effects.clone());
            self.model.step(&mut state, input, &mut effects);
            at[topic] += 1;
            self.go(at, state, effects);
            at[topic] -= 1;
        }
        if ended {
            self.tried += 1;
            let (missing, extra) = differences(&effects, self.observed);
            // An order that ends in another state than the node's is no explanation while there is one that does not, even if
            // it leaves less to explain: it may be one in which an effect comes before its cause.
            let cost = missing + extra + MISFIT_COST * u64::from(!(self.fits)(&state));
            if self.best.as_ref().is_none_or(|(best, _)| cost < *best) {
                self.best = Some((cost, Explanation { state, missing, extra }));
            }
        }
        *at = before;
    }
}

/// How many expected effects are not there, and how many are there that nobody expected.
fn differences(expected: &Effects, observed: &HashMap<u64, Vec<u64>>) -> (u64, u64) {
    let mut left = observed.clone();
    let mut missing = 0;
    for (cause, effect) in &expected.list {
        let found = left.get_mut(cause).and_then(|effects| {
            let at = effects.iter().position(|known| known == effect)?;
            Some(effects.swap_remove(at))
        });
        missing += u64::from(found.is_none());
    }
    (missing, left.values().map(|effects| effects.len() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs are texts; a node that appends them and writes, for each, the text so far.
    struct Append;

    impl Model for Append {
        type State = String;
        type Input = &'static str;

        fn step(&self, state: &mut String, input: &&'static str, effects: &mut Effects) {
            state.push_str(input);
            effects.add(input, "topic", "type", state.as_str().into());
        }
    }

    fn observed(effects: &[(&str, &str)]) -> HashMap<u64, Vec<u64>> {
        let mut map: HashMap<u64, Vec<u64>> = HashMap::new();
        for (cause, effect) in effects {
            map.entry(hash_of(cause)).or_default().push(fingerprint("topic", "type", &(*effect).into()));
        }
        map
    }

    #[test]
    fn the_order_that_explains_everything_is_found() {
        let inputs = vec![vec!["a", "b"], vec!["x"]];
        for (effects, state) in [
            ([("a", "a"), ("b", "ab"), ("x", "abx")], "abx"),
            ([("a", "a"), ("x", "ax"), ("b", "axb")], "axb"),
            ([("x", "x"), ("a", "xa"), ("b", "xab")], "xab"),
        ] {
            let found = explain(&Append, &inputs, &observed(&effects), &|found| found == state);
            assert_eq!((found.state.as_str(), found.missing, found.extra), (state, 0, 0));
        }
    }

    #[test]
    fn a_long_history_of_one_topic_is_followed_to_its_end() {
        struct Count;
        impl Model for Count {
            type State = u64;
            type Input = u64;
            fn step(&self, state: &mut u64, input: &u64, _: &mut Effects) {
                *state += input;
            }
        }
        let found = explain(&Count, &[vec![1; 200_000], vec![]], &HashMap::new(), &|_| true);
        assert_eq!(found.state, 200_000);
    }

    #[test]
    fn what_no_order_explains_is_counted() {
        let inputs = vec![vec!["a", "b"], vec!["x"]];
        for (effects, missing, extra) in [
            (vec![("a", "a"), ("b", "ab")], 1, 0),
            (vec![("a", "a"), ("b", "ab"), ("x", "abx"), ("x", "abx")], 0, 1),
            (vec![("a", "a"), ("b", "ba"), ("x", "abx")], 1, 1),
            (vec![("a", "a"), ("b", "ab"), ("x", "abx"), ("q", "q")], 0, 1),
            (vec![], 3, 0),
        ] {
            let found = explain(&Append, &inputs, &observed(&effects), &|_| true);
            assert_eq!((found.missing, found.extra), (missing, extra), "{effects:?}");
        }
    }
}
