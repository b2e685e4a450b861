//! Pictures are held to their geometry: for the samples and for generated topologies of many sizes.

use super::layout::{NAME_ADVANCE, NOTE_ADVANCE, TIP, columns, shown};
use super::*;
use crate::topology::{NoSources, Sources, load};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

struct Folder(PathBuf);

impl Sources for Folder {
    fn schema(&self, path: &str, _: usize) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(path))
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.schema(path, limit)
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn sample(name: &str) -> Graph {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies").join(name).join(format!("{name}.yaml"));
    let bytes = std::fs::read(&path).unwrap();
    let loaded = load(name, &bytes, &[], &Folder(path.parent().unwrap().to_owned()));
    let (topology, plan) = loaded.checked.as_ref().expect("samples have no errors");
    Graph::of(topology, plan)
}

/// A topology with so many nodes: pipelines that read one or two earlier topics and write one or two, folds at the end.
fn generated(nodes: usize, seed: u64) -> Graph {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut topics = String::new();
    let mut pipelines = String::new();
    let mut folds = String::new();
    let mut written = vec!["t0".to_owned(), "t1".to_owned()];
    for node in 0..nodes {
        let read = written[random.usize(written.len().saturating_sub(8)..written.len())].clone();
        if random.u8(0..4) == 0 {
            let _ = writeln!(folds, "  fold-{node}:\n    from: {read}\n    evolve: {{ x.v1: {{ set: {{ n: =data.n }} }} }}");
            continue;
        }
        let outs: Vec<String> = (0..random.usize(1..3)).map(|out| format!("t{node}.out-{out}")).collect();
        let emits: String = outs.iter().map(|out| format!("      - emit: {{ type: x.v1, to: {out} }}\n")).collect();
        let _ = write!(pipelines, "  pipe-{node}:\n    from: {read}\n    steps:\n{emits}");
        written.extend(outs);
    }
    for topic in &written {
        let _ = writeln!(topics, "  {topic}: {{ partitions: 3, key: data.k, types: [x.v1] }}");
    }
    let section = |name: &str, text: String| if text.is_empty() { text } else { format!("{name}:\n{text}") };
    let yaml = format!(
        "skald: 1\ntopology: big\ntopics:\n{topics}{}{}",
        section("pipelines", pipelines),
        section("aggregates", folds)
    );
    let loaded = load("big.yaml", yaml.as_bytes(), &[], &NoSources);
    let (topology, plan) = loaded.checked.as_ref().unwrap_or_else(|| panic!("{:#?}\n{yaml}", loaded.findings));
    Graph::of(topology, plan)
}

/// Boxes with lines between any of them, circles included.
fn tangled(nodes: usize, edges: usize, seed: u64) -> Graph {
    let mut random = fastrand::Rng::with_seed(seed);
    let shapes = [Shape::Topic, Shape::Aggregate, Shape::Store, Shape::Pipeline, Shape::Saga];
    let node = |at: usize| Node {
        id: format!("n{at}"),
        shape: shapes[at % shapes.len()],
        name: "x".repeat(1 + at % 60),
        note: "note".into(),
        part: None,
    };
    let edge =
        |random: &mut fastrand::Rng| Edge { from: random.usize(0..nodes), to: random.usize(0..nodes), kind: EdgeKind::Records };
    Graph {
        topology: "tangled".into(),
        version: 1,
        parts: Vec::new(),
        nodes: (0..nodes).map(node).collect(),
        edges: (0..edges).map(|_| edge(&mut random)).filter(|edge| edge.from != edge.to).collect(),
    }
}

/// Points along a line, close enough to meet every box that it passes.
fn along(route: &Route) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    for pair in route.points.windows(2) {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]].map(|point| (f64::from(point.x), f64::from(point.y)));
        let steps = ((x1 - x0).abs() + (y1 - y0).abs()) as usize / 3 + 1;
        for step in 0..=steps {
            let t = step as f64 / steps as f64;
            let level = route.square || pair[0].y == pair[1].y;
            let (at, to) = if level {
                (x0 + (x1 - x0) * t, y0 + (y1 - y0) * t)
            } else {
                let (u, half) = (1.0 - t, i32::midpoint(pair[0].x, pair[1].x) as f64);
                let x = u.powi(3) * x0 + 3.0 * u * u * t * half + 3.0 * u * t * t * half + t.powi(3) * x1;
                (x, u.powi(3) * y0 + 3.0 * u * u * t * y0 + 3.0 * u * t * t * y1 + t.powi(3) * y1)
            };
            points.push((at, to));
        }
    }
    points
}

