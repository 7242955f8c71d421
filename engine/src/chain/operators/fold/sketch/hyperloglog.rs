//! How many different values there were, nearly.
//!
//! Source: P. Flajolet, E. Fusy, O. Gandouet and F. Meunier, "HyperLogLog" (2007), for the registers; O.
//! Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6, for the
//! estimate, which needs neither tables of biases nor a change of method for small counts.
//!
//! Byte layout: `M` registers of a byte. The low bits of a hash choose one; it holds the most zeroes,
//! plus one, that a hash for it began with.

use crate::chain::operators::{Fold, Merge};
use crate::record::KeyHash;

/// The registers of a [`HyperLogLog`].
pub type Registers<const M: usize> = [u8; M];

/// How many different values, from their hashes: `|e| String::hash(e.merchant)` of
/// [`Key::hash`](crate::record::Key::hash). `M` is a power of two, 16 to 65,536. The standard error is
/// `1.04 / sqrt(M)`, and hashes of 64 bits collide too rarely to show. Output: the rounded estimate.
#[derive(Debug)]
pub struct HyperLogLog<const M: usize>;

impl<const M: usize> HyperLogLog<M> {
    /// How many bits of a hash remain behind those that choose the register.
    const RANK_BITS: u32 = {
        assert!(M.is_power_of_two() && M >= 16 && M <= 1 << 16, "16 to 65,536 registers");
        64 - M.trailing_zeros()
    };
}

impl<const M: usize> Fold for HyperLogLog<M> {
    type Input = KeyHash;
    type State = Registers<M>;
    type Output = u64;
    fn start() -> Registers<M> {
        [0; M]
    }
    #[inline(always)]
    fn add(mut state: Registers<M>, KeyHash(hash): KeyHash) -> Registers<M> {
        let register = usize::try_from(hash % M as u64).expect("a register is below M");
        // A bit below the rest ends the run of zeroes.
        let rest = hash >> (64 - Self::RANK_BITS) << (64 - Self::RANK_BITS);
        let zeroes = rest.leading_zeros().min(Self::RANK_BITS);
        let rank = u8::try_from(zeroes + 1).expect("a hash has 64 bits");
        state[register] = state[register].max(rank);
        state
    }
    fn output(state: Registers<M>) -> u64 {
        estimate(&state, Self::RANK_BITS)
    }
    fn identity() -> String {
        format!("hyperloglog, {M} registers")
    }
}

impl<const M: usize> Merge for HyperLogLog<M> {
    fn merge(earlier: Registers<M>, later: Registers<M>) -> Registers<M> {
        std::array::from_fn(|index| earlier[index].max(later[index]))
    }
}

/// Ertl's improved estimate.
#[expect(clippy::cast_precision_loss, reason = "there are 65,536 registers at most")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, rounded")]
fn estimate(registers: &[u8], rank_bits: u32) -> u64 {
    let mut counts = [0.0_f64; 66];
    registers.iter().for_each(|rank| counts[usize::from(*rank)] += 1.0);
    let (count, top) = (registers.len() as f64, rank_bits as usize);
    let full = count * tau(1.0 - counts[top + 1] / count);
    let middle = counts[1..=top].iter().rev().fold(full, |sum, ranked| 0.5 * (sum + ranked));
    let all = middle + count * sigma(counts[0] / count);
    (count * count / (2.0 * std::f64::consts::LN_2 * all)).round() as u64
}

/// What registers that are still empty add: `x + sum of x^(2^k) * 2^(k-1)`.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum, mut before) = (1.0, x, -1.0);
    while sum > before {
        before = sum;
        x *= x;
        sum += x * weight;
        weight += weight;
    }
    sum
}

/// What registers that are full take away.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum, mut before) = (1.0, 1.0 - x, 2.0);
    while sum < before {
        before = sum;
        x = x.sqrt();
        weight *= 0.5;
        sum -= (1.0 - x) * (1.0 - x) * weight;
    }
    sum / 3.0
}
