//! Who pays where: customers with habits, and terminals within their reach.

use super::random::{Random, exp_of_minus};

/// The side of the square that everyone lives in.
const SIDE: f64 = 100.0;
/// How far a customer goes to pay.
const REACH: f64 = 5.0;
/// Cells a side of the grid by which the terminals near a customer are found.
const GRID: usize = 20;

/// A customer's habits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Customer {
    /// Average amount in cents; the spread is half of it.
    pub(crate) mean_cents: f64,
    /// Average transactions a day.
    pub(crate) daily_mean: f64,
    /// The chance of a day without any.
    pub(crate) daily_none: f64,
    /// Where his terminals begin in [`Population::reach`], and how many they are.
    reach_start: u32,
    reach_count: u32,
}

/// Customers and terminals of one seed.
#[derive(Debug)]
pub(crate) struct Population {
    pub(crate) customers: Vec<Customer>,
    pub(crate) terminal_count: u32,
    /// Where the terminals stand.
    terminals: Vec<(f64, f64)>,
    reach: Vec<u32>,
}

impl Population {
    /// Draws everyone's place and habits.
    pub(crate) fn new(seed: u64, customer_count: u32, terminal_count: u32) -> Self {
        let mut random = Random::new(seed, u64::MAX);
        let terminals: Vec<(f64, f64)> = (0..terminal_count)
            .map(|_| (random.between(0.0, SIDE), random.between(0.0, SIDE)))
            .collect();
        let grid = grid_of(&terminals);
        let mut reach = Vec::new();
        let customers = (0..customer_count)
            .map(|_| {
                let (x, y) = (random.between(0.0, SIDE), random.between(0.0, SIDE));
                let mean_cents = random.between(500.0, 10_000.0);
                let daily_mean = random.between(0.0, 4.0);
                let start = reach.len();
                push_near(&terminals, &grid, (x, y), &mut reach);
                if reach.len() == start && terminal_count > 0 {
                    // Nobody is left without a place to pay.
                    reach.push(random.below(terminal_count));
                }
                Customer {
                    mean_cents,
                    daily_mean,
                    daily_none: exp_of_minus(daily_mean),
                    reach_start: index_u32(start),
                    reach_count: index_u32(reach.len() - start),
                }
            })
            .collect();
        Self { customers, terminal_count, terminals, reach }
    }

    /// A terminal where `customer` pays this time.
    #[inline]
    pub(crate) fn terminal(&self, customer: &Customer, random: &mut Random) -> u32 {
        let at = customer.reach_start + random.below(customer.reach_count);
        self.reach[at as usize]
    }

    /// Where a terminal stands, each from 0 to 100.
    #[inline]
    pub(crate) fn place(&self, terminal: u32) -> (f64, f64) {
        self.terminals[terminal as usize]
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("a population of thousands has fewer than 2^32 neighbours")
}

/// The row or column of a place.
fn cell(place: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places are in 0..SIDE"
    )]
    let cell = (place / REACH) as usize;
    cell.min(GRID - 1)
}

fn grid_of(terminals: &[(f64, f64)]) -> Vec<Vec<u32>> {
    let mut grid = vec![Vec::new(); GRID * GRID];
    for (index, &(x, y)) in terminals.iter().enumerate() {
        grid[cell(y) * GRID + cell(x)].push(index_u32(index));
    }
    grid
}

/// Appends the terminals within reach of a place. A cell is as wide as the reach, so they lie in
/// the nine cells around.
fn push_near(terminals: &[(f64, f64)], grid: &[Vec<u32>], (x, y): (f64, f64), out: &mut Vec<u32>) {
    let around = |at: usize| at.saturating_sub(1)..=(at + 1).min(GRID - 1);
    for row in around(cell(y)) {
        for column in around(cell(x)) {
            out.extend(grid[row * GRID + column].iter().filter(|&&index| {
                let (terminal_x, terminal_y) = terminals[index as usize];
                let (dx, dy) = (terminal_x - x, terminal_y - y);
                dx * dx + dy * dy < REACH * REACH
            }));
        }
    }
}
