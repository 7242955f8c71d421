//! The latency plot: latency by percentile, as an SVG that stands alone.
//!
//! Takes histograms; hands on the picture. Both axes are logarithmic: to the right by
//! nines (90 %, 99 %, 99.9 % are equally far apart), because the tail is what is asked for, and
//! upwards by decades of time.
//!
//! Why by hand and not with plotters: it is one page of text, and plotters has no axis of nines.

use std::fmt::Write;

use crate::metric::{Latency, QuantilePoint};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 500.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 116.0;
/// Distinct for the colour-blind too, and by their dashes in print (after Okabe and Ito).
const STROKES: [(&str, &str); 4] =
    [("#0072b2", ""), ("#d55e00", ""), ("#777777", "6 4"), ("#009e73", "2 3")];
const NINES_MAX: u32 = 9;
const UNITS: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("&#181;s", 1e3), ("ns", 1.0)];

/// One line of the plot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve<'a> {
    /// What the legend calls it.
    pub(super) label: &'a str,
    /// What it shows; it is left out where nothing was recorded.
    pub(super) latency: &'a Latency,
}

/// The plot of `curves` as the text of an SVG file. `caption` is the small line below the title.
pub(super) fn latency_svg(title: &str, caption: &str, curves: &[Curve<'_>]) -> String {
    let curves: Vec<_> = curves
        .iter()
        .map(|curve| (curve, curve.latency.curve()))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let frame = Frame::around(curves.iter().flat_map(|(_, points)| points));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    text(&mut svg, LEFT, 28.0, "font-size=\"18\" font-weight=\"600\"", &escaped(title));
    text(&mut svg, LEFT, 48.0, "fill=\"#666\"", &escaped(caption));
    frame.draw_axes(&mut svg);
    for (index, (curve, points)) in curves.iter().enumerate() {
        frame.draw_curve(&mut svg, index, points);
        frame.draw_legend(&mut svg, index, curve);
    }
    svg.push_str("</svg>\n");
    svg
}

/// What part of the plane is shown: so many nines, and decades of nanoseconds.
struct Frame {
    nines: u32,
    decade_min: i32,
    decade_max: i32,
}

impl Frame {
    fn around<'p>(points: impl Iterator<Item = &'p QuantilePoint> + Clone) -> Self {
        let points = || points.clone();
        let nines_max = points().map(|point| nines_of(point.quantile)).fold(1.0, f64::max);
        let low = points().map(decades_of).fold(f64::INFINITY, f64::min);
        let high = points().map(decades_of).fold(f64::NEG_INFINITY, f64::max);
        // Nothing recorded: an empty frame from 1 us to 1 ms.
        let (low, high) = if low <= high { (low, high) } else { (3.0, 6.0) };
        let decade_min = whole(low.floor());
        Self {
            nines: (1..NINES_MAX)
                .find(|&nines| f64::from(nines) >= nines_max - 0.001)
                .unwrap_or(NINES_MAX),
            decade_min,
            decade_max: whole(high.ceil()).max(decade_min + 1),
        }
    }

    fn x(&self, nines: f64) -> f64 {
        let share = (nines / f64::from(self.nines)).min(1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, decades: f64) -> f64 {
        let share =
            (decades - f64::from(self.decade_min)) / f64::from(self.decade_max - self.decade_min);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn draw_axes(&self, svg: &mut String) {
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let (top, bottom) = (TOP, HEIGHT - BOTTOM);
        for decade in self.decade_min..=self.decade_max {
            let y = self.y(f64::from(decade));
            line(svg, (left, y), (right, y), "#ddd");
            let label = duration(10_f64.powi(decade));
            text(svg, left - 8.0, y + 4.0, "text-anchor=\"end\"", &label);
            for step in 2..10_u32 {
                let y = self.y(f64::from(decade) + f64::from(step).log10());
                if decade < self.decade_max {
                    line(svg, (left, y), (right, y), "#f4f4f4");
                }
            }
        }
        for nines in 0..=self.nines {
            let x = self.x(f64::from(nines));
            line(svg, (x, top), (x, bottom), "#ddd");
            text(svg, x, bottom + 18.0, "text-anchor=\"middle\"", &percentile(nines));
        }
        let middle = f64::midpoint(left, right);
        let anchor = "text-anchor=\"middle\" fill=\"#444\"";
        text(svg, middle, bottom + 38.0, anchor, "percentile of records");
        let y = f64::midpoint(top, bottom);
        let turned = format!("{anchor} transform=\"rotate(-90 20 {y})\"");
        text(svg, 20.0, y, &turned, "latency from the intended arrival");
    }

    fn draw_curve(&self, svg: &mut String, index: usize, points: &[QuantilePoint]) {
        let mut path = String::new();
        for point in points {
            let (x, y) = (self.x(nines_of(point.quantile)), self.y(decades_of(point)));
            let command = if path.is_empty() { 'M' } else { 'L' };
            put(&mut path, format_args!("{command}{x:.1} {y:.1}"));
        }
        let stroke = stroke(index);
        put(
            svg,
            format_args!("<path d=\"{path}\" fill=\"none\" stroke-linejoin=\"round\" {stroke}/>\n"),
        );
    }

    fn draw_legend(&self, svg: &mut String, index: usize, curve: &Curve<'_>) {
        let row = u32::try_from(index).expect("a plot has a few curves");
        let y = HEIGHT - BOTTOM + 60.0 + f64::from(row) * 18.0;
        let (middle, stroke) = (y - 4.0, stroke(index));
        put(svg, format_args!("<path d=\"M{LEFT} {middle}h28\" {stroke}/>\n"));
        let bold = "font-weight=\"600\"";
        text(svg, LEFT + 38.0, y, bold, &escaped(curve.label));
        text(svg, LEFT + 190.0, y, "", &figures(curve.latency));
    }
}

fn stroke(index: usize) -> String {
    let (colour, dashes) = STROKES[index % STROKES.len()];
    format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dashes}\"")
}

