//! Whole jobs, small enough to check by eye.

use pelton::job::Splits;
use pelton::record::RowKind;
use pelton::source::VecSplit;
use pelton::{Changelog, Driver, Engine, Job, Stream};

#[pelton::record]
struct Click {
    user: String,
    page: String,
}

#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

#[pelton::record]
struct Total {
    user: String,
    clicks: u64,
}

#[pelton::job]
fn totals(clicks: Stream<Click>) -> Stream<Total> {
    clicks
        .key_by(|c| c.user)
        .count()
        .changes()
        .map(|change| TotalView { user: change.key, clicks: change.value })
}

fn some_clicks() -> Vec<Click> {
    let click = |user: &str, page: &str| Click { user: user.to_owned(), page: page.to_owned() };
    vec![
        click("ada", "home"),
        click("bob", "home"),
        click("ada", "about_us"),
        click("ada", "shop"),
        click("a user with a long name", "shop"),
    ]
}

fn drivers() -> [Driver; 3] {
    [Driver::Threads, Driver::Auto, Driver::Simulator { seed: 7 }]
}

#[test]
fn clicks_are_counted_under_every_driver() {
    for driver in drivers() {
        for shards in [1, 2, 3, 8] {
            let job = Job::new();
            let clicks = job.records(some_clicks());
            let counts = clicks_per_user(clicks).collect();
            Engine::new().shards(shards).driver(driver).run(job).unwrap();
            let mut rows: Vec<(String, u64, RowKind)> = counts
                .take_rows()
                .into_iter()
                .map(|change| (change.key, change.value, change.kind))
                .collect();
            rows.sort();
            let row = |user: &str, count, kind| (user.to_owned(), count, kind);
            assert_eq!(
                rows,
                [
                    row("a user with a long name", 1, RowKind::Insert),
                    row("ada", 1, RowKind::Insert),
                    row("ada", 2, RowKind::UpdateAfter),
                    row("bob", 1, RowKind::Insert),
                ]
            );
        }
    }
}

#[test]
fn a_changelog_can_give_its_last_rows_only() {
    let job = Job::new();
    let clicks = job.source(
        Splits::new(vec![VecSplit::new("a", some_clicks()), VecSplit::new("b", some_clicks())]),
        Default::default(),
    );
    let counts = clicks_per_user(clicks).at_end().collect();
    Engine::new().shards(3).driver(Driver::Threads).run(job).unwrap();
    let mut rows: Vec<(String, u64)> =
        counts.take_rows().into_iter().map(|change| (change.key, change.value)).collect();
    rows.sort();
    assert_eq!(
        rows,
        [("a user with a long name".to_owned(), 2), ("ada".to_owned(), 4), ("bob".to_owned(), 2)]
    );
}

#[test]
fn changes_map_to_records() {
    let job = Job::new();
    let rows = totals(job.records(some_clicks())).collect();
    Engine::new().shards(2).driver(Driver::Threads).run(job).unwrap();
    let highest = rows.take_rows().into_iter().map(|total| total.clicks).max();
    assert_eq!(highest, Some(3));
}

#[test]
fn pushed_records_come_out_before_the_job_ends() {
    let job = Job::new();
    let (clicks, input) = job.push::<Click>(16);
    let counts = clicks_per_user(clicks).collect();
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    for click in some_clicks() {
        input.push(click).unwrap();
    }
    while running.snapshot().records_out < 4 {
        std::thread::yield_now();
    }
    assert_eq!(counts.take().len(), 4);
    let report = running.stop().unwrap();
    assert_eq!(report.counts.total.accepted, 5);
}
