//! Figures as people read them.

/// A count with separators: `872,795`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in three digits: `950`, `87.3 k`, `1.20 M`.
#[must_use]
pub fn short(value: f64) -> String {
    scaled(value, 1_000.0, &["", " k", " M", " G", " T"])
}

/// A span in three digits: `900 ns`, `12.3 us`, `1.20 ms`, `2.00 s`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn ns(value: u64) -> String {
    scaled(value as f64, 1_000.0, &[" ns", " us", " ms", " s"])
}

/// Bytes in three digits: `256 MiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(value: u64) -> String {
    scaled(value as f64, 1_024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// Seconds: `1.25 s`, `3 min 05 s`.
#[must_use]
pub fn seconds(value: f64) -> String {
    if value < 120.0 {
        return format!("{value:.2} s");
    }
    let minutes = (value / 60.0).floor();
    format!("{minutes:.0} min {:02.0} s", (value - minutes * 60.0).floor())
}

/// A count and its noun: `1 shard`, `2 shards`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// A float as a whole number with separators; 0 for less.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and a negative figure is shown as 0"
)]
pub fn whole(value: f64) -> String {
    count(value.round() as u64)
}

/// Three digits and the largest unit that leaves a whole part. The smallest unit is whole.
fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would round to a fourth digit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let places = match value {
        _ if unit == 0 || value >= 99.95 => 0,
        value if value >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.places$}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_like_figures() {
        assert_eq!([0, 999, 1_000, 872_795].map(count), ["0", "999", "1,000", "872,795"]);
        assert_eq!([0.0, 999.6, 87_300.0, 1.2e6].map(short), ["0", "1.00 k", "87.3 k", "1.20 M"]);
        assert_eq!(
            [900, 12_340, 1_200_000, 5_000_000_000_000].map(ns),
            ["900 ns", "12.3 us", "1.20 ms", "5000 s"]
        );
        assert_eq!([17, 256 << 20, 3 << 29].map(bytes), ["17 B", "256 MiB", "1.50 GiB"]);
        assert_eq!([1.25, 185.9].map(seconds), ["1.25 s", "3 min 05 s"]);
    }
}
