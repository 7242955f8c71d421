//! Where the boxes of a diagram stand: columns from left to right, without a program from outside.
//!
//! Takes boxes with their columns and lengths; hands on places and the bends of arrows.
//!
//! Invariants
//! 1. No two boxes overlap, and no arrow crosses a box: an arrow over several columns has a bend
//!    in a gap of its own in each column between.
//! 2. The same diagram has the same places.
//!
//! The method is Sugiyama's (1981) at its smallest: given layers, bends as boxes without height,
//! and sweeps that sort each layer by the mean place of its neighbours. What was refused: ranking
//! and crossing counts to the minimum, as a job has a few dozen boxes.

use super::diagram::Diagram;

/// Between two boxes of one column.
const GAP_Y: f64 = 28.0;
/// How high the way of an arrow past a column is.
const BEND_Y: f64 = 14.0;
const SWEEPS: usize = 8;

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The whole picture.
#[derive(Debug)]
pub(super) struct Layout {
    /// By box.
    pub(super) boxes: Vec<Place>,
    /// By arrow: the places that it goes past, from left to right.
    pub(super) bends: Vec<Vec<Place>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What stands in a column: a box, or the way of an arrow.
struct Item {
    node: Option<usize>,
    height: f64,
    /// Items of the column before that lead here.
    before: Vec<usize>,
    /// Items of the column behind that it leads to.
    behind: Vec<usize>,
}

/// Lays a diagram out; `extents` are the boxes' widths and heights, `gap_x` the room for labels.
pub(super) fn lay_out(diagram: &Diagram, extents: &[(f64, f64)], gap_x: f64) -> Layout {
    let (items, mut columns, ways) = items(diagram, extents);
    for sweep in 0..SWEEPS {
        sort(&items, &mut columns, sweep % 2 == 0);
    }
    let places = place(&items, &columns, extents, gap_x);
    let boxes: Vec<Place> = {
        let mut boxes = vec![Place { x: 0.0, y: 0.0, width: 0.0, height: 0.0 }; extents.len()];
        for (item, place) in items.iter().zip(&places) {
            if let Some(node) = item.node {
                boxes[node] = Place { width: extents[node].0, ..*place };
            }
        }
        boxes
    };
    let bends = ways.iter().map(|way| way.iter().map(|&item| places[item]).collect()).collect();
    let right = places.iter().map(|place| place.x + place.width).fold(0.0, f64::max);
    let bottom = places.iter().map(|place| place.y + place.height).fold(0.0, f64::max);
    Layout { boxes, bends, width: right, height: bottom }
}

type Items = (Vec<Item>, Vec<Vec<usize>>, Vec<Vec<usize>>);

/// The items, those of each column, and by arrow the items that it goes past.
fn items(diagram: &Diagram, extents: &[(f64, f64)]) -> Items {
    let column_count = diagram.boxes.iter().map(|node| node.column + 1).max().unwrap_or(0);
    let mut columns = vec![Vec::new(); column_count];
    let mut items = Vec::new();
    for (index, (node, &(_, height))) in diagram.boxes.iter().zip(extents).enumerate() {
        columns[node.column].push(index);
        items.push(Item { node: Some(index), height, before: Vec::new(), behind: Vec::new() });
    }
    let mut ways = Vec::new();
    for arrow in &diagram.arrows {
        let (first, last) = (diagram.boxes[arrow.from].column, diagram.boxes[arrow.to].column);
        let mut way = Vec::new();
        let mut at = arrow.from;
        for column in &mut columns[(first + 1).min(last)..last] {
            let bend = items.len();
            items.push(Item { node: None, height: BEND_Y, before: Vec::new(), behind: Vec::new() });
            column.push(bend);
            way.push(bend);
            items[at].behind.push(bend);
            items[bend].before.push(at);
            at = bend;
        }
        items[at].behind.push(arrow.to);
        items[arrow.to].before.push(at);
        ways.push(way);
    }
    (items, columns, ways)
}

/// Sorts every column by the mean rank of what leads there, or of what it leads to.
fn sort(items: &[Item], columns: &mut [Vec<usize>], forwards: bool) {
    let mut ranks = vec![0.0; items.len()];
    rank(columns, &mut ranks);
    let count = columns.len();
    for step in 0..count {
        let column = if forwards { step } else { count - 1 - step };
        let mean = |item: usize| {
            let near = if forwards { &items[item].before } else { &items[item].behind };
            if near.is_empty() {
                return ranks[item];
            }
            let sum: f64 = near.iter().map(|&near| ranks[near]).sum();
            sum / as_float(near.len())
        };
        let means: Vec<f64> = (0..items.len()).map(mean).collect();
        columns[column].sort_by(|&one, &other| means[one].total_cmp(&means[other]));
        rank(columns, &mut ranks);
    }
}

/// Each item's place in its column, from 0 to 1.
fn rank(columns: &[Vec<usize>], ranks: &mut [f64]) {
    for column in columns {
        for (index, &item) in column.iter().enumerate() {
            ranks[item] = (as_float(index) + 0.5) / as_float(column.len());
        }
    }
}

/// Stacks each column and centres it on the highest one.
fn place(items: &[Item], columns: &[Vec<usize>], extents: &[(f64, f64)], gap_x: f64) -> Vec<Place> {
    let height_of = |column: &Vec<usize>| {
        let heights: f64 = column.iter().map(|&item| items[item].height).sum();
        heights + GAP_Y * as_float(column.len().saturating_sub(1))
    };
    let height_max = columns.iter().map(height_of).fold(0.0, f64::max);
    let mut places = vec![Place { x: 0.0, y: 0.0, width: 0.0, height: 0.0 }; items.len()];
    let mut x = 0.0;
    for column in columns {
        let boxes = column.iter().filter_map(|&item| items[item].node);
        let width = boxes.map(|node| extents[node].0).fold(0.0, f64::max);
        let mut y = (height_max - height_of(column)) / 2.0;
        for &item in column {
            let height = items[item].height;
            places[item] = Place { x, y, width, height };
            y += height + GAP_Y;
        }
        x += width + gap_x;
    }
    places
}

#[expect(clippy::cast_precision_loss, reason = "a few dozen boxes")]
fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::diagram::{Arrow, Node, NodeKind};
    use super::*;

