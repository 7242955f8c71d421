//! Every fold against a naive computation over the same inputs: one input after the other, through
//! bytes as a state keeps it, and in random slices that are merged in a random grouping. Sketches
//! against exact answers, within the errors that they state.
//!
//! `PELTON_FOLD_RUNS=100000` runs more; `PELTON_FOLD_SEED=17 PELTON_FOLD_RUNS=1` runs one again.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::cmp::Reverse;
use std::collections::BTreeSet;

use pelton::Decimal;
use pelton::chain::operators::{
    Average, Bounds, Collect, Count, CountSum, CountSumSquares, Ewma, EwmaByTime, First,
    FirstByTime, Fold, Histogram, HyperLogLog, Invertible, KeepFirst, KeepLast, Largest, Last,
    LastByTime, Max, Merge, Min, Moments, Quantiles, Shared, Spread, Sum, ZScore,
};
use pelton::record::{EventTime, Fixed, Key};
use pelton::sim::Chance;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs `check` for many seeds.
fn runs(test: &str, mut check: impl FnMut(&mut Chance)) {
    let (first, count) = (setting("PELTON_FOLD_SEED", 0), setting("PELTON_FOLD_RUNS", 400));
    for seed in first..first + count {
        let run = std::panic::AssertUnwindSafe(|| check(&mut Chance::new(seed ^ 0xf01d)));
        if std::panic::catch_unwind(run).is_err() {
            panic!(
                "replay: PELTON_FOLD_SEED={seed} PELTON_FOLD_RUNS=1 cargo test -p pelton --test \
                 folds {test}"
            );
        }
    }
    eprintln!("{count} random jobs from seed {first}");
}

/// What the fold says of all inputs: folded in one go through bytes, and in slices.
fn all_ways<V: Merge>(chance: &mut Chance, inputs: &[V::Input]) -> [V::Output; 2] {
    let mut bytes = vec![0xa5; V::State::BYTES + 3];
    V::start().write(&mut bytes[3..]);
    for &input in inputs {
        V::add(V::State::read(&bytes[3..]), input).write(&mut bytes[3..]);
    }
    let in_one_go = V::output(V::State::read(&bytes[3..]));
    let mut slices = vec![V::start()];
    let (mut rest, mut inputs_left) = (inputs, inputs.len() as u64);
    while !rest.is_empty() {
        let count = usize::try_from(chance.below(inputs_left.min(20) + 1)).unwrap();
        let slice = rest[..count].iter().fold(V::start(), |state, input| V::add(state, *input));
        slices.push(slice);
        rest = &rest[count..];
        inputs_left = rest.len() as u64;
    }
    while slices.len() > 1 {
        let at = usize::try_from(chance.below(slices.len() as u64 - 1)).unwrap();
        let later = slices.remove(at + 1);
        slices[at] = V::merge(slices[at], later);
    }
    [in_one_go, V::output(slices[0])]
}

fn numbers(chance: &mut Chance) -> Vec<i64> {
    let count = chance.below(80);
    let (spread, base) = (1 + chance.below(2_000), *chance.pick(&[0, 0, 1_000_000_000]));
    let number = |_| i64::try_from(chance.below(spread)).unwrap() - 500 + base;
    (0..count).map(number).collect()
}

#[expect(clippy::cast_precision_loss, reason = "small whole numbers")]
fn floats(numbers: &[i64]) -> Vec<f64> {
    numbers.iter().map(|number| *number as f64 / 8.0).collect()
}

fn near(found: f64, expected: f64, scale: f64) {
    let distance = (found - expected).abs();
    assert!(distance <= 1e-9 * scale.max(1.0), "{found} is not {expected}");
}

fn near_some(found: Option<f64>, expected: Option<f64>, scale: f64) {
    match (found, expected) {
        (Some(found), Some(expected)) => near(found, expected, scale),
        (found, expected) => assert_eq!(found, expected),
    }
}

#[expect(clippy::cast_precision_loss, reason = "few values")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The variance by definition, in two passes.
#[expect(clippy::cast_precision_loss, reason = "few values")]
fn variance(values: &[f64], less: usize) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > less)?;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some(squares / (values.len() - less) as f64)
}

