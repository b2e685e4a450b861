//! In which order the boxes of a layer stand, so that few lines cross.
//!
//! A line that passes over a layer gets an item of its own there, so that all lines lead from one layer to the next. The layers
//! are then sorted by where the neighbours stand, back and forth, and neighbours are exchanged where that helps; the best order
//! that was met is kept.

use super::layers::Layers;
use super::{aside, leads};
use crate::graph::Graph;

/// Rounds of sorting; pictures of more items than [`ITEMS_MANY`] get a few only.
const ROUNDS: usize = 24;
const ROUNDS_OF_MANY: usize = 4;
const ITEMS_MANY: usize = 3_000;

/// What stands in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A box.
    Box(usize),
    /// A line that passes.
    Line,
}

/// Layers of items.
pub(super) struct Grid {
    pub(super) items: Vec<Item>,
    /// Per layer its items, from top to bottom.
    pub(super) layers: Vec<Vec<usize>>,
    /// Per item the items before it, one layer to the left; as often as there are lines.
    pub(super) before: Vec<Vec<usize>>,
    /// The same to the right.
    pub(super) behind: Vec<Vec<usize>>,
    /// Per line of the graph its items from left to right; empty where it is no part of the layers.
    pub(super) chains: Vec<Vec<usize>>,
    /// Per line of the graph: does it lead to the left?
    pub(super) turned: Vec<bool>,
    /// Per box its layer.
    pub(super) layer_of: Vec<usize>,
}

impl Grid {
    pub(super) fn new(graph: &Graph, layers: &Layers) -> Self {
        let mut grid = Self {
            items: (0..graph.nodes.len()).map(Item::Box).collect(),
            layers: vec![Vec::new(); layers.count],
            before: vec![Vec::new(); graph.nodes.len()],
            behind: vec![Vec::new(); graph.nodes.len()],
            chains: vec![Vec::new(); graph.edges.len()],
            turned: layers.turned.clone(),
            layer_of: layers.of.clone(),
        };
        for node in (0..graph.nodes.len()).filter(|node| Some(*node) != aside(graph)) {
            grid.layers[layers.of[node]].push(node);
        }
        for (edge, from, to) in leads(graph) {
            let (left, right) = if layers.turned[edge] { (to, from) } else { (from, to) };
            let mut chain = vec![left];
            for layer in layers.of[left] + 1..layers.of[right] {
                grid.items.push(Item::Line);
                grid.before.push(Vec::new());
                grid.behind.push(Vec::new());
                let item = grid.items.len() - 1;
                grid.layers[layer].push(item);
                chain.push(item);
            }
            chain.push(right);
            for pair in chain.windows(2) {
                grid.behind[pair[0]].push(pair[1]);
                grid.before[pair[1]].push(pair[0]);
            }
            grid.chains[edge] = chain;
        }
        grid
    }

    /// Sorts the layers.
    pub(super) fn order(&mut self) {
        self.follow();
        let mut best = self.layers.clone();
        let mut least = self.crossings();
        let rounds = if self.items.len() > ITEMS_MANY { ROUNDS_OF_MANY } else { ROUNDS };
        for round in 0..rounds {
            if least == 0 {
                break;
            }
            self.sweep(round % 2 == 0);
            self.exchange();
            let crossings = self.crossings();
            if crossings < least {
                least = crossings;
                best.clone_from(&self.layers);
            }
        }
        self.layers = best;
    }

    /// The first order: each box beside those that it is connected with.
    fn follow(&mut self) {
        let mut seen = vec![false; self.items.len()];
        let mut order = Vec::new();
        for start in self.layers.iter().flatten() {
            let mut open = vec![*start];
            while let Some(item) = open.pop() {
                if std::mem::replace(&mut seen[item], true) {
                    continue;
                }
                order.push(item);
                open.extend(self.before[item].iter().chain(&self.behind[item]).rev());
            }
        }
        let mut rank = vec![0; self.items.len()];
        order.iter().enumerate().for_each(|(at, item)| rank[*item] = at);
        for layer in &mut self.layers {
            layer.sort_by_key(|item| rank[*item]);
        }
    }

