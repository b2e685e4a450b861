//! The picture as SVG: one file, no scripts, nothing fetched, light or dark as the reader likes it.

use super::layout::{COLUMNS_MAX, MARGIN, NAME_ADVANCE, Place, Point, Route, TIP, TITLE_HEIGHT, columns, shown};
use super::{Edge, Graph, Layout, Node, Shape};
use std::fmt::Write as _;

/// Height of the row that explains the shapes.
const LEGEND_HEIGHT: i32 = 34;

const STYLE: &str = "\
.page{fill:#ffffff}\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}\
.title{font-size:15px;font-weight:600}.name{font-size:13px}.note,.legend{font-size:11px;fill:#59636e}\
.box{stroke:#59636e;stroke-width:1.2;fill:#f6f8fa}\
.topic .box{fill:#ddf4ff;stroke:#0969da}.engine-topic .box{fill:#f6f8fa;stroke:#0969da;stroke-dasharray:5 3}\
.topics .box{fill:#ffffff;stroke:#0969da;stroke-dasharray:1.5 3}.dead-letters .box{fill:#ffebe9;stroke:#cf222e}\
.aggregate .box{fill:#fff8c5;stroke:#9a6700;stroke-width:1.8}.saga .box{fill:#ffeff7;stroke:#bf3989;stroke-width:1.6}.pipeline .box{fill:#dafbe1;stroke:#1a7f37}\
.repartition .box{fill:#ffffff;stroke:#1a7f37;stroke-dasharray:5 3}.store .box{fill:#fbefff;stroke:#8250df}\
.line{fill:none;stroke:#59636e;stroke-width:1.3}.state{stroke:#8250df}\
.changelog{stroke:#8250df;stroke-dasharray:5 3}.line.dead-letters{stroke:#cf222e;stroke-dasharray:1.5 3.5;stroke-width:1.2}\
.tip{fill:#59636e}.tip.changelog{fill:#8250df}.tip.dead-letters{fill:#cf222e}\
@media(prefers-color-scheme:dark){\
.page{fill:#0d1117}text{fill:#e6edf3}.note,.legend{fill:#9198a1}\
.topic .box{fill:#0c2d6b;stroke:#58a6ff}.engine-topic .box{fill:#151b23;stroke:#58a6ff}.topics .box{fill:#0d1117;stroke:#58a6ff}\
.dead-letters .box{fill:#3c1014;stroke:#f85149}.aggregate .box{fill:#3b2300;stroke:#d29922}\
.saga .box{fill:#42062a;stroke:#f778ba}.pipeline .box{fill:#04260f;stroke:#3fb950}.repartition .box{fill:#0d1117;stroke:#3fb950}.store .box{fill:#271052;stroke:#ab7df8}\
.line{stroke:#9198a1}.state,.changelog{stroke:#ab7df8}.line.dead-letters{stroke:#f85149}\
.tip{fill:#9198a1}.tip.changelog{fill:#ab7df8}.tip.dead-letters{fill:#f85149}}";

/// The picture as an SVG document.
pub fn svg(graph: &Graph, layout: &Layout) -> String {
    let used: Vec<Shape> = Shape::ALL.into_iter().filter(|shape| graph.nodes.iter().any(|node| node.shape == *shape)).collect();
    let title = format!("{} · version {}", shown(&graph.topology), graph.version);
    let legend_width: i32 = used.iter().map(|shape| legend_entry_width(*shape)).sum();
    let title_width = (columns(&title) as f64 * NAME_ADVANCE * 15.0 / 13.0).ceil() as i32;
    let width = layout.width.max(legend_width + 2 * MARGIN).max(title_width + 2 * MARGIN);
    let height = layout.height + LEGEND_HEIGHT;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">"
    );
    let _ = writeln!(out, "<title>{}</title>\n<style>{STYLE}</style>", escaped(&title));
    let _ = writeln!(out, "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>");
    let _ = writeln!(out, "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>", MARGIN + 10, escaped(&title));
    for (edge, route) in graph.edges.iter().zip(&layout.routes) {
        line(&mut out, graph, edge, route);
    }
    for (node, place) in graph.nodes.iter().zip(&layout.places) {
        draw(&mut out, graph, node, *place);
    }
    let mut x = MARGIN;
    for shape in used {
        let y = layout.height - 4;
        let place = Place { x, y, width: 26, height: 16 };
        let _ = write!(out, "<g class=\"{}\">{}", shape.name(), outline(shape, place));
        let _ = writeln!(out, "<text class=\"legend\" x=\"{}\" y=\"{}\">{}</text></g>", x + 32, y + 12, shape.title());
        x += legend_entry_width(shape);
    }
    debug_assert!(layout.height >= TITLE_HEIGHT);
    out.push_str("</svg>\n");
    out
}

