//! Where boxes and lines stand: layers from left to right, in the manner of Sugiyama.
//!
//! Four steps, a file each: [`layers`] turns a few lines around so that all lead to the right, and gives every box a layer;
//! [`order`] sorts each layer so that few lines cross; [`place`] finds heights at which lines are straight; [`route`] draws the
//! lines through the channels between the layers, where no box stands.
//!
//! Lines of dead letters are no part of that: every node has one, and they would be most of the picture. Each goes down its
//! channel to one line below everything that leads to their topic.
//!
//! It holds for the result: boxes do not overlap, no line passes through a box, every box is as wide as its text.

mod layers;
mod order;
mod place;
mod route;

use super::{EdgeKind, Graph, Shape};

/// A picture with places, in pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Width of the whole.
    pub width: i32,
    /// Height of the whole.
    pub height: i32,
    /// Per box of the graph.
    pub places: Vec<Place>,
    /// Per line of the graph.
    pub routes: Vec<Route>,
}

/// Where a box stands: its upper left corner and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
    /// Width.
    pub width: i32,
    /// Height.
    pub height: i32,
}

/// A point of the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// From the left.
    pub x: i32,
    /// From the top.
    pub y: i32,
}

/// The way of a line, from the box where it begins to the one that it leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Its corners. Between two of different height the line is a curve that begins and ends level.
    pub points: Vec<Point>,
    /// Are its pieces straight, with square corners?
    pub square: bool,
}

/// Space around everything.
pub(super) const MARGIN: i32 = 24;
/// Space above for the title.
pub(super) const TITLE_HEIGHT: i32 = 32;
/// Width of a character of a name: a monospaced font of 13 pixels, whose advance is 0.602 of its size in the widest of the usual
/// ones.
pub(super) const NAME_ADVANCE: f64 = 7.83;
/// Width of a character of a note: 11 pixels.
pub(super) const NOTE_ADVANCE: f64 = 6.63;
/// More columns of a name are not shown.
pub(super) const COLUMNS_MAX: usize = 38;
/// How far the point of a pipeline's box reaches out of its straight sides.
pub(super) const TIP: i32 = 12;
/// Space between boxes of one layer.
const BOX_GAP: i32 = 18;
/// Space between a line and its neighbours within a layer.
const LINE_GAP: i32 = 9;

impl Place {
    pub(super) fn right(self) -> i32 {
        self.x + self.width
    }

    pub(super) fn bottom(self) -> i32 {
        self.y + self.height
    }

    pub(super) fn middle(self) -> i32 {
        self.y + self.height / 2
    }
}

impl Layout {
    /// Places for a graph.
    pub fn of(graph: &Graph) -> Self {
        let layers = layers::assign(graph);
        let mut grid = order::Grid::new(graph, &layers);
        grid.order();
        let sizes: Vec<(i32, i32)> = graph.nodes.iter().map(|node| size(node.shape, &node.name, &node.note)).collect();
        let heights = place::heights(&grid, &sizes);
        route::draw(graph, &grid, &sizes, &heights)
    }
}

/// The lines that the layers follow from.
fn leads(graph: &Graph) -> impl Iterator<Item = (usize, usize, usize)> {
    let edges = graph.edges.iter().enumerate();
    edges
        .filter(|(_, edge)| edge.kind != EdgeKind::DeadLetters && edge.from != edge.to)
        .map(|(at, edge)| (at, edge.from, edge.to))
}

/// The box that all dead letters go to. It stands below the layers.
fn aside(graph: &Graph) -> Option<usize> {
    graph.edges.iter().find(|edge| edge.kind == EdgeKind::DeadLetters).map(|edge| edge.to)
}

/// Width and height of a box.
fn size(shape: Shape, name: &str, note: &str) -> (i32, i32) {
    let name = columns(&shown(name)) as f64 * NAME_ADVANCE;
    let note = columns(&shown(note)) as f64 * NOTE_ADVANCE;
    // Round ends and points take room that text cannot have.
    let sides = match shape {
        Shape::Pipeline | Shape::Repartition => 48.0,
        Shape::Topic | Shape::EngineTopic | Shape::Topics | Shape::DeadLetters => 36.0,
        Shape::Aggregate | Shape::Saga | Shape::Store => 28.0,
    };
    let height = if shape == Shape::Store { 48 } else { 44 };
    ((name.max(note) + sides).ceil() as i32, height)
}

/// A text as it is shown: control characters left out, the middle of a long one cut.
pub(super) fn shown(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    if columns(&text) <= COLUMNS_MAX {
        return text;
    }
    let half = COLUMNS_MAX / 2;
    let head = fitting(text.chars(), half);
    let tail: Vec<char> = fitting(text.chars().rev(), half - 1).chars().rev().collect();
    format!("{head}…{}", tail.into_iter().collect::<String>())
}

/// As many characters as fit into these columns.
fn fitting(text: impl Iterator<Item = char>, limit: usize) -> String {
    let mut used = 0;
    text.take_while(|c| {
        used += column(*c);
        used <= limit
    })
    .collect()
}

/// Characters that turn the direction of what stands beside them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many columns a text takes at most: what is not of the Latin script may be twice as wide.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(column).sum()
}

fn column(c: char) -> usize {
    if (c as u32) < 0x250 || matches!(c, '…' | '·') { 1 } else { 2 }
}
