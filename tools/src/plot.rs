//! Placeholder until merged.
use pelton::metric::QuantilePoint;
/// A line.
#[derive(Debug)]
pub struct Line<'a> {
    /// Name.
    pub name: &'a str,
    /// Points.
    pub points: &'a [QuantilePoint],
}
/// A plot.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Title.
    pub title: &'a str,
    /// Lines.
    pub lines: Vec<Line<'a>>,
}
impl Plot<'_> {
    /// SVG.
    #[must_use]
    pub fn to_svg(&self) -> String {
        String::new()
    }
}
