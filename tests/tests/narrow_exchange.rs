//! Only texts that are read cross an exchange, where the macro sees every use of the record.

use std::collections::BTreeMap;

use pelton::chain::operators::Sum;
use pelton::job::plan::{Link, SentPlan};
use pelton::{Changelog, Job, Stream};
use pelton_tests::runs::{self, settings};

#[pelton::record]
struct Number {
    number: u64,
}

#[pelton::record]
#[derive(Clone)]
struct Page {
    number: u64,
    title: String,
    /// Longer than a ring.
    text: String,
    language: Option<String>,
}

fn page(n: NumberView) -> Page {
    let number = n.number;
    let text = "page ".repeat(200_000);
    Page { number, title: format!("title {}", number % 7), text, language: Some("en".to_owned()) }
}

#[pelton::job]
fn titles(numbers: Stream<Number>) -> Changelog<String, u64> {
    numbers.map(|n| page(n)).key_by(|p| p.title).sum(|p| p.number)
}

#[pelton::job]
fn lengths(numbers: Stream<Number>) -> Changelog<String, u64> {
    numbers.map(|n| page(n)).key_by(|p| p.title).sum(|p| p.text.len() as u64)
}

fn length(p: PageView<'_>) -> u64 {
    p.language.map_or(0, |language| language.len() as u64)
}

#[pelton::job]
fn whole(numbers: Stream<Number>) -> Changelog<String, u64> {
    let pages = numbers.map(|n| page(n));
    pages.key_by(|p| p.title).aggregate::<Sum<u64>, _>(|p| p.number + length(p))
}

/// Records that pass without a change are copied as they lie, unless a text stays behind.
#[pelton::job]
fn kept(pages: Stream<Page>) -> (Changelog<String, u64>, Stream<Page>) {
    let first = pages.clone().key_by(|p| p.number).dedup();
    let counts = pages.key_by(|p| p.title).count();
    (counts, first)
}

fn numbers(job: &Job, count: u64) -> Stream<Number> {
    job.records((0..count).map(|number| Number { number }).collect::<Vec<_>>())
}

/// What the job's exchanges send.
fn sent(job: &Job) -> Vec<SentPlan> {
    fn exchanges(links: &[Link], sent: &mut Vec<SentPlan>) {
        for link in links {
            if let Link::Exchange(plan) = link {
                sent.push(plan.clone());
            }
            link.branches().into_iter().for_each(|branch| exchanges(branch, sent));
        }
    }
    let mut sent = Vec::new();
    job.plan().stages.iter().for_each(|stage| exchanges(&stage.chain, &mut sent));
    sent
}

#[test]
fn a_text_that_nobody_reads_stays_behind() {
    for run in 0..12 {
        let job = Job::new();
        let sums = titles(numbers(&job, 50)).at_end().collect();
        let plan = &sent(&job)[0];
        assert_eq!(plan.fields, ["number", "title"]);
        assert_eq!(plan.whole_because, None);
        runs::run(&settings(run), job).unwrap();
        let found: BTreeMap<_, _> =
            sums.take_rows().into_iter().map(|row| (row.key, row.value)).collect();
        let mut expected = BTreeMap::new();
        for number in 0..50 {
            *expected.entry(format!("title {}", number % 7)).or_insert(0) += number;
        }
        assert_eq!(found, expected, "run {run}");
    }
}

#[test]
fn a_text_that_is_read_crosses_and_may_be_too_long_for_a_ring() {
    let job = Job::new();
    let _sums = lengths(numbers(&job, 3)).collect();
    assert_eq!(sent(&job)[0].fields, ["title", "text"]);
    let error = runs::run(&settings(0), job).unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
}

#[test]
fn a_record_that_is_used_as_a_whole_crosses_whole_and_the_plan_says_why() {
    let job = Job::new();
    let _sums = whole(numbers(&job, 3)).collect();
    let plan = &sent(&job)[0];
    assert_eq!(plan.fields, ["number", "title", "text", "language"]);
    let why = plan.whole_because.as_deref();
    assert_eq!(why, Some("the closure of `aggregate` uses `p` as a whole"));
}

#[test]
fn a_branch_that_keeps_records_has_all_their_texts() {
    for run in 0..12 {
        let job = Job::new();
        let pages: Vec<Page> = (0..200)
            .map(|number| Page {
                number,
                title: format!("title {}", number % 7),
                text: "x".repeat(usize::try_from(number).unwrap()),
                language: (number % 2 == 0).then(|| "en".to_owned()),
            })
            .collect();
        let (counts, first) = kept(job.records(pages.clone()));
        let (counts, first) = (counts.at_end().collect(), first.collect());
        let reasons: Vec<_> = sent(&job).into_iter().map(|plan| plan.whole_because).collect();
        assert!(reasons.contains(&None), "{reasons:?}");
        assert!(reasons.contains(&Some("`dedup` may read all of it".to_owned())), "{reasons:?}");
        runs::run(&settings(run), job).unwrap();
        let mut first = first.take_rows();
        first.sort_by_key(|page| page.number);
        assert_eq!(first, pages, "run {run}");
        let counted: u64 = counts.take_rows().iter().map(|row| row.value).sum();
        assert_eq!((counted, counts.take_rows().len()), (200, 0));
    }
}
