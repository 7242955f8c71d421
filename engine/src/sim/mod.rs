//! A test bed for jobs: runs of one job on a simulated disk, with faults and losses of power by a
//! seed, until the job has come to its end.
//!
//! Takes a function that builds the job; hands on an [`Outcome`], from which the output files are
//! read as a loss of power right after the end would leave them. The engine is the one that ships:
//! only the driver, the clock and the disk are simulated.
//!
//! Invariants
//! 1. The same [`Simulation`] with the same seed gives the same runs, operation by operation:
//!    [`Outcome::trace`] says so.
//! 2. [`World::chance`] gives the same numbers in every run of one simulation, so the input is the
//!    same; stalls are others in every run.
//! 3. A simulation ends: runs are counted, and a run is bounded on the simulated clock.
//!
//! Why public: who writes a job with state of its own has the same question as the engine's tests,
//! whether the results are the same whatever goes wrong.
//!
//! ```
//! use pelton::sim::Simulation;
//! use pelton::sink::FileSink;
//! use pelton::{Changelog, Job, Stream};
//!
//! #[pelton::record]
//! struct Click {
//!     user: String,
//! }
//!
//! #[pelton::job]
//! fn counts(clicks: Stream<Click>) -> Changelog<String, u64> {
//!     clicks.key_by(|c| c.user).count()
//! }
//!
//! let outcome = Simulation::new(7).crashes(2).run(|world| {
//!     let mut chance = world.chance();
//!     let user = |_| Click { user: format!("u{}", chance.skewed(5)) };
//!     let job = Job::new();
//!     counts(job.records((0..200).map(user).collect()))
//!         .at_end()
//!         .to(FileSink::csv(world.path("counts.csv")));
//!     job
//! });
//! assert!(outcome.ended, "{outcome:?}");
//! let counts = outcome.lines("counts.csv");
//! let sum: u64 = counts.iter().map(|line| line[3..].parse::<u64>().unwrap()).sum();
//! assert_eq!(sum, 200);
//! ```

mod chance;
mod outcome;
mod simulation;
mod stalling;
mod world;

pub use chance::Chance;
pub use outcome::Outcome;
pub use simulation::Simulation;
pub use stalling::{StallingShard, StallingSink};
pub use world::World;