    /// Where each item stands in its layer.
    fn positions(&self) -> Vec<usize> {
        let mut positions = vec![0; self.items.len()];
        for layer in &self.layers {
            layer.iter().enumerate().for_each(|(at, item)| positions[*item] = at);
        }
        positions
    }

    /// Sorts layer by layer, by the mean place of the neighbours in the layer before it (or behind it).
    fn sweep(&mut self, to_the_right: bool) {
        let mut positions = self.positions();
        let count = self.layers.len();
        for step in 1..count {
            let at = if to_the_right { step } else { count - 1 - step };
            let near = if to_the_right { &self.before } else { &self.behind };
            let mut keyed: Vec<(f64, usize)> = self.layers[at]
                .iter()
                .map(|item| {
                    let near = &near[*item];
                    let sum: usize = near.iter().map(|other| positions[*other]).sum();
                    // What has no neighbours there stays where it is.
                    let mean = if near.is_empty() { positions[*item] as f64 } else { sum as f64 / near.len() as f64 };
                    (mean, *item)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            self.layers[at] = keyed.into_iter().map(|(_, item)| item).collect();
            self.layers[at].iter().enumerate().for_each(|(place, item)| positions[*item] = place);
        }
    }

    /// Exchanges neighbours as long as that leaves fewer crossings.
    fn exchange(&mut self) {
        const ROUNDS_MAX: usize = 8;
        let mut positions = self.positions();
        for _ in 0..ROUNDS_MAX {
            let mut better = false;
            for layer in &mut self.layers {
                for at in 1..layer.len() {
                    let (upper, lower) = (layer[at - 1], layer[at]);
                    let count = |a: usize, b: usize| {
                        crossed(&self.before[a], &self.before[b], &positions)
                            + crossed(&self.behind[a], &self.behind[b], &positions)
                    };
                    if count(lower, upper) < count(upper, lower) {
                        layer.swap(at - 1, at);
                        positions.swap(upper, lower);
                        better = true;
                    }
                }
            }
            if !better {
                return;
            }
        }
    }

    /// How often lines cross.
    pub(super) fn crossings(&self) -> u64 {
        let positions = self.positions();
        let mut sum = 0;
        for (at, layer) in self.layers.iter().enumerate().skip(1) {
            // Ends on the left, in the order of the right ones: every pair out of order is a crossing.
            let mut ends = Vec::new();
            for item in layer {
                let mut own: Vec<usize> = self.before[*item].iter().map(|other| positions[*other]).collect();
                own.sort_unstable();
                ends.extend(own);
            }
            sum += inversions(&ends, self.layers[at - 1].len());
        }
        sum
    }
}

/// Crossings of the lines of two items, the first one above the other.
fn crossed(upper: &[usize], lower: &[usize], positions: &[usize]) -> usize {
    let lines = upper.iter().flat_map(|a| lower.iter().map(move |b| (a, b)));
    lines.filter(|(a, b)| positions[**a] > positions[**b]).count()
}

/// Pairs that stand in the wrong order, of numbers below `bound`.
fn inversions(numbers: &[usize], bound: usize) -> u64 {
    // A Fenwick tree of how many of each number were met.
    let mut tree = vec![0_u64; bound + 1];
    let mut found = 0;
    for (met, number) in numbers.iter().enumerate() {
        let mut at = number + 1;
        let mut not_larger = 0;
        while at > 0 {
            not_larger += tree[at];
            at &= at - 1;
        }
        found += met as u64 - not_larger;
        let mut at = number + 1;
        while at <= bound {
            tree[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::inversions;

    #[test]
    fn inversions_are_pairs_out_of_order() {
        for (numbers, expected) in [(&[][..], 0), (&[0, 1, 2], 0), (&[2, 1, 0], 3), (&[1, 1, 0, 1], 2), (&[3, 0, 2, 1], 4)] {
            assert_eq!(inversions(numbers, 4), expected, "{numbers:?}");
        }
    }
}
