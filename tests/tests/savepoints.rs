//! Savepoints survive a changed job: what is carried over, what is refused and how, and a kept
//! savepoint of the first version, which every later version must open.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pelton::job::Checkpoints;
use pelton::sink::{Both, CollectSink, DirectorySink, FileSink, format_fn, write_u64};
use pelton::source::PushInput;
use pelton::{Driver, Engine, Job, JobError, RunningJob};

/// The job as it was when the kept savepoint was made. It never changes.
mod v1 {
    use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
    use pelton::record::EventTime;

    #[pelton::record]
    pub(crate) struct Order {
        pub(crate) id: u64,
        #[event_time]
        pub(crate) time: EventTime,
        pub(crate) user: u32,
        pub(crate) amount: i32,
        pub(crate) note: String,
    }

    #[pelton::record]
    pub(crate) struct Spent {
        pub(crate) id: u64,
        pub(crate) user: u32,
        pub(crate) count: u64,
        pub(crate) sum: i64,
    }

    #[pelton::state]
    pub(crate) struct Spending {
        pub(crate) count: u32,
        pub(crate) sum: i64,
        pub(crate) last: i32,
    }

    pub(crate) const SPENDING: ValueState<Spending> = ValueState::new(0);

    #[derive(Clone)]
    pub(crate) struct Spend;

    impl ProcessFunction for Spend {
        type Key = u32;
        type In = Order;
        type Out = Spent;

        fn states(&self, states: &mut States) {
            states.value("spending", SPENDING);
        }

        fn on_record(
            &mut self,
            context: &mut ProcessContext<'_, Spent>,
            user: u32,
            order: OrderView<'_>,
        ) {
            let mut spending = context.get(SPENDING).unwrap_or_default();
            spending.count += 1;
            spending.sum += i64::from(order.amount);
            spending.last = order.amount;
            context.set(SPENDING, spending);
            let (count, sum) = (u64::from(spending.count), spending.sum);
            context.emit(SpentView { id: order.id, user, count, sum });
        }
    }

    pub(crate) fn order(id: u64) -> Order {
        let number = i32::try_from(id).unwrap();
        Order {
            id,
            time: EventTime(i64::from(number) * 10),
            user: u32::try_from(id % 7).unwrap(),
            amount: number * 3 - 20,
            note: format!("a note of order {id} that is longer than a few bytes"),
        }
    }
}

/// The job as it is now: fields added, removed, reordered and widened; operators added and dropped.
mod v2 {
    use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
    use pelton::record::EventTime;

    #[pelton::record]
    pub(crate) struct Order {
        pub(crate) amount: i64,
        pub(crate) channel: Option<String>,
        pub(crate) user: u32,
        #[event_time]
        pub(crate) time: EventTime,
        pub(crate) id: u64,
    }

    #[pelton::state]
    pub(crate) struct Spending {
        pub(crate) last: i64,
        pub(crate) refunds: u16,
        pub(crate) count: u64,
        pub(crate) sum: i64,
    }

    pub(crate) const SPENDING: ValueState<Spending> = ValueState::new(5);

    #[derive(Clone)]
    pub(crate) struct Spend;

    impl ProcessFunction for Spend {
        type Key = u32;
        type In = Order;
        type Out = super::v1::Spent;

        fn states(&self, states: &mut States) {
            states.value("spending", SPENDING);
        }

        fn on_record(
            &mut self,
            context: &mut ProcessContext<'_, super::v1::Spent>,
            user: u32,
            order: OrderView<'_>,
        ) {
            let mut spending = context.get(SPENDING).unwrap_or_default();
            assert_eq!(spending.refunds, 0, "an added field begins with zero");
            assert_eq!(order.channel.is_none(), order.id < 30, "an added field is absent");
            spending.count += 1;
            spending.sum += order.amount;
            context.set(SPENDING, spending);
            let (count, sum) = (spending.count, spending.sum);
            context.emit(super::v1::SpentView { id: order.id, user, count, sum });
        }
    }

    pub(crate) fn order(id: u64) -> Order {
        let super::v1::Order { time, user, amount, .. } = super::v1::order(id);
        Order { id, time, user, amount: amount.into(), channel: Some("web".to_owned()) }
    }
}

type Rows = CollectSink<v1::Spent>;