#[test]
fn differential_counts_sums_and_averages() {
    runs("differential_counts", |chance| {
        let numbers = numbers(chance);
        let sum: i64 = numbers.iter().sum();
        let units: Vec<_> = numbers.iter().map(|_| ()).collect();
        assert_eq!(all_ways::<Count>(chance, &units), [numbers.len() as u64; 2]);
        assert_eq!(all_ways::<Sum<i64>>(chance, &numbers), [sum; 2]);
        let decimals: Vec<_> = numbers.iter().map(|number| Decimal(*number)).collect();
        assert_eq!(all_ways::<Sum<Decimal>>(chance, &decimals), [Some(Decimal(sum)); 2]);
        let values = floats(&numbers);
        for found in all_ways::<Average<f64>>(chance, &values) {
            near_some(found, mean(&values), 1e9);
        }
        for found in all_ways::<Average<i64>>(chance, &numbers) {
            near_some(found.map(|mean| mean / 8.0), mean(&values), 1e9);
        }
        for found in all_ways::<Average<Decimal>>(chance, &decimals) {
            near_some(found.map(|mean| mean * 125_000.0), mean(&values), 1e9);
        }
    });
}

#[test]
fn differential_the_least_the_greatest_the_first_and_the_last() {
    runs("differential_the_least", |chance| {
        let numbers = numbers(chance);
        let (least, greatest) = (numbers.iter().min().copied(), numbers.iter().max().copied());
        assert_eq!(all_ways::<Min<i64>>(chance, &numbers), [least; 2]);
        assert_eq!(all_ways::<Max<i64>>(chance, &numbers), [greatest; 2]);
        let reversed: Vec<_> = numbers.iter().copied().map(Reverse).collect();
        assert_eq!(all_ways::<Max<Reverse<i64>>>(chance, &reversed), [least.map(Reverse); 2]);
        let values = floats(&numbers);
        let expected = values.iter().copied().min_by(f64::total_cmp);
        assert_eq!(all_ways::<Min<f64>>(chance, &values), [expected; 2]);
        assert_eq!(all_ways::<First<i64>>(chance, &numbers), [numbers.first().copied(); 2]);
        assert_eq!(all_ways::<Last<i64>>(chance, &numbers), [numbers.last().copied(); 2]);
        let timed: Vec<_> = (0..)
            .zip(&numbers)
            .map(|(index, number)| (EventTime(number % 7), index))
            .collect::<Vec<(EventTime, u32)>>();
        let first = timed.iter().min_by_key(|(time, index)| (*time, *index));
        let last = timed.iter().max_by_key(|(time, index)| (*time, *index));
        let of = |found: Option<&(EventTime, u32)>| [found.map(|(_, index)| *index); 2];
        assert_eq!(all_ways::<FirstByTime<u32>>(chance, &timed), of(first));
        assert_eq!(all_ways::<LastByTime<u32>>(chance, &timed), of(last));
    });
}

#[test]
fn differential_moments_and_z_scores() {
    runs("differential_moments", |chance| {
        let values = floats(&numbers(chance));
        // Where the mean is large, n roundings of it show: n * epsilon * mean, times the deviation.
        let of_mean = 2e-5 * mean(&values).unwrap_or(0.0).abs();
        let squares = variance(&values, 0).unwrap_or(0.0);
        let (scale, root) = (squares + of_mean * squares.sqrt(), squares.sqrt() + of_mean);
        for found in all_ways::<Moments>(chance, &values) {
            assert_eq!(found.count, values.len() as u64);
            near_some((found.count > 0).then_some(found.mean), mean(&values), 1e9);
            near_some(found.variance_population(), variance(&values, 0), scale);
            near_some(found.variance_sample(), variance(&values, 1), scale);
            near_some(found.deviation_sample(), variance(&values, 1).map(f64::sqrt), root);
            near_some(found.deviation_population(), variance(&values, 0).map(f64::sqrt), root);
        }
        for found in all_ways::<ZScore>(chance, &values) {
            let expected = values.split_last().and_then(|(newest, earlier)| {
                let deviation = variance(earlier, 1)?.sqrt();
                (deviation > 0.0).then(|| (newest - mean(earlier).unwrap()) / deviation)
            });
            near_some(found, expected, 1e4 * (1.0 + expected.map_or(0.0, f64::abs)));
        }
    });
}