/// The legend's figures: those of the report.
fn figures(latency: &Latency) -> String {
    let summary = latency.summary().unwrap_or_default();
    [
        ("p50", summary.p50),
        ("p99", summary.p99),
        ("p99.9", summary.p999),
        ("p99.99", summary.p9999),
        ("max", summary.max),
    ]
    .map(|(name, ns)| format!("{name} {}", duration(nanoseconds(ns))))
    .join(",  ")
}

/// 0 for 0 %, 1 for 90 %, 2 for 99 %, ...
fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile).max(1e-12).log10()
}

fn decades_of(point: &QuantilePoint) -> f64 {
    nanoseconds(point.value_ns).max(1.0).log10()
}

fn nanoseconds(ns: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an hour is less than 2^53 ns")]
    let ns = ns as f64;
    ns
}

fn whole(decades: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a latency has 1 to 13 digits")]
    let decades = decades as i32;
    decades
}

fn percentile(nines: u32) -> String {
    match nines {
        0 => "0 %".to_owned(),
        1 => "90 %".to_owned(),
        2 => "99 %".to_owned(),
        more => format!("99.{} %", "9".repeat(more as usize - 2)),
    }
}

/// Three digits at most, in the largest unit that leaves one before the point.
fn duration(ns: f64) -> String {
    let (unit, unit_ns) =
        UNITS.into_iter().find(|(_, unit_ns)| ns >= *unit_ns).unwrap_or(("ns", 1.0));
    let value = ns / unit_ns;
    let places = if value >= 100.0 || value.fract() < 0.005 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.places$} {unit}")
}

fn text(svg: &mut String, x: f64, y: f64, attributes: &str, content: &str) {
    put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{content}</text>\n"));
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    put(svg, format_args!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{colour}\"/>\n"));
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("a string takes all text");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(from_ns: u64, tail_ns: u64) -> Latency {
        let mut latency = Latency::new();
        (0..100_000).for_each(|index| latency.record(from_ns + index % (from_ns / 4)));
        (0..50).for_each(|index| latency.record(tail_ns + index * tail_ns / 50));
        latency
    }

    #[test]
    fn a_plot_names_its_axes_its_curves_and_their_figures() {
        let handed = latency(12_000, 300_000);
        let visible = latency(40_000, 1_500_000);
        let hiccups = latency(1_000, 900_000);
        let curves = [("handed", &handed), ("visible", &visible), ("machine <hiccups>", &hiccups)]
            .map(|(label, latency)| Curve { label, latency });
        let svg = latency_svg("Fraud & co", "100,000 records/s on 2 shards", &curves);
        for part in [
            "Fraud &amp; co",
            "machine &lt;hiccups&gt;",
            ">99.99 %<",
            ">10 &#181;s<",
            ">1 ms<",
            "p50 13.5 &#181;s",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(svg.matches("stroke-linejoin").count(), 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn a_plot_without_values_is_an_empty_frame() {
        let empty = Curve { label: "handed", latency: &Latency::new() };
        let svg = latency_svg("nothing", "", &[empty]);
        assert!(svg.contains(">1 ms<") && !svg.contains("stroke-linejoin"));
    }

    #[test]
    fn durations_have_readable_units() {
        let cases = [
            (1.0, "1 ns"),
            (999.0, "999 ns"),
            (1_500.0, "1.50 &#181;s"),
            (12_345.0, "12.3 &#181;s"),
            (1e6, "1 ms"),
            (2.5e9, "2.50 s"),
        ];
        for (ns, shown) in cases {
            assert_eq!(duration(ns), shown);
        }
    }
}