fn hold_to_geometry(graph: &Graph, what: &str) -> Layout {
    let layout = Layout::of(graph);
    for (at, place) in layout.places.iter().enumerate() {
        let node = &graph.nodes[at];
        assert!(
            place.x >= 0 && place.y >= 0 && place.right() <= layout.width && place.bottom() <= layout.height,
            "{what}: {node:?}"
        );
        for (other, beside) in layout.places.iter().enumerate().skip(at + 1) {
            let apart = place.right() + 8 <= beside.x
                || beside.right() + 8 <= place.x
                || place.bottom() + 8 <= beside.y
                || beside.bottom() + 8 <= place.y;
            assert!(apart, "{what}: {node:?} {place:?} and {:?} {beside:?}", graph.nodes[other]);
        }
        let name = columns(&shown(&node.name)) as f64 * NAME_ADVANCE;
        let note = columns(&shown(&node.note)) as f64 * NOTE_ADVANCE;
        assert!(name.max(note) + 20.0 <= f64::from(place.width), "{what}: the text of {node:?} does not fit {place:?}");
    }
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        let [first, .., last] = route.points[..] else { panic!("{what}: {edge:?} has no way") };
        for (end, node) in [(first, edge.from), (last, edge.to)] {
            let place = layout.places[node];
            let right = place.right() - TIP..=place.right();
            let on_side = (end.x == place.x || right.contains(&end.x)) && (place.y..=place.bottom()).contains(&end.y);
            assert!(on_side, "{what}: {edge:?} ends at {end:?}, beside {place:?}");
        }
        for (x, y) in along(route) {
            for (node, place) in layout.places.iter().enumerate() {
                let inside = x > f64::from(place.x) + 1.0
                    && x < f64::from(place.right() - TIP) - 1.0
                    && y > f64::from(place.y) + 1.0
                    && y < f64::from(place.bottom()) - 1.0;
                assert!(!inside, "{what}: {edge:?} passes through {:?} at {x} {y}", graph.nodes[node]);
            }
        }
    }
    layout
}