#[test]
fn a_small_spread_far_from_zero_keeps_its_digits() {
    let values = [1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0];
    let spread = values.into_iter().fold(Moments::start(), Moments::add);
    near_some(spread.variance_sample(), Some(30.0), 1.0);
    assert_eq!(Spread::default().z_score(3.0), None);
    let alike = [2.0; 5].into_iter().fold(ZScore::start(), ZScore::add);
    assert_eq!(ZScore::output(alike), None);
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "few values")]
fn differential_decayed_means() {
    runs("differential_decayed", |chance| {
        let values = floats(&numbers(chance));
        let weighted = |weights: &[f64]| {
            let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
            (!values.is_empty()).then(|| sum / weights.iter().sum::<f64>())
        };
        let weights: Vec<_> =
            (0..values.len()).rev().map(|age| 0.5_f64.powf(age as f64 / 5.0)).collect();
        for found in all_ways::<Ewma<5>>(chance, &values) {
            near_some(found, weighted(&weights), 1e9);
        }
        let time = |_| EventTime(i64::try_from(chance.below(4_000)).unwrap() - 2_000);
        let timed: Vec<_> = values.iter().map(time).zip(values.iter().copied()).collect();
        let newest = timed.iter().map(|(time, _)| time.0).max().unwrap_or(0);
        let weight = |(time, _): &(EventTime, f64)| 0.5_f64.powf((newest - time.0) as f64 / 250.0);
        let weights: Vec<_> = timed.iter().map(weight).collect();
        for found in all_ways::<EwmaByTime<250>>(chance, &timed) {
            near_some(found, weighted(&weights), 1e9);
        }
    });
}

fn padded<const N: usize>(kept: &[i64]) -> [Option<i64>; N] {
    std::array::from_fn(|index| kept.get(index).copied())
}

#[test]
fn differential_several_are_kept() {
    runs("differential_several", |chance| {
        let numbers = numbers(chance);
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.reverse();
        let expected: [Option<i64>; 5] = padded(&sorted);
        assert_eq!(all_ways::<Largest<i64, 5>>(chance, &numbers), [expected; 2]);
        let expected: [Option<i64>; 7] = padded(&numbers);
        for found in all_ways::<Collect<i64, KeepFirst, 7>>(chance, &numbers) {
            assert_eq!((found.items, found.seen_count), (expected, numbers.len() as u64));
            assert_eq!(found.dropped_count(), numbers.len().saturating_sub(7) as u64);
        }
        let newest = &numbers[numbers.len().saturating_sub(7)..];
        for found in all_ways::<Collect<i64, KeepLast, 7>>(chance, &numbers) {
            assert_eq!(found.iter().collect::<Vec<_>>(), newest);
            assert_eq!(found.seen_count, numbers.len() as u64);
        }
    });
}

struct Steps;

impl Bounds<4> for Steps {
    const UPPER: [f64; 4] = [-10.0, 0.0, 2.5, 60.0];
}

#[test]
fn differential_histograms_count_between_their_bounds() {
    runs("differential_histograms", |chance| {
        let mut values = floats(&numbers(chance));
        values.extend([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.5, 0.0]);
        let between = |from: f64, to: f64| {
            values.iter().filter(|value| **value > from && **value <= to).count() as u64
        };
        let low = values.iter().filter(|value| **value <= -10.0).count() as u64;
        let counts = [low, between(-10.0, 0.0), between(0.0, 2.5), between(2.5, 60.0)];
        let above = values.len() as u64 - counts.iter().sum::<u64>();
        assert_eq!(all_ways::<Histogram<Steps, 4>>(chance, &values), [(counts, above); 2]);
    });
}

