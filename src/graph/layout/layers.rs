//! Which layer each box stands in.

use super::leads;
use crate::graph::Graph;

/// Per line: does it lead to the left? Per box: its layer, from 0.
pub(super) struct Layers {
    pub(super) turned: Vec<bool>,
    pub(super) of: Vec<usize>,
    pub(super) count: usize,
}

pub(super) fn assign(graph: &Graph) -> Layers {
    let rank = ranks(graph);
    let mut turned = vec![false; graph.edges.len()];
    let mut arrows = Vec::new();
    for (edge, from, to) in leads(graph) {
        turned[edge] = rank[from] > rank[to];
        arrows.push(if turned[edge] { (to, from) } else { (from, to) });
    }
    let mut by_rank: Vec<usize> = (0..graph.nodes.len()).collect();
    by_rank.sort_by_key(|node| rank[*node]);
    let near = Near::of(graph.nodes.len(), &arrows);
    let mut of = longest_paths(&near, &by_rank);
    pull_together(&near, &by_rank, &mut of);
    // Pulling to the right may have left the first layers empty.
    let mut used: Vec<usize> = of.clone();
    used.sort_unstable();
    used.dedup();
    for layer in &mut of {
        *layer = used.partition_point(|known| known < layer);
    }
    Layers { turned, of, count: used.len() }
}

/// What leads to a box, and where it leads.
struct Near {
    before: Vec<Vec<usize>>,
    behind: Vec<Vec<usize>>,
}

impl Near {
    fn of(nodes: usize, arrows: &[(usize, usize)]) -> Self {
        let mut near = Self { before: vec![Vec::new(); nodes], behind: vec![Vec::new(); nodes] };
        for (from, to) in arrows {
            near.behind[*from].push(*to);
            near.before[*to].push(*from);
        }
        near
    }
}

/// A sequence of the boxes in which few lines lead back, after Eades, Lin and Smyth: what nothing leads to comes first, what leads
/// nowhere last, else what has most lines out and fewest in.
fn ranks(graph: &Graph) -> Vec<usize> {
    let nodes = graph.nodes.len();
    let arrows: Vec<(usize, usize)> = leads(graph).map(|(_, from, to)| (from, to)).collect();
    let near = Near::of(nodes, &arrows);
    let mut ins: Vec<usize> = near.before.iter().map(Vec::len).collect();
    let mut outs: Vec<usize> = near.behind.iter().map(Vec::len).collect();
    let mut left: Vec<bool> = vec![true; nodes];
    let (mut first, mut last) = (Vec::new(), Vec::new());
    while first.len() + last.len() < nodes {
        let open = || (0..nodes).filter(|node| left[*node]);
        let taken = open().find(|node| outs[*node] == 0 && ins[*node] > 0).map(|node| (node, false));
        let taken = taken.or_else(|| open().find(|node| ins[*node] == 0).map(|node| (node, true)));
        let taken = taken.or_else(|| {
            let surplus = |node: &usize| outs[*node] as i64 - ins[*node] as i64;
            open().max_by_key(|node| (surplus(node), std::cmp::Reverse(*node))).map(|node| (node, true))
        });
        let Some((node, goes_first)) = taken else { break };
        left[node] = false;
        near.behind[node].iter().for_each(|to| ins[*to] = ins[*to].saturating_sub(1));
        near.before[node].iter().for_each(|from| outs[*from] = outs[*from].saturating_sub(1));
        if goes_first { first.push(node) } else { last.push(node) }
    }
    let mut rank = vec![0; nodes];
    for (at, node) in first.into_iter().chain(last.into_iter().rev()).enumerate() {
        rank[node] = at;
    }
    rank
}

fn longest_paths(near: &Near, by_rank: &[usize]) -> Vec<usize> {
    let mut of = vec![0; by_rank.len()];
    for node in by_rank {
        of[*node] = near.before[*node].iter().map(|from| of[*from] + 1).max().unwrap_or(0);
    }
    of
}

/// Moves boxes to where their lines are shorter: to what they lead to, or back to what leads to them.
fn pull_together(near: &Near, by_rank: &[usize], of: &mut [usize]) {
    const ROUNDS_MAX: usize = 16;
    for _ in 0..ROUNDS_MAX {
        let mut moved = false;
        for node in by_rank.iter().rev().chain(by_rank) {
            let (before, behind) = (&near.before[*node], &near.behind[*node]);
            let least = before.iter().map(|from| of[*from] + 1).max();
            let most = behind.iter().map(|to| of[*to] - 1).min();
            let wanted = match behind.len().cmp(&before.len()) {
                std::cmp::Ordering::Greater => most,
                std::cmp::Ordering::Less => least,
                std::cmp::Ordering::Equal => None,
            };
            if let Some(wanted) = wanted.filter(|wanted| *wanted != of[*node]) {
                of[*node] = wanted;
                moved = true;
            }
        }
        if !moved {
            return;
        }
    }
}
