//! The program stopped for real at bad moments, and told to go on: what the kills and the power
//! cuts have in common.
//!
//! Takes a seed and a way to stop a process ([`Stop`]); hands on a [`Tally`] of what was hit, and
//! fails where a line was lost or came twice, or a manifest is older than it may be.
//!
//! ```text
//!   seed -> case: input, undisturbed results
//!        -> round: start --stop--> check, junk over the input --resume--stop--> ... --resume--> end
//! ```
//!
//! Invariants
//! 1. What the results are held against comes from a run without state, checkpoints or rate.
//! 2. Input before the newest manifest's position is overwritten after each stop: a run that reads it
//!    again rejects rows, and so fails.
//! 3. The newest manifest is never older than the last `published` that the log tells of.
//!
//! What a kill proves: that the program's own order of things holds at any moment. The page cache
//! survives it, so that what was written is there whether or not it was synced; what only a sync
//! saves is for the power cuts and the simulator to show.

mod case;
mod checks;
mod log;
#[path = "../common/program.rs"]
mod process;
mod program;
mod tally;

use std::path::PathBuf;
use std::process::Child;

use pelton::clock::Clock;

use case::{Case, Job, Places};
use log::{INSIDE, Moment};
use pelton::sim::Chance;
use program::{Engines, Victim};

pub(crate) use tally::Tally;

/// A way to stop a process without its help.
pub(crate) trait Stop {
    /// An empty folder for the state and the results of the next round.
    fn ground(&mut self) -> PathBuf;
    /// Stops it; answers when it is gone and its files can be read.
    fn stop(&mut self, child: &mut Child);
}

/// Seeds, and what they have come to.
pub(crate) struct Campaign {
    pub(crate) tally: Tally,
    command: &'static str,
    engines: Engines,
    clock: Clock,
}

impl Campaign {
    /// `command` runs one seed again, with `SEED=SEED` for its number.
    pub(crate) fn new(command: &'static str) -> Self {
        let engines = Engines::probe();
        Self { tally: Tally::default(), command, engines, clock: Clock::machine() }
    }

    /// Rounds of one seed's case, until so many stops count.
    pub(crate) fn seed(&mut self, seed: u64, stops: u64, stop: &mut dyn Stop) {
        let mut chance = Chance::new(seed);
        // Every fifth seed, beginning with the second, so that a short run has one too.
        let job = if seed % 5 == 2 { Job::Clicks } else { Job::Fraud };
        let mut case = Case::new(job, seed, self.command);
        let until = self.tally.stops() + stops;
        while self.tally.stops() < until {
            let left = until - self.tally.stops();
            let wanted = left.min(2 + chance.below(3));
            let places = case.places(stop.ground());
            self.round(&mut case, &places, &mut chance, wanted, stop);
        }
        case.passed();
        self.tally.seeds += 1;
    }

    /// One job from its beginning to its end, stopped so often.
    fn round(
        &mut self,
        case: &mut Case,
        places: &Places,
        chance: &mut Chance,
        stops: u64,
        stop: &mut dyn Stop,
    ) {
        case.begin(places);
        let mut stopped = 0;
        let mut resumes = false;
        let mut resumed_at = 0;
        while stopped < stops {
            let options = self.engines.pick(chance);
            let moment = self.moment(chance);
            let mut victim = Victim::start(case, places, options, resumes, &self.clock);
            if !resumes {
                victim.await_published(&self.clock);
            }
            let Some(hit) = victim.stop_at(moment, stop, &self.clock) else {
                break;
            };
            if let Some(checked) = checks::after_stop(case, places, &hit, resumed_at) {
                self.tally.stop(case.job, &hit, &checked, options);
                stopped += 1;
                resumes = true;
                resumed_at = checked.accepted;
            }
        }
        let options = self.engines.pick(chance);
        Victim::start(case, places, options, resumes, &self.clock).see_through(&self.clock);
        self.tally.compared += checks::at_end(case, places);
        // There is nothing left to do, and nothing is done twice.
        Victim::start(case, places, options, true, &self.clock).see_through(&self.clock);
        checks::results(case, places);
        self.tally.rounds += 1;
    }

    /// Inside a checkpoint in more than half of the stops, at any time in the others.
    fn moment(&self, chance: &mut Chance) -> Moment {
        if self.tally.inside() * 10 < self.tally.stops() * 6 || self.tally.stops() == 0 {
            let phase = *chance.pick(&INSIDE);
            Moment::Inside { phase, after: chance.below(12) }
        } else {
            Moment::After { ns: chance.below(300_000_000) }
        }
    }
}

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
