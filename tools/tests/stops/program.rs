//! The program as a process: started with a round's options, watched, and stopped.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pelton::clock::Clock;

use super::Stop;
use super::case::{Case, INTERVAL_MS, Job, Places, ROWS};
use super::log::{INSIDE, Line, Log, Moment};
use pelton::sim::Chance;

/// A run that takes longer hangs.
const HANG_NS: u64 = 120_000_000_000;
/// How often the log is looked at while nothing is expected.
const LOOK_EVERY: Duration = Duration::from_micros(200);

fn pelton() -> Command {
    let mut command = super::process::pelton::<&str>([]);
    command.stdout(Stdio::null());
    command
}

/// Generates transactions.
pub(super) fn generate(path: &Path, rows: u64, seed: u64) {
    let mut command = pelton();
    command.args(["generate", "transactions", "--count"]).arg(rows.to_string());
    command.arg("--seed").arg(seed.to_string()).args(["--places", "--output"]).arg(path);
    assert!(command.status().unwrap().success(), "generates transactions");
}

/// What a run is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) shards: u64,
    pub(super) driver: &'static str,
    pub(super) flush: &'static str,
}

/// The drivers and the ways to flush that the machine allows.
#[derive(Debug)]
pub(super) struct Engines {
    drivers: Vec<&'static str>,
    flushes: Vec<&'static str>,
}

impl Engines {
    /// Asks by trying; says what is left out.
    pub(super) fn probe() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.csv");
        std::fs::write(&input, "ada,home\n").unwrap();
        let works = |driver: &&'static str, flush: &str| {
            let mut command = pelton();
            command.args(["run", "clicks", "--driver", driver, "--shards", "1", "--input"]);
            command.arg(&input).arg("--output").arg(folder.path().join("out.csv"));
            command.args(["--flush", flush, "--fresh", "--state"]).arg(folder.path().join("state"));
            let done = command.output().unwrap();
            if !done.status.success() {
                let told = String::from_utf8_lossy(&done.stderr);
                eprintln!("skipped: --driver {driver} --flush {flush}: {told}");
            }
            done.status.success()
        };
        let mut drivers = vec!["threads", "glommio"];
        drivers.retain(|driver| works(driver, "plain"));
        let mut flushes = vec!["plain", "auto", "uring"];
        flushes.retain(|flush| works(&"threads", flush));
        assert!(
            drivers.contains(&"threads") && flushes.contains(&"plain"),
            "these work everywhere"
        );
        Self { drivers, flushes }
    }

    pub(super) fn pick(&self, chance: &mut Chance) -> Options {
        Options {
            shards: 1 + chance.below(3),
            driver: chance.pick::<&str>(&self.drivers),
            flush: chance.pick::<&str>(&self.flushes),
        }
    }
}

fn run(case: &Case, places: &Places, shards: u64, driver: &str) -> Command {
    let mut command = pelton();
    command.args(["run", case.job.name(), "--input"]).arg(&places.input);
    command.arg("--output").arg(&places.results[0]);
    if case.job == Job::Fraud {
        command.arg("--features").arg(&places.results[1]);
        command.arg("--alerts").arg(&places.results[2]).arg("--rules").arg(&places.rules);
    }
    command.args(["--driver", driver, "--shards"]).arg(shards.to_string());
    command.arg("--report").arg(&places.report);
    command.stderr(File::options().append(true).create(true).open(&places.told).unwrap());
    command
}

/// A run without state, to its end.
pub(super) fn undisturbed(case: &Case, places: &Places) {
    let status = run(case, places, 2, "threads").status().unwrap();
    assert!(status.success(), "the undisturbed run");
}

/// A run that may be stopped.
#[derive(Debug)]
pub(super) struct Victim {
    child: Child,
    log: Log,
    started_ns: u64,
}

/// How a run was stopped.
#[derive(Debug)]
pub(super) struct Hit {
    /// What it told of its checkpoints.
    pub(super) lines: Vec<Line>,
    /// When it was started and when it was gone.
    pub(super) started_ns: u64,
    pub(super) stopped_ns: u64,
}

impl Hit {
    /// The phase that was hit. What comes after a failure is the echo of a disk that is gone.
    pub(super) fn phase(&self) -> &'static str {
        match self.lines.iter().take_while(|line| line.phase != "failed").last() {
            None => "starting",
            Some(line) => {
                INSIDE.into_iter().find(|&inside| inside == line.phase).unwrap_or("between")
            }
        }
    }
}

impl Victim {
    pub(super) fn start(
        case: &Case,
        places: &Places,
        options: Options,
        resumes: bool,
        clock: &Clock,
    ) -> Self {
        let mut command = run(case, places, options.shards, options.driver);
        command.arg("--state").arg(&places.state).args(["--flush", options.flush]);
        command.arg("--checkpoint-interval").arg(format!("{INTERVAL_MS}ms"));
        command.arg("--checkpoint-log").arg(&places.log).arg("--rate").arg(ROWS.to_string());
        if resumes {
            command.arg("--resume");
        }
        let started_ns = clock.now_ns();
        let log = Log::from_end(&places.log, started_ns);
        Self { child: command.spawn().unwrap(), log, started_ns }
    }

    /// Waits for the first manifest of the run.
    pub(super) fn await_published(&mut self, clock: &Clock) {
        while self.log.last("published").is_none() {
            let ended = self.look(clock);
            assert!(ended || self.is_in_time(clock), "the run hangs");
            if ended {
                return;
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Stops it at `moment`; `None` where it has come to its end before.
    pub(super) fn stop_at(
        mut self,
        moment: Moment,
        stop: &mut dyn Stop,
        clock: &Clock,
    ) -> Option<Hit> {
        loop {
            if self.look(clock) {
                self.check_success();
                return None;
            }
            let is_near = match moment {
                Moment::After { ns } if clock.now_ns() >= self.started_ns + ns => break,
                Moment::After { .. } => false,
                Moment::Inside { phase, .. } if self.is_at(phase, moment) => break,
                Moment::Inside { after, .. } => self.log.committed_count() >= after,
            };
            // Phases are short: when the epoch is near, nothing is slept through.
            if is_near {
                std::hint::spin_loop();
            } else {
                std::thread::park_timeout(LOOK_EVERY);
            }
            assert!(self.is_in_time(clock), "the run hangs");
        }
        stop.stop(&mut self.child);
        let stopped_ns = clock.now_ns();
        self.log.poll(stopped_ns);
        let lines = std::mem::take(&mut self.log.lines);
        Some(Hit { lines, started_ns: self.started_ns, stopped_ns })
    }

    /// Waits for its end, which is a good one.
    pub(super) fn see_through(mut self, clock: &Clock) {
        while !self.look(clock) {
            assert!(self.is_in_time(clock), "the run hangs");
            std::thread::park_timeout(LOOK_EVERY);
        }
        self.check_success();
    }

    /// Reads the log; answers whether the process has ended.
    fn look(&mut self, clock: &Clock) -> bool {
        self.log.poll(clock.now_ns());
        self.child.try_wait().unwrap().is_some()
    }

    fn is_at(&self, phase: &str, moment: Moment) -> bool {
        let Moment::Inside { after, .. } = moment else {
            return false;
        };
        self.log.committed_count() >= after && self.log.last_phase() == Some(phase)
    }

    fn is_in_time(&self, clock: &Clock) -> bool {
        clock.now_ns() < self.started_ns + HANG_NS
    }

    fn check_success(&mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the program says so itself: {status}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Whoever fails leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