/// How often lines of records and states cross, seen from outside: by the corners of their ways.
fn crossings(graph: &Graph, layout: &Layout) -> usize {
    let mut pieces = Vec::new();
    for (edge, route) in graph.edges.iter().zip(&layout.routes).filter(|(edge, _)| edge.kind != EdgeKind::DeadLetters) {
        for pair in route.points.windows(2) {
            let (left, right) = if pair[0].x < pair[1].x { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
            pieces.push((edge, left, right));
        }
    }
    let mut count = 0;
    for (at, (one, a, b)) in pieces.iter().enumerate() {
        for (other, c, d) in &pieces[at + 1..] {
            let (from, to) = (a.x.max(c.x), b.x.min(d.x));
            if one == other || from >= to {
                continue;
            }
            let height = |p: &Point, q: &Point, x: i32| {
                f64::from(p.y) + f64::from(q.y - p.y) * f64::from(x - p.x) / f64::from((q.x - p.x).max(1))
            };
            let (start, end) = (height(a, b, from) - height(c, d, from), height(a, b, to) - height(c, d, to));
            count += usize::from(start * end < 0.0);
        }
    }
    count
}

#[test]
fn boxes_stand_apart_and_lines_go_around_them() {
    for name in ["shop", "product", "users", "analytics", "order-totals"] {
        hold_to_geometry(&sample(name), name);
    }
    for seed in 0..6 {
        hold_to_geometry(&generated(50, seed), &format!("generated, seed {seed}"));
        hold_to_geometry(&tangled(50, 80, seed), &format!("tangled, seed {seed}"));
    }
    hold_to_geometry(&tangled(1, 0, 0), "one box");
    hold_to_geometry(&tangled(2, 40, 0), "many lines between two boxes");
}

#[test]
fn few_lines_cross() {
    let shop = sample("shop");
    let crossed = crossings(&shop, &Layout::of(&shop));
    assert!(crossed <= SHOP_CROSSINGS_MAX, "{crossed} crossings in the shop");
    for seed in 0..6 {
        // Every pipeline reads one topic, so the lines of records form a forest: nothing need cross.
        let graph = generated(50, seed);
        assert_eq!(crossings(&graph, &Layout::of(&graph)), 0, "seed {seed}");
        let graph = tangled(50, 80, seed);
        let crossed = crossings(&graph, &Layout::of(&graph));
        assert!(crossed <= TANGLED_CROSSINGS_MAX, "{crossed} crossings, seed {seed}");
    }
}

/// What the layout reaches, with a little room; a change that needs more has made it worse.
const SHOP_CROSSINGS_MAX: usize = 7;
const TANGLED_CROSSINGS_MAX: usize = 130;

#[test]
fn the_same_plan_gives_the_same_picture() {
    for graph in [sample("shop"), generated(50, 3), tangled(40, 90, 5)] {
        let again = svg(&graph, &Layout::of(&graph));
        assert_eq!(svg(&graph, &Layout::of(&graph)), again);
    }
}

#[test]
fn large_plans_are_drawn_within_bounds() {
    let graph = tangled(600, 1_500, 1);
    let layout = Layout::of(&graph);
    assert_eq!(layout.places.len(), 600);
}

/// Is it one element with everything closed and nothing unescaped? As much of XML as this needs.
fn well_formed(xml: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.trim_end();
    while let Some(at) = rest.find('<') {
        if rest[..at].contains('>') {
            return false;
        }
        let Some(end) = rest.find('>') else { return false };
        let tag = &rest[at + 1..end];
        if !tag.matches('"').count().is_multiple_of(2) || tag.contains('<') {
            return false;
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) if open.pop() != Some(name) => return false,
            (false, false) => open.push(name),
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    let entities =
        xml.split('&').skip(1).all(|tail| ["amp;", "lt;", "gt;", "quot;", "#39;"].iter().any(|e| tail.starts_with(e)));
    open.is_empty() && rest.is_empty() && entities && xml.chars().all(|c| !c.is_control() || c == '\n')
}

#[test]
fn hostile_names_stay_text() {
    let long = "ж".repeat(10_000);
    let names = [
        "</text><script>alert(1)</script>",
        "\"' onload=alert(1) x='",
        "a]]>b & <!-- c",
        "\u{202e}evil\u{0}\u{1b}[31m",
        "日本語のトピック",
        "\"]; rm [label=\"x",
        "#quot; %% end",
        "",
        &long,
    ];
    let mut graph = tangled(names.len(), 12, 9);
    for (node, name) in graph.nodes.iter_mut().zip(names) {
        node.name = name.into();
        node.note = name.into();
    }
    graph.topology = names[0].into();
    graph.parts = vec![names[1].into()];
    graph.nodes[2].part = Some(0);
    let layout = hold_to_geometry(&graph, "hostile names");
    let picture = svg(&graph, &layout);
    assert!(well_formed(&picture), "{picture}");
    assert!(!picture.contains("<script") && !picture.contains("onload=alert(1) x='"), "{picture}");
    for line in dot(&graph).lines() {
        let bare = line.replace("\\\\", "").replace("\\\"", "");
        assert_eq!(bare.matches('"').count() % 2, 0, "{line}");
    }
    for line in mermaid(&graph).lines() {
        assert!(matches!(line.matches('"').count(), 0 | 2), "{line}");
    }
    assert!(well_formed("<a b=\"c\"><d/>&amp;</a>") && !well_formed("<a><b></a>") && !well_formed("<a>&x</a>"));
}

#[test]
fn every_form_has_every_box_and_line() {
    let graph = sample("shop");
    let layout = Layout::of(&graph);
    let shown = json(&graph, &layout);
    assert_eq!(shown["nodes"].as_array().map(Vec::len), Some(graph.nodes.len()));
    assert_eq!(shown["edges"].as_array().map(Vec::len), Some(graph.edges.len()));
    assert_eq!(dot(&graph).matches(" -> ").count(), graph.edges.len());
    assert_eq!(svg(&graph, &layout).matches("<path class=\"line").count(), graph.edges.len());
    for node in &graph.nodes {
        assert!(
            mermaid(&graph).contains(&format!(" {}", node.id)) && dot(&graph).contains(&format!("{} [", node.id)),
            "{node:?}"
        );
    }
    let letters = graph.edges.iter().filter(|edge| edge.kind == EdgeKind::DeadLetters).count();
    assert_eq!(letters, graph.nodes.iter().filter(|node| node.shape.is_processor()).count());
}

#[test]
fn pictures_in_the_pages_are_those_of_the_samples() {
    for name in ["shop", "analytics"] {
        let graph = sample(name);
        let picture = svg(&graph, &Layout::of(&graph));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/images/{name}.svg"));
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, picture).unwrap();
        } else {
            let kept = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(kept == picture, "{}: `UPDATE=1 cargo test --lib graph` writes it anew", path.display());
        }
    }
}