/// Orders that wait for time in `waiting`, and go at once through `spend`; and counts.
fn first_job() -> (Job, PushInput<v1::Order>, Rows, Rows) {
    let job = Job::new();
    let (orders, input) = job.push::<v1::Order>(1_000);
    let keyed = || orders.clone().key_by(|order, key| key.of(order.user));
    let spent = keyed().process(v1::Spend).named("spend").collect();
    let ordered = keyed().in_time_order(|order| order.id).process(v1::Spend).named("ordered");
    let ordered = ordered.collect();
    let _ = keyed().count().named("dropped").collect();
    (job, input, spent, ordered)
}

fn second_job() -> (Job, PushInput<v2::Order>, Rows, Rows) {
    let job = Job::new();
    let (orders, input) = job.push::<v2::Order>(1_000);
    let keyed = || orders.clone().key_by(|order, key| key.of(order.user));
    let _ = keyed().count().named("new").collect();
    let spent = keyed().process(v2::Spend).named("spend").collect();
    let ordered = keyed().in_time_order(|order| order.id).process(v2::Spend).named("ordered");
    (job, input, spent, ordered.collect())
}

fn settings(state: &Path) -> Checkpoints {
    let mut checkpoints = Checkpoints::new(state).job("orders");
    checkpoints.segment_bytes = 64 << 10;
    checkpoints.interval = Duration::from_secs(3_600);
    checkpoints
}

fn start(job: Job, checkpoints: Checkpoints, shards: u16) -> Result<RunningJob, JobError> {
    Engine::new().shards(shards).driver(Driver::Threads).checkpoints(checkpoints).start(job)
}

/// The first thirty orders go through the first version, and a savepoint is made.
fn make_savepoint(folder: &Path, savepoint: &Path) {
    let (job, input, ..) = first_job();
    let running = start(job, settings(&folder.join("state")), 2).unwrap();
    (0..30).for_each(|id| input.push(v1::order(id)).unwrap());
    while running.snapshot().total.accepted < 30 {
        std::thread::park_timeout(Duration::from_micros(100));
    }
    assert!(running.savepoint(savepoint).unwrap() > 0);
    running.abort();
    let _ = running.join();
}

/// The other seventy go through the second version; what it says must be what one job over all
/// hundred orders would have said of them.
fn goes_on_with(savepoint: &Path, shards: u16) {
    let folder = tempfile::tempdir().unwrap();
    let (job, input, spent, ordered) = second_job();
    let mut checkpoints = settings(&folder.path().join("state")).savepoint(savepoint);
    checkpoints.drop_state = true;
    let running = start(job, checkpoints, shards).unwrap();
    assert_eq!(input.resumed_at(), 30);
    (30..100).for_each(|id| input.push(v2::order(id)).unwrap());
    running.stop().unwrap();

    let (job, input, all_spent, all_ordered) = first_job();
    let running = Engine::new().shards(1).driver(Driver::Threads).start(job).unwrap();
    (0..100).for_each(|id| input.push(v1::order(id)).unwrap());
    running.stop().unwrap();
    let told = |rows: &Rows, from: u64| {
        let rows = rows.take_rows().into_iter().filter(|row| row.id >= from);
        let mut told: Vec<_> = rows.map(|row| (row.id, row.user, row.count, row.sum)).collect();
        told.sort_unstable();
        told
    };
    assert_eq!(told(&spent, 0), told(&all_spent, 30));
    // These waited for time: all of them come out at the end, also those that were read before.
    assert_eq!(told(&ordered, 0), told(&all_ordered, 0));
}

#[test]
fn a_changed_job_goes_on_with_a_savepoint_on_any_number_of_shards() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = folder.path().join("savepoint");
    make_savepoint(folder.path(), &savepoint);
    for shards in [1, 2, 3] {
        goes_on_with(&savepoint, shards);
    }
}

#[test]
fn a_job_from_a_savepoint_that_fails_before_its_first_epoch_still_has_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = folder.path().join("savepoint");
    make_savepoint(folder.path(), &savepoint);
    let state = folder.path().join("new");
    // Its input stays open: a job whose input has ended makes its last epoch at once.
    let (job, open, ..) = first_job();
    let running = start(job, settings(&state).savepoint(&savepoint), 2).unwrap();
    running.abort();
    let _ = running.join();
    drop(open);
    // The savepoint is not named again, as a restart policy does not, and it is gone.
    fs::remove_dir_all(&savepoint).unwrap();
    let (job, input, spent, _) = first_job();
    let running = start(job, settings(&state), 3).unwrap();
    assert_eq!(input.resumed_at(), 30);
    input.push(v1::order(30)).unwrap();
    running.stop().unwrap();
    let counts: Vec<u64> = spent.take_rows().iter().map(|row| row.count).collect();
    assert_eq!(counts, [5], "user 2 had orders 2, 9, 16 and 23 before");
}

