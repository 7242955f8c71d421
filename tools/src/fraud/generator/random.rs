//! Chance for the generator: small, seeded, and the same on every machine.
//!
//! xoshiro256++ (Blackman and Vigna) seeded by splitmix64. Everything is made of integers and of
//! `+ - * /` on floats, which IEEE 754 fixes to the last bit; `ln`, `cos` and `exp` of the
//! system's maths library are avoided, as their last bit is not the same everywhere. So a seed
//! gives the same file on every machine.

/// A seeded generator of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random([u64; 4]);

/// One step of splitmix64: turns counters and seeds into well-mixed bits.
pub(crate) fn mixed(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Random {
    /// The generator for one `stream` of a `seed`; streams of a seed are independent.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut state = mixed(seed) ^ mixed(stream ^ 0x5045_4c54_4f4e_0001);
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed(state)
        }))
    }

    /// 64 random bits.
    #[inline]
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `0..bound`. The bias is below `bound / 2^32`, far below what a count shows.
    #[inline]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let wide = (self.bits() >> 32) * u64::from(bound);
        u32::try_from(wide >> 32).unwrap_or(0)
    }

    /// A float in `0.0..1.0`.
    #[inline]
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a float exactly")]
        let bits = (self.bits() >> 11) as f64;
        bits * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A float in `low..high`.
    #[inline]
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// A draw from the normal distribution of mean 0 and deviation 1: the sum of twelve uniform
    /// 16-bit numbers (Irwin and Hall), which follows it closely to three deviations and ends at
    /// six. Refused: Box and Muller, for `ln` and `cos` (see above).
    #[inline]
    pub(crate) fn normal(&mut self) -> f64 {
        let mut sum = 0_u64;
        for _ in 0..3 {
            let bits = self.bits();
            sum += (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        }
        #[expect(clippy::cast_precision_loss, reason = "the sum is below 2^20")]
        let sum = sum as f64;
        (sum - 393_210.0) / 65_536.0
    }

    /// A draw from Poisson's distribution whose probability of none is `none = exp(-mean)`.
    #[inline]
    pub(crate) fn poisson(&mut self, mean: f64, none: f64) -> u32 {
        let unit = self.unit();
        let (mut probability, mut cumulative, mut count) = (none, none, 0_u32);
        while unit > cumulative && count < 100 {
            count += 1;
            probability *= mean / f64::from(count);
            cumulative += probability;
        }
        count
    }
}

/// `exp(-x)` for `x` in 0 to 4 or so, by its series: the same bits everywhere.
pub(crate) fn exp_of_minus(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..40 {
        term *= x / f64::from(n);
        sum += term;
    }
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_have_the_mean_and_spread_they_promise() {
        let mut random = Random::new(7, 0);
        let (mut sum, mut squares, mut counts) = (0.0, 0.0, 0.0);
        let draws = 100_000;
        for _ in 0..draws {
            let normal = random.normal();
            sum += normal;
            squares += normal * normal;
            counts += f64::from(random.poisson(2.5, exp_of_minus(2.5)));
        }
        let draws = f64::from(draws);
        assert!((sum / draws).abs() < 0.02);
        assert!((squares / draws - 1.0).abs() < 0.02);
        assert!((counts / draws - 2.5).abs() < 0.03);
    }

    #[test]
    fn the_exponential_is_right_to_the_last_digits() {
        for x in [0.0, 0.5, 1.0, 2.5, 4.0_f64] {
            assert!((exp_of_minus(x) - (-x).exp()).abs() < 1e-15);
        }
    }
}
