//! Boxes on their final places, and lines through the channels between the layers.

use super::order::{Grid, Item};
use super::{Layout, MARGIN, Place, Point, Route, TIP, TITLE_HEIGHT, aside};
use crate::graph::{EdgeKind, Graph, Shape};

/// Least width of a channel, and what every line through it adds.
const CHANNEL: i32 = 56;
const CHANNEL_PER_LINE: i32 = 3;
const CHANNEL_MAX: i32 = 150;
/// Where in its channel the line of dead letters goes down; other lines begin to bend behind it.
const TRUNK: i32 = 10;
const BEND: i32 = 16;
/// Space between the lowest box and the line of dead letters.
const BUS: i32 = 30;

pub(super) fn draw(graph: &Graph, grid: &Grid, sizes: &[(i32, i32)], heights: &[f64]) -> Layout {
    let columns = columns(grid, sizes);
    let middle = |item: usize| heights[item].round() as i32 + MARGIN + TITLE_HEIGHT;
    let mut places: Vec<Place> = (0..graph.nodes.len())
        .map(|node| {
            let (width, height) = sizes[node];
            let column = &columns[grid.layer_of[node]];
            let x = column.x + (column.width - width) / 2;
            Place { x, y: middle(node) - height / 2, width, height }
        })
        .collect();
    let mut routes = vec![Route::default(); graph.edges.len()];
    let ports = Ports::of(graph, grid, &places, &middle);
    for (edge, chain) in grid.chains.iter().enumerate().filter(|(_, chain)| !chain.is_empty()) {
        routes[edge].points = through(edge, chain, grid, &columns, &places, &ports, &middle);
        if grid.turned[edge] {
            routes[edge].points.reverse();
        }
    }
    let drawn = (0..graph.nodes.len()).filter(|node| Some(*node) != aside(graph)).map(|node| places[node].bottom());
    let lowest_line = routes.iter().flat_map(|route| &route.points).map(|point| point.y);
    let lowest = drawn.chain(lowest_line).max().unwrap_or(MARGIN + TITLE_HEIGHT);
    dead_letters(graph, grid, &columns, lowest + BUS, &mut places, &mut routes);
    let right = places.iter().map(|place| place.right()).chain(routes.iter().flat_map(|r| r.points.iter().map(|p| p.x))).max();
    let bottom =
        places.iter().map(|place| place.bottom()).chain(routes.iter().flat_map(|r| r.points.iter().map(|p| p.y))).max();
    Layout { width: right.unwrap_or(0) + MARGIN, height: bottom.unwrap_or(0) + MARGIN, places, routes }
}

/// Where a layer stands.
struct Column {
    x: i32,
    width: i32,
}

impl Column {
    fn right(&self) -> i32 {
        self.x + self.width
    }
}

fn columns(grid: &Grid, sizes: &[(i32, i32)]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut x = MARGIN;
    for layer in &grid.layers {
        let widths = layer.iter().filter_map(|item| match grid.items[*item] {
            Item::Box(node) => Some(sizes[node].0),
            Item::Line => None,
        });
        let width = widths.max().unwrap_or(0);
        columns.push(Column { x, width });
        let lines: usize = layer.iter().map(|item| grid.behind[*item].len()).sum();
        x += width + (CHANNEL + CHANNEL_PER_LINE * lines as i32).min(CHANNEL_MAX);
    }
    columns
}

/// At which height lines leave boxes and arrive, per line: on its left box, on its right box.
struct Ports {
    left: Vec<i32>,
    right: Vec<i32>,
}

impl Ports {
    fn of(graph: &Graph, grid: &Grid, places: &[Place], middle: &impl Fn(usize) -> i32) -> Self {
        let mut ports = Self { left: vec![0; graph.edges.len()], right: vec![0; graph.edges.len()] };
        for (node, place) in places.iter().enumerate() {
            // Lines that leave to the right, with the height that they go to; then those that come from the left.
            let mut out: Vec<(i32, usize)> = Vec::new();
            let mut into: Vec<(i32, usize)> = Vec::new();
            for (edge, chain) in grid.chains.iter().enumerate() {
                if chain.first() == Some(&node) {
                    out.push((middle(chain[1]), edge));
                } else if chain.last() == Some(&node) {
                    into.push((middle(chain[chain.len() - 2]), edge));
                }
            }
            spread(*place, &mut out, &mut ports.left);
            spread(*place, &mut into, &mut ports.right);
        }
        ports
    }
}

/// Shares the side of a box out among lines, in the order of where they go.
fn spread(place: Place, lines: &mut [(i32, usize)], ports: &mut [i32]) {
    lines.sort_unstable();
    let count = lines.len() as i32;
    let room = place.height - 20;
    let step = if count > 1 { (room / (count - 1)).min(8) } else { 0 };
    for (at, (_, edge)) in lines.iter().enumerate() {
        ports[*edge] = place.middle() + step * at as i32 - step * (count - 1) / 2;
    }
}

/// The points of a line from left to right.
fn through(
    edge: usize,
    chain: &[usize],
    grid: &Grid,
    columns: &[Column],
    places: &[Place],
    ports: &Ports,
    middle: &impl Fn(usize) -> i32,
) -> Vec<Point> {
    let (first, last) = (chain[0], chain[chain.len() - 1]);
    let start = grid.layer_of[first];
    let mut points = vec![Point { x: places[first].right(), y: ports.left[edge] }];
    let mut to = |x: i32, y: i32| {
        let point = Point { x, y };
        if points.last() != Some(&point) {
            points.push(point);
        }
    };
    to(columns[start].right() + BEND, ports.left[edge]);
    for (step, item) in chain.iter().enumerate().skip(1).take(chain.len() - 2) {
        let column = &columns[start + step];
        to(column.x, middle(*item));
        to(column.right() + BEND, middle(*item));
    }
    to(columns[grid.layer_of[last]].x, ports.right[edge]);
    to(places[last].x, ports.right[edge]);
    points
}

/// Lines of dead letters: down their channel, along one line below everything.
fn dead_letters(graph: &Graph, grid: &Grid, columns: &[Column], bus: i32, places: &mut [Place], routes: &mut [Route]) {
    let edges: Vec<usize> = (0..graph.edges.len()).filter(|edge| graph.edges[*edge].kind == EdgeKind::DeadLetters).collect();
    let trunk = |node: usize| columns[grid.layer_of[node]].right() + TRUNK;
    let Some(last) = edges.iter().map(|edge| trunk(graph.edges[*edge].from)).max() else { return };
    for edge in edges {
        let (from, to) = (graph.edges[edge].from, graph.edges[edge].to);
        places[to].x = last + 40;
        places[to].y = bus - places[to].height / 2;
        let y = places[from].bottom() - 7;
        // The slope of a point begins further left.
        let pointed = matches!(graph.nodes[from].shape, Shape::Pipeline | Shape::Repartition);
        let start = places[from].right() - if pointed { TIP * 2 / 3 } else { 0 };
        routes[edge] = Route {
            points: vec![
                Point { x: start, y },
                Point { x: trunk(from), y },
                Point { x: trunk(from), y: bus },
                Point { x: places[to].x, y: bus },
            ],
            square: true,
        };
    }
}