#[test]
fn segments_that_a_first_start_has_left_do_not_keep_a_savepoint_from_a_second_one() {
    let folder = tempfile::tempdir().unwrap();
    let savepoint = folder.path().join("savepoint");
    make_savepoint(folder.path(), &savepoint);
    let state = folder.path().join("new");
    fs::create_dir(&state).unwrap();
    fs::write(state.join("r2-l1-s1.seg"), [0; 4_096]).unwrap();
    let (job, input, ..) = first_job();
    let running = start(job, settings(&state).savepoint(&savepoint), 1).unwrap();
    assert_eq!(input.resumed_at(), 30);
    running.stop().unwrap();
}

/// Orders to `file`, and to both of `first` and a directory beside `file`.
fn written_job(file: &Path, first: &Path) -> (Job, PushInput<v1::Order>) {
    let ids = || format_fn::<v1::Order, _>(|_, order, out: &mut Vec<u8>| write_u64(out, order.id));
    let job = Job::new();
    let (orders, input) = job.push::<v1::Order>(1_000);
    orders.clone().filter(|_| true).to(FileSink::new(file, ids()));
    let parts = DirectorySink::new(file.with_extension("parts"), ids());
    orders.filter(|_| true).to(Both(FileSink::new(first, ids()), parts));
    (job, input)
}

/// The orders that stand in the file, and in the directory.
fn written(file: &Path) -> [Vec<u64>; 2] {
    let ids = |text: String| text.lines().map(|id| id.parse().unwrap()).collect::<Vec<u64>>();
    let parts = fs::read_dir(file.with_extension("parts")).unwrap();
    let parts = parts.map(|part| ids(fs::read_to_string(part.unwrap().path()).unwrap()));
    let mut parts: Vec<u64> = parts.flatten().collect();
    parts.sort_unstable();
    [ids(fs::read_to_string(file).unwrap()), parts]
}

#[test]
fn outputs_of_a_job_from_a_savepoint_go_on_in_their_place_and_begin_anew_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let push = |input: &PushInput<v1::Order>, ids: std::ops::Range<u64>| {
        ids.for_each(|id| input.push(v1::order(id)).unwrap());
    };
    let all = |ids: std::ops::Range<u64>| [ids.clone().collect::<Vec<u64>>(), ids.collect()];
    let accepted = |running: &RunningJob, count| {
        while running.snapshot().total.accepted < count {
            std::thread::park_timeout(Duration::from_micros(100));
        }
    };
    let first_rows =
        || written(&at("rows"))[0].len() + fs::read_to_string(at("first")).unwrap().len();
    let (job, input) = written_job(&at("rows"), &at("first"));
    let running = start(job, settings(&at("state")), 1).unwrap();
    push(&input, 0..30);
    accepted(&running, 30);
    running.savepoint(at("savepoint")).unwrap();
    push(&input, 30..50);
    running.stop().unwrap();
    assert_eq!(written(&at("rows")), all(0..50));

    // What can't begin is refused, and so is a file that may be the first job's by another name;
    // nothing is made, and the same savepoint may be named again.
    let other = settings(&at("other"));
    let from_savepoint = other.clone().savepoint(at("savepoint"));
    let renamed = folder.path().join(".").join("rows");
    for (file, words) in
        [(at("no/rows"), "there is no directory"), (renamed, "already holds 140 bytes")]
    {
        let (job, _input) = written_job(&file, &at("first"));
        let error = start(job, from_savepoint.clone(), 1).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!at("other").exists());
    }

    // Another job from that savepoint, one of whose two outputs is where it was, fails before its
    // first epoch, and goes on; and again, its first epoch being broken.
    let before = first_rows();
    let (job, input) = written_job(&at("other-rows"), &at("first"));
    let running = start(job, from_savepoint, 1).unwrap();
    push(&input, 30..33);
    running.abort();
    let _ = running.join();
    let (job, input) = written_job(&at("other-rows"), &at("first"));
    let running = start(job, other.clone(), 1).unwrap();
    assert_eq!(input.resumed_at(), 30);
    push(&input, 30..36);
    accepted(&running, 36);
    let epoch = running.suspend().unwrap();
    fs::write(at("other").join(format!("manifest-{epoch:020}")), "nothing").unwrap();
    let (job, input) = written_job(&at("other-rows"), &at("first"));
    let running = start(job, other, 1).unwrap();
    assert_eq!(input.resumed_at(), 30);
    push(&input, 30..50);
    running.stop().unwrap();
    assert_eq!(written(&at("other-rows")), all(30..50));
    assert_eq!(first_rows(), before, "the first job's rows are where they were");

    // In the place of the first job's outputs, what came after the savepoint is taken back.
    let (job, input) = written_job(&at("rows"), &at("first"));
    let running = start(job, settings(&at("again")).savepoint(at("savepoint")), 1).unwrap();
    push(&input, 30..35);
    running.stop().unwrap();
    assert_eq!(written(&at("rows")), all(0..35));
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1/orders")
}

