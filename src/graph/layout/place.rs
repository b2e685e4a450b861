//! At which height everything stands.
//!
//! Every item wants to stand level with its neighbours, passing lines most of all, and keeps the order and the space of its layer.
//! For one layer that is a least-squares problem with ordered unknowns, which merging of neighbours solves exactly; the layers
//! are solved in turn, back and forth.

use super::order::{Grid, Item};
use super::{BOX_GAP, LINE_GAP};

/// Rounds over all layers.
const ROUNDS: usize = 16;

/// The middle of every item, from 0 downwards.
pub(super) fn heights(grid: &Grid, sizes: &[(i32, i32)]) -> Vec<f64> {
    let half = |item: usize| match grid.items[item] {
        Item::Box(node) => f64::from(sizes[node].1) / 2.0,
        Item::Line => 0.0,
    };
    let apart = |upper: usize, lower: usize| {
        let boxes = matches!((grid.items[upper], grid.items[lower]), (Item::Box(_), Item::Box(_)));
        half(upper) + half(lower) + f64::from(if boxes { BOX_GAP } else { LINE_GAP })
    };
    let mut heights = vec![0.0; grid.items.len()];
    for layer in &grid.layers {
        let mut at = 0.0;
        for (place, item) in layer.iter().enumerate() {
            if place > 0 {
                at += apart(layer[place - 1], *item);
            }
            heights[*item] = at;
        }
        let middle = at / 2.0;
        layer.iter().for_each(|item| heights[*item] -= middle);
    }
    for round in 0..ROUNDS {
        let count = grid.layers.len();
        for step in 0..count {
            let at = if round % 2 == 0 { step } else { count - 1 - step };
            let layer = &grid.layers[at];
            // One side first, so that a layer follows the other as a whole; both in the end.
            let sides = match round {
                _ if round >= ROUNDS / 2 => (true, true),
                _ => (round % 2 == 0, round % 2 == 1),
            };
            let wanted: Vec<(f64, f64)> = layer.iter().map(|item| wish(grid, *item, sides, &heights)).collect();
            let spaces: Vec<f64> = layer.windows(2).map(|pair| apart(pair[0], pair[1])).collect();
            for (item, height) in layer.iter().zip(settle(&wanted, &spaces)) {
                heights[*item] = height;
            }
        }
    }
    let tops = grid.layers.iter().flatten().map(|item| heights[*item] - half(*item));
    let top = tops.reduce(f64::min).unwrap_or(0.0);
    heights.iter().map(|height| height - top).collect()
}

/// Where an item would like to stand, and how much.
fn wish(grid: &Grid, item: usize, sides: (bool, bool), heights: &[f64]) -> (f64, f64) {
    let before = if sides.0 { &grid.before[item][..] } else { &[] };
    let behind = if sides.1 { &grid.behind[item][..] } else { &[] };
    let (mut sum, mut weights) = (0.0, 0.0);
    for other in before.iter().chain(behind) {
        // A bend in the middle of a long line is the ugliest.
        let weight = match (grid.items[item], grid.items[*other]) {
            (Item::Line, Item::Line) => 8.0,
            (Item::Line, Item::Box(_)) | (Item::Box(_), Item::Line) => 2.0,
            (Item::Box(_), Item::Box(_)) => 1.0,
        };
        sum += weight * heights[*other];
        weights += weight;
    }
    // Without a neighbour it stays, and gives way to all others.
    if weights > 0.0 { (sum / weights, weights) } else { (heights[item], 0.1) }
}

/// The heights nearest to what is wanted (with weights) that keep the order and at least these spaces.
fn settle(wanted: &[(f64, f64)], spaces: &[f64]) -> Vec<f64> {
    // With the spaces taken off, heights must only not fall: what does is merged into one block at its mean.
    struct Block {
        mean: f64,
        weight: f64,
        items: usize,
    }
    let mut offset = 0.0;
    let mut blocks: Vec<Block> = Vec::new();
    for (at, (height, weight)) in wanted.iter().enumerate() {
        if at > 0 {
            offset += spaces[at - 1];
        }
        let mut block = Block { mean: height - offset, weight: *weight, items: 1 };
        while let Some(last) = blocks.pop_if(|last| last.mean > block.mean) {
            let weight = last.weight + block.weight;
            let mean = (last.mean * last.weight + block.mean * block.weight) / weight;
            block = Block { mean, weight, items: last.items + block.items };
        }
        blocks.push(block);
    }
    let mut settled = Vec::with_capacity(wanted.len());
    let mut offset = 0.0;
    for height in blocks.iter().flat_map(|block| std::iter::repeat_n(block.mean, block.items)) {
        if !settled.is_empty() {
            offset += spaces[settled.len() - 1];
        }
        settled.push(height + offset);
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::settle;

    #[test]
    fn what_does_not_fit_shares_the_pain() {
        assert_eq!(settle(&[(0.0, 1.0), (100.0, 1.0)], &[10.0]), [0.0, 100.0]);
        assert_eq!(settle(&[(50.0, 1.0), (50.0, 1.0)], &[10.0]), [45.0, 55.0]);
        assert_eq!(settle(&[(50.0, 3.0), (50.0, 1.0)], &[10.0]), [47.5, 57.5]);
        assert_eq!(settle(&[(9.0, 1.0), (0.0, 1.0), (0.0, 1.0)], &[1.0, 1.0]), [2.0, 3.0, 4.0]);
        assert_eq!(settle(&[], &[]), [0.0; 0]);
    }
}
