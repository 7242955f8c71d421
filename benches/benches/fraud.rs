//! The fraud job against its yardstick, on the real data where it is at hand:
//! `cargo bench -p pelton-benches --bench fraud`.
//!
//! `PELTON_FRAUD_DATA` names another file of the same form (`.zst`); without either, it generates
//! transactions.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Parser;
use pelton::Engine;
use pelton::clock::Clock;
use pelton::command::{CommandError, output, usage};
use pelton_benches::fraud::{Outcome, parse_rows, run_reader, run_rows};
use pelton_cli::cli::{Command, Pelton, Run};
use pelton_cli::fraud::generator::write_csv;
use pelton_cli::fraud::outputs::Total;
use pelton_cli::fraud::plan;
use pelton_cli::fraud::rules::Rules;

/// Each is measured so often; the best and the median are shown. Beside the wall time stands the
/// processor time, which other work on the machine disturbs less.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("pelton-bench-fraud-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let rules = Rules::load(None)?;
    let data = data(folder)?;
    eprintln!("data: {}", data.display());
    let (features, decisions) = (folder.join("features.csv"), folder.join("decisions.ndjson"));
    let outcome = rounds("loop, from the file to the files", || {
        let input = zstd::stream::read::Decoder::new(File::open(&data)?)?;
        run_reader(input, &rules, &mut File::create(&features)?, &mut File::create(&decisions)?)
    })?;
    for shards in ["1", "2"] {
        for driver in ["threads", "glommio"] {
            let what = format!("pelton, the same, {shards} shards, {driver}");
            rounds(&what, || engine(&data, folder, shards, driver))?;
        }
    }
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::new(File::open(&data)?)?.read_to_end(&mut bytes)?;
    rounds("loop, from memory to the files", || {
        run_reader(
            &bytes[..],
            &rules,
            &mut File::create(&features)?,
            &mut File::create(&decisions)?,
        )
    })?;
    rounds("loop, from memory to nowhere", || {
        run_reader(&bytes[..], &rules, &mut io::sink(), &mut io::sink())
    })?;
    let rows = parse_rows(&bytes);
    rounds("loop, parsed rows, windows and rules alone", || {
        let (outcome, sum) = run_rows(&rows, &rules);
        std::hint::black_box(sum);
        Ok(outcome)
    })?;
    if let Some(quality) = outcome.quality.quality() {
        eprintln!("{}", serde_json::to_string_pretty(&quality)?);
    }
    Ok(())
}

/// The job as `pelton run fraud` runs it, everything included.
fn engine(data: &Path, folder: &Path, shards: &str, driver: &str) -> io::Result<Outcome> {
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let data = data.to_string_lossy();
    let (output, features) = (path("pelton.ndjson"), path("pelton.csv"));
    let line = [
        "pelton",
        "run",
        "fraud",
        "--input",
        &data,
        "--output",
        &output,
        "--features",
        &features,
        "--shards",
        shards,
        "--driver",
        driver,
    ];
    let Some(Command::Run(Run::Fraud(args))) = Pelton::parse_from(line).command else {
        unreachable!("the line above is the fraud job's");
    };
    let (job, tally) = plan(&args).map_err(io::Error::other)?;
    let report = Engine::with(args.run.engine.settings()).run(job).map_err(io::Error::other)?;
    let accepted = report.counts.total.accepted;
    Ok(Outcome { accepted, quality: tally.total(), ..Outcome::default() })
}

/// The real data, the named data, or generated data.
fn data(folder: &Path) -> Result<PathBuf, CommandError> {
    if let Some(named) = std::env::var_os("PELTON_FRAUD_DATA") {
        return Ok(named.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let real = root.join("transactions.csv.zst");
    if real.exists() {
        return Ok(real);
    }
    let path = folder.join("transactions.csv.zst");
    let mut out = output::create(&path)?;
    write_csv(1, 872_795, &mut out)
        .and_then(|()| out.finish())
        .map_err(|source| CommandError::write(&path, source))?;
    Ok(path)
}

fn rounds(what: &str, mut run: impl FnMut() -> io::Result<Outcome>) -> io::Result<Outcome> {
    let clock = Clock::machine();
    let (mut wall_s, mut cpu_s, mut outcome) = (Vec::new(), Vec::new(), Outcome::default());
    for _ in 0..ROUNDS {
        let (start_ns, start_cpu_s) = (clock.now_ns(), usage::cpu_s());
        outcome = run()?;
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        wall_s.push((clock.now_ns() - start_ns) as f64 / 1e9);
        cpu_s.push(usage::cpu_s() - start_cpu_s);
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let accepted = outcome.accepted as f64;
    let rates = |mut seconds: Vec<f64>| {
        seconds.sort_unstable_by(f64::total_cmp);
        [seconds[0], seconds[ROUNDS / 2]].map(|seconds| accepted / seconds / 1e6)
    };
    let ([best, median], [cpu_best, cpu_median]) = (rates(wall_s), rates(cpu_s));
    eprintln!(
        "{what:<43} M tx/s: best {best:5.2}, median {median:5.2}; \
         per cpu second {cpu_best:5.2}, {cpu_median:5.2}"
    );
    Ok(outcome)
}
