//! A plan as a picture that needs nothing but itself: no font, no script, no style from outside.

use super::diagram::{Arrow, Diagram, Node, NodeKind, shortened};
use super::layered::{Layout, Place, lay_out};

/// A monospaced letter at 12 px is no wider in the fonts that browsers choose.
const LETTER_X: f64 = 7.3;
const LINE_Y: f64 = 17.0;
const PADDING: f64 = 10.0;
const MARGIN: f64 = 24.0;
const LINE_CHARS_MAX: usize = 64;
const LABEL_CHARS_MAX: usize = 36;
const GAP_X_MIN: f64 = 60.0;

/// The picture.
pub(super) fn picture(diagram: &Diagram) -> String {
    let extents: Vec<(f64, f64)> =
        (0..diagram.boxes.len()).map(|node| extent(diagram, node)).collect();
    let labels = diagram.arrows.iter().flat_map(|arrow| [&arrow.label, &arrow.record]);
    let longest = labels.map(|label| width_of(label, LABEL_CHARS_MAX)).fold(0.0, f64::max);
    let layout = lay_out(diagram, &extents, GAP_X_MIN + longest);
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN + LINE_Y);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"monospace\" font-size=\"12\">\n\
         <title>The plan of the job</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker>\
         </defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
    );
    for (index, arrow) in diagram.arrows.iter().enumerate() {
        out += &arrow_svg(diagram, &layout, index, arrow);
    }
    for (node, place) in diagram.boxes.iter().zip(&layout.boxes) {
        out += &node_svg(node, place);
    }
    out + "</svg>\n"
}

/// A box is as large as its text, and as high as the labels of the arrows that arrive need.
fn extent(diagram: &Diagram, index: usize) -> (f64, f64) {
    let node = &diagram.boxes[index];
    let lines = std::iter::once(&node.title).chain(&node.lines);
    let longest = lines.map(|line| width_of(line, LINE_CHARS_MAX)).fold(0.0, f64::max);
    let arriving = diagram.arrows.iter().filter(|arrow| arrow.to == index).count();
    let text_y = as_float(1 + node.lines.len()) * LINE_Y + 2.0 * PADDING;
    let labels_y = as_float(arriving + 1) * 2.2 * LINE_Y;
    (longest + 2.0 * PADDING, if arriving > 1 { text_y.max(labels_y) } else { text_y })
}

fn width_of(text: &str, chars_max: usize) -> f64 {
    as_float(text.chars().count().min(chars_max)) * LETTER_X
}

fn node_svg(node: &Node, place: &Place) -> String {
    let (fill, corner) = match node.kind {
        NodeKind::Source => ("#e8f1fb", 14),
        NodeKind::Operator => ("#eef7ec", 3),
        NodeKind::Output => ("#fbf3e2", 3),
    };
    let (x, y) = (place.x + MARGIN, place.y + MARGIN);
    let mut out = format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"{corner}\" \
         fill=\"{fill}\" stroke=\"#555\"/>\n",
        place.width, place.height,
    );
    let lines = std::iter::once(&node.title).chain(&node.lines);
    for (index, line) in lines.enumerate() {
        let weight = if index == 0 { " font-weight=\"bold\"" } else { "" };
        let (x, y) = (x + PADDING, y + PADDING + LINE_Y * (as_float(index) + 0.75));
        let line = escaped(&shortened(line, LINE_CHARS_MAX));
        out += &format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\"{weight} xml:space=\"preserve\">{line}</text>\n"
        );
    }
    out
}

/// A curve from the right side of one box, past the columns between, to the left side of another.
/// Arrows of one box leave and arrive at places of their own.
fn arrow_svg(diagram: &Diagram, layout: &Layout, index: usize, arrow: &Arrow) -> String {
    let leaves = |other: &Arrow| other.from == arrow.from;
    let arrives = |other: &Arrow| other.to == arrow.to;
    let (from, to) = (&layout.boxes[arrow.from], &layout.boxes[arrow.to]);
    let (mut x, mut y) =
        (from.x + from.width + MARGIN, port(diagram, index, from, leaves) + MARGIN);
    let mut path = format!("M{x:.1} {y:.1}");
    let mut towards = |to_x: f64, to_y: f64| {
        let middle = f64::midpoint(x, to_x);
        path += &format!("C{middle:.1} {y:.1} {middle:.1} {to_y:.1} {to_x:.1} {to_y:.1}");
        (x, y) = (to_x, to_y);
    };
    for bend in &layout.bends[index] {
        let way_y = bend.y + bend.height / 2.0 + MARGIN;
        towards(bend.x + MARGIN, way_y);
        towards(bend.x + bend.width + MARGIN, way_y);
    }
    let end = (to.x + MARGIN, port(diagram, index, to, arrives) + MARGIN);
    towards(end.0, end.1);
    let mut out =
        format!("<path d=\"{path}\" fill=\"none\" stroke=\"#555\" marker-end=\"url(#tip)\"/>\n");
    let labels = [&arrow.label, &arrow.record];
    let labels: Vec<_> = labels.into_iter().filter(|label| !label.is_empty()).collect();
    for (line, label) in labels.iter().enumerate() {
        let up = as_float(labels.len() - line) * LINE_Y - LINE_Y + 5.0;
        let label = escaped(&shortened(label, LABEL_CHARS_MAX));
        out += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\" \
             xml:space=\"preserve\">{label}</text>\n",
            end.0 - 12.0,
            end.1 - up,
        );
    }
    out
}

/// Where an arrow meets its box: those on one side share it evenly.
fn port(diagram: &Diagram, index: usize, place: &Place, same: impl Fn(&Arrow) -> bool) -> f64 {
    let all = diagram.arrows.iter().filter(|arrow| same(arrow)).count();
    let before = diagram.arrows[..index].iter().filter(|arrow| same(arrow)).count();
    place.y + place.height * (as_float(before) + 1.0) / (as_float(all) + 1.0)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen boxes")]
fn as_float(count: usize) -> f64 {
    count as f64
}
