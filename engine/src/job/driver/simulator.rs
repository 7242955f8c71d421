//! The simulator: every shard on one thread, in an order that the seed decides, on a clock that
//! moves only when the simulator moves it. The same seed gives the same run.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::checkpoint::{Coordinator, CoordinatorTurn};
use crate::clock::Clock;
use crate::metric::Hiccup;
use crate::shard::{Shard, Stall};

use super::{Control, Ended, JobError, Step, turn};

/// How many rounds in which every shard waits, with no time to wait for, prove a standstill.
const STANDSTILL_ROUNDS: u32 = 64;
/// How many such rounds there are before time moves on to what is waited for. A round leaves shards
/// out by chance, and what stalls in one may go on in the next.
const QUIET_ROUNDS: u32 = 32;
/// A turn takes up to this long on the simulated clock.
const TURN_NS_MAX: usize = 20_000;

pub(super) fn start(
    shards: Vec<Shard>,
    coordinator: Option<Coordinator>,
    control: Arc<Control>,
    clock: Clock,
    seed: u64,
) -> Result<JoinHandle<Ended>, JobError> {
    Builder::new()
        .name("pelton-simulator".to_owned())
        .spawn(move || Ended {
            hiccup: Hiccup::new(),
            result: Simulation::new(shards, coordinator, control, clock, seed).run(),
        })
        .map_err(|error| JobError::Driver { driver: "simulator", reason: error.to_string() })
}

struct Simulation {
    shards: Vec<(usize, Shard)>,
    coordinator: Option<Coordinator>,
    control: Arc<Control>,
    clock: Clock,
    chance: Stall,
    seed: u64,
}

impl Simulation {
    fn new(
        shards: Vec<Shard>,
        coordinator: Option<Coordinator>,
        control: Arc<Control>,
        clock: Clock,
        seed: u64,
    ) -> Self {
        let shards = shards.into_iter().enumerate().collect();
        Self { shards, coordinator, control, clock, chance: Stall::new(seed, u16::MAX), seed }
    }

    fn run(mut self) -> Result<(), JobError> {
        let mut quiet_rounds = 0;
        while !self.shards.is_empty() || self.coordinator.is_some() {
            let (worked, until_ns) = self.round()?;
            match until_ns {
                _ if worked => quiet_rounds = 0,
                Some(at_ns) if quiet_rounds >= QUIET_ROUNDS => {
                    self.clock.advance(at_ns.saturating_sub(self.clock.now_ns()));
                    quiet_rounds = 0;
                }
                _ => quiet_rounds += 1,
            }
            if quiet_rounds > STANDSTILL_ROUNDS {
                return Err(JobError::Standstill { seed: self.seed });
            }
        }
        Ok(())
    }

    /// As many turns as there are shards, of shards picked by chance: some turn twice, some not.
    /// Answers whether any had work, and the earliest time that one waits for.
    fn round(&mut self) -> Result<(bool, Option<u64>), JobError> {
        let mut worked = false;
        let mut until_ns: Option<u64> = None;
        for _ in 0..self.shards.len() {
            if self.shards.is_empty() {
                break;
            }
            let pick = self.chance.below(self.shards.len());
            let (index, shard) = &mut self.shards[pick];
            match turn(*index, shard, &self.control) {
                Step::Worked => worked = true,
                Step::Idle(None) => {}
                Step::Idle(Some(at_ns)) => {
                    until_ns = Some(until_ns.map_or(at_ns, |other| other.min(at_ns)));
                }
                Step::Over(result) => {
                    result?;
                    worked = true;
                    self.shards.swap_remove(pick);
                }
            }
            let turn_ns = self.chance.below(TURN_NS_MAX);
            self.clock.advance(u64::try_from(turn_ns).expect("a small number"));
        }
        self.checkpoint(&mut worked, &mut until_ns)?;
        Ok((worked, until_ns))
    }

    /// The coordinator's turn; one round in two it is left out, as a thread may be. Not once the shards
    /// are over: time moves with their turns, or where nothing works for a while.
    fn checkpoint(
        &mut self,
        worked: &mut bool,
        until_ns: &mut Option<u64>,
    ) -> Result<(), JobError> {
        let Some(coordinator) = &mut self.coordinator else {
            return Ok(());
        };
        if self.control.is_aborted() {
            coordinator.refuse_requests();
            self.coordinator = None;
            return Ok(());
        }
        if !self.shards.is_empty() && self.chance.below(2) == 0 {
            *worked = true;
            return Ok(());
        }
        match coordinator.turn() {
            Ok(CoordinatorTurn::Worked) => *worked = true,
            Ok(CoordinatorTurn::Idle { until_ns: at_ns }) => {
                *until_ns = Some(until_ns.map_or(at_ns, |other| other.min(at_ns)));
            }
            Ok(CoordinatorTurn::Over) => {
                coordinator.refuse_requests();
                self.coordinator = None;
                *worked = true;
            }
            Err(error) => {
                self.control.abort();
                return Err(error.into());
            }
        }
        Ok(())
    }
}