/// The kept one was made once, with `PELTON_MAKE_FIXTURES=1`, and is never made again.
#[test]
fn the_kept_savepoint_of_version_1_opens() {
    if std::env::var_os("PELTON_MAKE_FIXTURES").is_some() && !fixture().exists() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(fixture().parent().unwrap()).unwrap();
        make_savepoint(folder.path(), &fixture());
    }
    goes_on_with(&fixture(), 2);
}

#[test]
fn a_savepoint_of_another_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let entry = entry.unwrap();
        let mut bytes = fs::read(entry.path()).unwrap();
        if bytes.starts_with(b"PELTMAN1") {
            bytes[8] = 2;
            let header_hash = pelton::record::KeyHash::of(&bytes[..56]).0;
            bytes[56..64].copy_from_slice(&header_hash.to_le_bytes());
        }
        fs::write(copy.join(entry.file_name()), bytes).unwrap();
    }
    let (job, ..) = second_job();
    let error = start(job, settings(&folder.path().join("state")).savepoint(&copy), 1).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("version") && error.contains('2') && error.contains('1'), "{error}");
}

/// What keeps `job` from going on with the kept savepoint.
fn refusal(job: Job, drop_state: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut checkpoints = settings(&state).savepoint(fixture());
    checkpoints.drop_state = drop_state;
    let error = start(job, checkpoints, 2).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(!state.exists(), "a refused start has made a directory");
    error
}

#[test]
fn what_can_not_be_carried_over_is_refused_by_operator_and_field() {
    let (job, ..) = second_job();
    let error = refusal(job, false);
    assert!(error.contains("`dropped`") && error.contains("--drop-state"), "{error}");

    let job = Job::new();
    let (orders, _input) = job.push::<v2::Order>(10);
    let _ = orders
        .key_by(|order, key| key.of(order.id))
        .process(narrowed::ById)
        .named("spend")
        .collect();
    let error = refusal(job, true);
    assert!(error.contains("`spend`") && error.contains("key") && error.contains("u32"), "{error}");

    let job = Job::new();
    let (orders, _input) = job.push::<v2::Order>(10);
    let _ = orders
        .key_by(|order, key| key.of(order.user))
        .process(narrowed::Spend)
        .named("spend")
        .collect();
    let error = refusal(job, true);
    assert!(error.contains("`spend`") && error.contains("sum") && error.contains("i64"), "{error}");

    let job = Job::new();
    let (orders, _input) = job.push::<v2::Order>(10);
    let _ = orders.key_by(|order, key| key.of(order.user)).count().named("spend").collect();
    let error = refusal(job, true);
    assert!(error.contains("`spend`") && error.contains("process"), "{error}");

    let (job, ..) = second_job();
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = settings(&folder.path().join("state")).savepoint(fixture()).job("others");
    let error = start(job, checkpoints, 1).unwrap_err().to_string();
    assert!(error.contains("`orders`") && error.contains("`others`"), "{error}");
}

/// Versions that can't go on.
mod narrowed {
    use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};

    use super::v1::Spent;
    use super::v2::{Order, OrderView};

    #[pelton::state]
    pub(crate) struct Spending {
        sum: i32,
    }

    const SPENDING: ValueState<Spending> = ValueState::new(0);

    #[derive(Clone)]
    pub(crate) struct Spend;

    impl ProcessFunction for Spend {
        type Key = u32;
        type In = Order;
        type Out = Spent;
        fn states(&self, states: &mut States) {
            states.value("spending", SPENDING);
        }
        fn on_record(&mut self, _: &mut ProcessContext<'_, Spent>, _: u32, _: OrderView<'_>) {}
    }

    #[derive(Clone)]
    pub(crate) struct ById;

    impl ProcessFunction for ById {
        type Key = u64;
        type In = Order;
        type Out = Spent;
        fn states(&self, states: &mut States) {
            states.value("spending", SPENDING);
        }
        fn on_record(&mut self, _: &mut ProcessContext<'_, Spent>, _: u64, _: OrderView<'_>) {}
    }
}