fn legend_entry_width(shape: Shape) -> i32 {
    32 + (shape.title().len() as f64 * 6.63).ceil() as i32 + 18
}

fn line(out: &mut String, graph: &Graph, edge: &Edge, route: &Route) {
    let kind = edge.kind.name();
    let (from, to) = (&graph.nodes[edge.from].name, &graph.nodes[edge.to].name);
    let _ = writeln!(
        out,
        "<path class=\"line {kind}\" d=\"{}\"><title>{} → {}</title></path>",
        path(route),
        escaped(&shown(from)),
        escaped(&shown(to))
    );
    if edge.kind == super::EdgeKind::State {
        return;
    }
    if let [.., before, end] = route.points[..] {
        let back = if before.x < end.x { -8 } else { 8 };
        let _ = writeln!(out, "<path class=\"tip {kind}\" d=\"M{} {}l{back} -4v8z\"/>", end.x, end.y);
    }
}

/// The way of a line in the words of SVG.
pub(super) fn path(route: &Route) -> String {
    let mut out = String::new();
    let mut last: Option<Point> = None;
    for point in &route.points {
        let Point { x, y } = *point;
        match last {
            None => {
                let _ = write!(out, "M{x} {y}");
            }
            Some(from) if route.square || from.y == y => {
                let _ = write!(out, "L{x} {y}");
            }
            Some(from) => {
                let half = i32::midpoint(from.x, x);
                let _ = write!(out, "C{half} {} {half} {y} {x} {y}", from.y);
            }
        }
        last = Some(*point);
    }
    out
}

fn draw(out: &mut String, graph: &Graph, node: &Node, place: Place) {
    let mut hover = node.name.clone();
    if let Some(part) = node.part {
        let _ = write!(hover, " · sub-topology {part} ({})", graph.parts.get(part).map_or("", String::as_str));
    }
    let _ = write!(out, "<g class=\"{}\"><title>{}</title>{}", node.shape.name(), escaped(&hover), outline(node.shape, place));
    let x = place.x + place.width / 2;
    // A cylinder's lid takes room at the top.
    let y = place.y + if node.shape == Shape::Store { 26 } else { 19 };
    let _ =
        write!(out, "<text class=\"name\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(&shown(&node.name)));
    let note = escaped(&shown(&node.note));
    let _ = writeln!(out, "<text class=\"note\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">{note}</text></g>", y + 15);
    debug_assert!(columns(&shown(&node.name)) <= COLUMNS_MAX);
}

/// Every kind of box has a shape of its own, so that colours are not needed to tell them apart.
fn outline(shape: Shape, place: Place) -> String {
    let Place { x, y, width, height } = place;
    let (right, bottom, middle) = (place.right(), place.bottom(), place.middle());
    match shape {
        Shape::Topic | Shape::EngineTopic | Shape::Topics => {
            let r = height / 2;
            format!("<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{r}\"/>")
        }
        Shape::Aggregate => {
            format!("<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>")
        }
        Shape::Saga => format!(
            "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>\
             <path class=\"box\" d=\"M{} {y}V{bottom}M{} {y}V{bottom}\"/>",
            x + 5,
            right - 5
        ),
        Shape::Pipeline | Shape::Repartition => {
            let inner = right - TIP;
            format!("<path class=\"box\" d=\"M{x} {y}H{inner}L{right} {middle}L{inner} {bottom}H{x}Z\"/>")
        }
        Shape::DeadLetters => {
            let cut = height / 3;
            format!(
                "<path class=\"box\" d=\"M{} {y}H{}L{right} {}V{}L{} {bottom}H{}L{x} {}V{}Z\"/>",
                x + cut,
                right - cut,
                y + cut,
                bottom - cut,
                right - cut,
                x + cut,
                bottom - cut,
                y + cut
            )
        }
        Shape::Store => {
            let (rx, ry) = (width / 2, (height / 8).max(2));
            let (top, floor) = (y + ry, bottom - ry);
            format!(
                "<path class=\"box\" d=\"M{x} {top}A{rx} {ry} 0 0 1 {right} {top}V{floor}A{rx} {ry} 0 0 1 {x} {floor}Z\
                 M{x} {top}A{rx} {ry} 0 0 0 {right} {top}\"/>"
            )
        }
    }
}

/// Text that is text in XML, whatever it is. What XML has no room for is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}