#[test]
fn differential_tuples_say_what_their_parts_say() {
    type Six = (Count, Sum<i64>, Min<i64>, Max<i64>, Average<i64>, Last<i64>);
    type Alike = Shared<(Sum<i64>, Min<i64>, Last<i64>)>;
    runs("differential_tuples", |chance| {
        let numbers = numbers(chance);
        let inputs: Vec<_> = numbers.iter().map(|n| ((), *n, -n, *n, *n, n + 1)).collect();
        for found in all_ways::<Six>(chance, &inputs) {
            assert_eq!(found.0, numbers.len() as u64);
            assert_eq!(found.1, numbers.iter().sum::<i64>());
            assert_eq!(found.2, numbers.iter().map(|number| -number).min());
            assert_eq!(found.3, numbers.iter().max().copied());
            assert_eq!(found.5, numbers.last().map(|number| number + 1));
        }
        for (sum, least, last) in all_ways::<Alike>(chance, &numbers) {
            assert_eq!(sum, numbers.iter().sum::<i64>());
            assert_eq!((least, last), (numbers.iter().min().copied(), numbers.last().copied()));
        }
    });
}

#[test]
fn invertible_tuples_take_back_what_they_added() {
    type Three = (CountSum, CountSumSquares, CountSum);
    let mut state = <Three as Invertible>::State::default();
    Three::add(&mut state, (7, -3, 1));
    let one = state;
    Three::add(&mut state, (i64::MAX, i64::MIN, 5));
    Three::remove(&mut state, (i64::MAX, i64::MIN, 5));
    assert_eq!(state, one);
    assert_eq!((state.0.sum, state.1.squares, state.2.count), (7, 9, 1));
}

/// Of 1,024 registers the standard error is 1.04 / 32 = 3.25 %.
#[test]
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn differential_hyperloglog_estimates_within_its_standard_error() {
    const SIGMA: f64 = 1.04 / 32.0;
    let (mut squares, mut trials) = (0.0, 0.0);
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let mut seen = BTreeSet::new();
        let mut state = HyperLogLog::<1024>::start();
        let mut halves = [HyperLogLog::<1024>::start(); 2];
        for _ in 0..*chance.pick(&[0, 1, 10, 100, 1_000, 3_000, 10_000, 40_000]) {
            let value = chance.below(30_000);
            let hash = <u64 as Key>::hash(value);
            seen.insert(value);
            state = HyperLogLog::<1024>::add(state, hash);
            let half = usize::from(chance.one_in(3));
            halves[half] = HyperLogLog::<1024>::add(halves[half], hash);
        }
        let merged = HyperLogLog::<1024>::merge(halves[0], halves[1]);
        assert_eq!(merged, state, "a sketch of all is the merge of its halves");
        let (exact, estimate) = (seen.len() as f64, HyperLogLog::<1024>::output(state) as f64);
        assert!((estimate - exact).abs() <= 4.0 * SIGMA * exact + 0.5, "{estimate} of {exact}");
        if seen.len() > 1_000 {
            squares += ((estimate - exact) / exact / SIGMA).powi(2);
            trials += 1.0;
        }
    }
    let error: f64 = squares / trials;
    assert!(error.sqrt() < 1.4, "the errors' spread is {} of what is stated", error.sqrt());
    eprintln!("60 random jobs; the errors' spread is {:.2} of what is stated", error.sqrt());
}

