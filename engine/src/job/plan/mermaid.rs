//! A plan for Mermaid, which draws it where Markdown is shown.

use super::diagram::{Diagram, NodeKind};

/// The flowchart.
pub(super) fn flowchart(diagram: &Diagram) -> String {
    let mut out = String::from("flowchart LR\n");
    for node in &diagram.boxes {
        let lines = std::iter::once(&node.title).chain(&node.lines);
        let label = lines.map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
        let (open, close) = match node.kind {
            NodeKind::Source => ("([", "])"),
            NodeKind::Operator => ("[", "]"),
            NodeKind::Output => ("[/", "/]"),
        };
        out += &format!("  {}{open}\"{label}\"{close}\n", node.id);
    }
    for arrow in &diagram.arrows {
        let (from, to) = (&diagram.boxes[arrow.from].id, &diagram.boxes[arrow.to].id);
        let label = [&arrow.label, &arrow.record].map(|part| escaped(part));
        let label = label.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
        out += &format!("  {from} -- \"{}\" --> {to}\n", label.join("<br/>"));
    }
    out
}

/// Mermaid's entities begin with `#`, so it comes first.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;")
        .replace('&', "#amp;")
        .replace('"', "#quot;")
        .replace('<', "#lt;")
        .replace('>', "#gt;")
}
