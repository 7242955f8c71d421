//! A plan as boxes and arrows: what dot, Mermaid and svg draw alike.

use super::text::{link_phrase, route_phrase, source_phrase};
use super::{HeadPlan, Link, OutputPlan, Plan, StatefulPlan};

/// Boxes and the arrows between them.
#[derive(Debug)]
pub(super) struct Diagram {
    pub(super) boxes: Vec<Node>,
    pub(super) arrows: Vec<Arrow>,
}

/// A box.
#[derive(Debug)]
pub(super) struct Node {
    /// A name that is one word: `stage0`, `output0`.
    pub(super) id: String,
    pub(super) kind: NodeKind,
    pub(super) title: String,
    /// What is fused to it, in order.
    pub(super) lines: Vec<String>,
    /// How many boxes stand before it at most: its column.
    pub(super) column: usize,
}

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    Source,
    Operator,
    Output,
}

/// An arrow between two boxes, by index.
#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    /// How records are routed; empty within a shard.
    pub(super) label: String,
    /// What goes along it.
    pub(super) record: String,
}

impl Diagram {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut diagram = Self { boxes: Vec::new(), arrows: Vec::new() };
        for (number, stage) in plan.stages.iter().enumerate() {
            let (kind, title) = match &stage.head {
                HeadPlan::Source(source) => {
                    (NodeKind::Source, source_phrase(*source, &plan.sources[*source]))
                }
                HeadPlan::Passing(kind) => (NodeKind::Operator, kind.clone()),
                HeadPlan::Operator(StatefulPlan { name, kind, .. }) => {
                    (NodeKind::Operator, format!("{name}: {kind}"))
                }
            };
            let mut lines = Vec::new();
            if let HeadPlan::Operator(StatefulPlan { out, .. }) = &stage.head {
                lines.push(format!("-> {out}"));
            }
            chain_lines(&stage.chain, "", &mut lines);
            let column = usize::from(stage.level);
            diagram.boxes.push(Node { id: format!("stage{number}"), kind, title, lines, column });
        }
        for exchange in &plan.exchanges {
            let (from, to) = (exchange.from, exchange.to);
            let (label, record) = (route_phrase(&exchange.sent), exchange.sent.record.clone());
            diagram.arrows.push(Arrow { from, to, label, record });
        }
        diagram.outputs(plan);
        diagram
    }

    fn outputs(&mut self, plan: &Plan) {
        for (from, stage) in plan.stages.iter().enumerate() {
            for link in stage.links() {
                if let Link::Output(output) = link {
                    let OutputPlan { number, row, guarantee, .. } = output;
                    let arrow = Arrow {
                        from,
                        to: self.boxes.len(),
                        label: String::new(),
                        record: row.clone(),
                    };
                    self.arrows.push(arrow);
                    self.boxes.push(Node {
                        id: format!("output{number}"),
                        kind: NodeKind::Output,
                        title: format!("output {number}: {guarantee}"),
                        lines: Vec::new(),
                        column: usize::from(stage.level) + 1,
                    });
                }
            }
        }
    }
}

/// The operators of a chain; those of a branch behind its number.
fn chain_lines(chain: &[Link], indent: &str, lines: &mut Vec<String>) {
    for link in chain {
        match link {
            Link::Operator(operator) => lines.push(format!("{indent}{}", link_phrase(operator))),
            Link::Sides { .. } | Link::Fork { .. } => {
                for (number, branch) in link.branches().into_iter().enumerate() {
                    let mut inner = Vec::new();
                    chain_lines(branch, &format!("{indent}  "), &mut inner);
                    if !inner.is_empty() {
                        lines.push(format!("{indent}branch {number}"));
                        lines.append(&mut inner);
                    }
                }
            }
            Link::Exchange(_) | Link::Output(_) => {}
        }
    }
}

/// The text, cut where it is longer than `chars_max`.
pub(super) fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 3).collect::<String>() + "..."
}
