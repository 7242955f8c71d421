//! The forms that a plan is shown in.

use super::diagram::Diagram;
use super::{Plan, dot, mermaid, svg, text};

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum PlanFormat {
    /// A tree to read.
    #[default]
    Text,
    /// All of it, for programs.
    Json,
    /// A graph for Graphviz.
    Dot,
    /// A flowchart for Mermaid, which many pages draw.
    Mermaid,
    /// A picture by itself.
    Svg,
}

impl PlanFormat {
    /// Every form.
    pub const ALL: [Self; 5] = [Self::Text, Self::Json, Self::Dot, Self::Mermaid, Self::Svg];

    /// The end of a file's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Dot => "dot",
            Self::Mermaid => "mmd",
            Self::Svg => "svg",
        }
    }
}

impl Plan {
    /// The plan in this form; it ends with a line feed.
    #[must_use]
    pub fn draw(&self, format: PlanFormat) -> String {
        match format {
            PlanFormat::Text => text::tree(self),
            PlanFormat::Json => {
                let json = serde_json::to_string_pretty(self);
                json.expect("a plan is strings, numbers and lists") + "\n"
            }
            PlanFormat::Dot => dot::graph(&Diagram::of(self)),
            PlanFormat::Mermaid => mermaid::flowchart(&Diagram::of(self)),
            PlanFormat::Svg => svg::picture(&Diagram::of(self)),
        }
    }
}