    fn diagram(columns: &[usize], arrows: &[(usize, usize)]) -> Diagram {
        let node = |(index, &column): (usize, &usize)| Node {
            id: format!("n{index}"),
            kind: NodeKind::Operator,
            title: String::new(),
            lines: Vec::new(),
            column,
        };
        let arrow = |&(from, to)| Arrow { from, to, label: String::new(), record: String::new() };
        Diagram {
            boxes: columns.iter().enumerate().map(node).collect(),
            arrows: arrows.iter().map(arrow).collect(),
        }
    }

    fn overlap(one: &Place, other: &Place) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn boxes_and_ways_never_overlap() {
        let diagram =
            diagram(&[0, 0, 1, 1, 1, 2, 3], &[(0, 2), (1, 3), (0, 4), (2, 5), (1, 6), (5, 6)]);
        let extents = [
            (80.0, 30.0),
            (60.0, 40.0),
            (90.0, 20.0),
            (70.0, 50.0),
            (10.0, 10.0),
            (40.0, 40.0),
            (50.0, 20.0),
        ];
        let layout = lay_out(&diagram, &extents, 100.0);
        let mut places = layout.boxes.clone();
        places.extend(layout.bends.iter().flatten());
        assert_eq!(layout.bends[4].len(), 2, "an arrow over two columns bends in each");
        for (index, one) in places.iter().enumerate() {
            assert!(places[index + 1..].iter().all(|other| !overlap(one, other)), "{places:?}");
        }
    }

    #[test]
    fn arrows_that_need_not_cross_do_not() {
        let diagram = diagram(&[0, 0, 1, 1], &[(0, 3), (1, 2)]);
        let layout = lay_out(&diagram, &[(10.0, 10.0); 4], 20.0);
        let y = |node: usize| layout.boxes[node].y;
        assert_eq!(y(0) < y(1), y(3) < y(2));
    }
}
