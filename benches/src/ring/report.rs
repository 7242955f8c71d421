//! The report: medians and best of the rounds, ratios within a round, the machine's own limits.

use std::fmt;

use hdrhistogram::Histogram;

use super::MESSAGE_BYTES;

/// What was measured, a sample a round.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) line_round_trip_ns: Vec<f64>,
    pub(super) copied_bytes_per_ns: Vec<f64>,
}

/// One lane's samples, in millions of messages a second.
#[derive(Debug)]
pub(super) struct Row {
    name: &'static str,
    pub(super) single: Vec<f64>,
    pub(super) batched: Vec<f64>,
    pub(super) round_trip_ns: Histogram<u64>,
}

impl Report {
    pub(super) fn row(&mut self, name: &'static str) -> &mut Row {
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            let round_trip_ns = Histogram::new_with_bounds(1, 10_000_000_000, 3)
                .expect("these bounds are what the library allows");
            self.rows.push(Row { name, single: vec![], batched: vec![], round_trip_ns });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line_ns = median(&self.line_round_trip_ns);
        let state = if line_ns < 250.0 { "near" } else { "far" };
        let copied = median(&self.copied_bytes_per_ns);
        writeln!(f, "{MESSAGE_BYTES}-byte frames, core to core; M/s: median, best tenth")?;
        writeln!(f, "cache line, there and back: {line_ns:.0} ns ({state})")?;
        let copies = copied * 1e3 / MESSAGE_BYTES as f64;
        writeln!(f, "copy limit: {copied:.1} GB/s, {copies:.0} M messages/s")?;
        writeln!(
            f,
            "{:<22}{:>16}{:>18}{:>12}{:>12}",
            "", "batch 1", "batch 256", "p50 ns", "p99.99 ns"
        )?;
        for row in &self.rows {
            let latency = |quantile| match row.round_trip_ns.len() {
                0 => "-".to_owned(),
                _ => row.round_trip_ns.value_at_quantile(quantile).to_string(),
            };
            writeln!(
                f,
                "{:<22}{:>16}{:>18}{:>12}{:>12}",
                row.name,
                rate(&row.single),
                rate(&row.batched),
                latency(0.5),
                latency(0.9999)
            )?;
        }
        self.ratios(f)
    }
}

impl Report {
    /// Pelton's share of each other lane, round by round.
    fn ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(own) = self.rows.iter().find(|row| row.name == "pelton") else {
            return Ok(());
        };
        for row in self.rows.iter().filter(|row| row.name != "pelton") {
            for (batch, own, other) in
                [("1", &own.single, &row.single), ("256", &own.batched, &row.batched)]
            {
                if !other.is_empty() {
                    let ratios: Vec<f64> = own.iter().zip(other).map(|(a, b)| a / b).collect();
                    let won = ratios.iter().filter(|ratio| **ratio > 1.0).count();
                    let (name, ratio, rounds) = (row.name, median(&ratios), ratios.len());
                    let best = quantile(own, 0.9) / quantile(other, 0.9);
                    writeln!(
                        f,
                        "pelton / {name}, batch {batch}: {ratio:.2} (ahead in {won} of {rounds}; best tenths {best:.2})"
                    )?;
                }
            }
        }
        Ok(())
    }
}

fn rate(samples: &[f64]) -> String {
    if samples.is_empty() {
        return "-".to_owned();
    }
    format!("{:.1}, {:.1}", median(samples), quantile(samples, 0.9))
}

fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a length"
)]
fn quantile(samples: &[f64], quantile: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * quantile) as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}