#[test]
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small ranks")]
#[expect(clippy::cast_sign_loss, reason = "ranks")]
fn differential_quantiles_are_within_their_error() {
    type Sketch = Quantiles<20, 512>;
    runs("differential_quantiles", |chance| {
        let count = chance.below(300);
        let mixed = chance.one_in(2);
        let value = |_| {
            let magnitude = (chance.below(1_000) as f64 / 70.0).exp();
            match chance.below(12) {
                0 => 0.0,
                1..6 if mixed => -magnitude,
                _ => magnitude,
            }
        };
        let mut values: Vec<f64> = (0..count).map(value).collect();
        let found = all_ways::<Sketch>(chance, &values);
        values.sort_by(f64::total_cmp);
        for sketch in found {
            assert_eq!(sketch.count(), count);
            for quantile in [0.0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0] {
                let rank = (quantile * count.saturating_sub(1) as f64).floor() as usize;
                match (values.get(rank), sketch.quantile(quantile)) {
                    (Some(exact), Some(found)) => {
                        let error = (found - exact).abs();
                        assert!(error <= exact.abs() * (0.02 + 1e-9), "{found} for {exact}");
                    }
                    (exact, found) => assert_eq!((exact, found), (None, None)),
                }
            }
        }
    });
}

/// 32 bins of 5 % span 24 times: of values that span more, the greatest keep their error.
#[test]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn differential_quantiles_with_too_few_bins_lose_the_least_values_only() {
    type Sketch = Quantiles<50, 32>;
    runs("differential_quantiles_with", |chance| {
        let value = |_| (chance.below(4_000) as f64 / 200.0 - 10.0).exp();
        let values: Vec<f64> = (0..200).map(value).collect();
        let found = all_ways::<Sketch>(chance, &values);
        let greatest = values.iter().copied().fold(0.0, f64::max);
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        for sketch in found {
            assert_eq!(sketch.count(), 200);
            for (rank, exact) in (0..).zip(&sorted).filter(|(_, value)| **value > greatest / 20.0) {
                let found = sketch.quantile((f64::from(rank) + 0.5) / 199.0).unwrap();
                assert!((found - exact).abs() <= exact * (0.05 + 1e-9), "{found} for {exact}");
            }
        }
    });
}

#[test]
fn what_is_no_number_is_left_out_of_quantiles() {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, -f64::MAX];
    let state = odd.into_iter().fold(Quantiles::<50, 16>::start(), Quantiles::<50, 16>::add);
    assert_eq!(state.count(), 3);
}

#[test]
fn folds_of_one_layout_that_keep_something_else_say_so() {
    struct Prices;
    impl Bounds<2> for Prices {
        const UPPER: [f64; 2] = [1.0, 10.0];
    }
    struct Ages;
    impl Bounds<2> for Ages {
        const UPPER: [f64; 2] = [18.0, 65.0];
    }
    let identities = [
        Min::<i64>::identity(),
        Max::<i64>::identity(),
        Min::<Reverse<i64>>::identity(),
        First::<i64>::identity(),
        Last::<i64>::identity(),
        FirstByTime::<i64>::identity(),
        LastByTime::<i64>::identity(),
        Ewma::<3>::identity(),
        Ewma::<4>::identity(),
        EwmaByTime::<3>::identity(),
        EwmaByTime::<4>::identity(),
        Largest::<i64, 3>::identity(),
        Largest::<Reverse<i64>, 3>::identity(),
        Largest::<(i64, Reverse<u64>), 3>::identity(),
        Collect::<i64, KeepFirst, 3>::identity(),
        Collect::<i64, KeepLast, 3>::identity(),
        HyperLogLog::<16>::identity(),
        Quantiles::<10, 64>::identity(),
        Quantiles::<20, 64>::identity(),
        Histogram::<Prices, 2>::identity(),
        Histogram::<Ages, 2>::identity(),
        <(Count, Min<i64>)>::identity(),
        <(Count, Max<i64>)>::identity(),
        Shared::<(Sum<i64>, First<i64>)>::identity(),
    ];
    assert_eq!(identities.iter().collect::<BTreeSet<_>>().len(), identities.len());
    assert_eq!(<(Count, Max<Reverse<i64>>)>::identity(), "(, max of reverse)");
    // Savepoints were written before folds had one.
    assert_eq!(Count::identity() + &<(Count, Sum<i64>)>::identity(), "");
}

#[test]
fn a_mean_of_the_largest_floats_does_not_overflow() {
    let state =
        [f64::MAX, -f64::MAX].into_iter().fold(Average::<f64>::start(), Average::<f64>::add);
    assert_eq!(Average::<f64>::output(state), Some(0.0));
}
