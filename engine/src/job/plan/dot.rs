//! A plan for Graphviz: `pelton plan JOB --format dot | dot -Tpdf`.

use super::diagram::{Diagram, NodeKind};

/// The graph.
pub(super) fn graph(diagram: &Diagram) -> String {
    let mut out = String::from("digraph plan {\n  rankdir=LR;\n");
    out += "  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\"];\n";
    for node in &diagram.boxes {
        let lines = std::iter::once(&node.title).chain(&node.lines);
        // `\l` ends a line and puts it to the left.
        let label: String = lines.map(|line| escaped(line) + "\\l").collect();
        let style = match node.kind {
            NodeKind::Source => ", style=rounded",
            NodeKind::Operator => "",
            NodeKind::Output => ", shape=note",
        };
        out += &format!("  {} [label=\"{label}\"{style}];\n", node.id);
    }
    for arrow in &diagram.arrows {
        let (from, to) = (&diagram.boxes[arrow.from].id, &diagram.boxes[arrow.to].id);
        let label = [&arrow.label, &arrow.record].map(|part| escaped(part));
        let label = label.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
        out += &format!("  {from} -> {to} [label=\"{}\"];\n", label.join("\\n"));
    }
    out + "}\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
