//! Names of stateful operators: who gives them, and what happens where nobody does.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use pelton::job::plan::{HeadPlan, Link, Plan, PlanFormat};
use pelton::{Changelog, Driver, Engine, Job, JobError, Stream};

#[pelton::record]
struct Click {
    user: String,
    page: String,
    count: u64,
}

#[pelton::record]
struct Total {
    user: String,
    count: u64,
}

fn clicks(job: &Job) -> Stream<Click> {
    let click =
        |user: &str, page: &str, count| Click { user: user.into(), page: page.into(), count };
    job.records(vec![click("ada", "home", 1), click("bob", "shop", 2), click("ada", "shop", 3)])
}

fn engine() -> Engine {
    Engine::new().shards(2).driver(Driver::Threads)
}

fn start_error(job: Job) -> JobError {
    engine().run(job).expect_err("the job is refused when it starts")
}

fn names(plan: &Plan) -> Vec<&str> {
    fn name(head: &HeadPlan) -> Option<&str> {
        match head {
            HeadPlan::Operator(operator) => Some(operator.name.as_str()),
            HeadPlan::Source(_) | HeadPlan::Passing(_) => None,
        }
    }
    plan.stages.iter().filter_map(|stage| name(&stage.head)).collect()
}

#[pelton::part]
fn busy(clicks: Stream<Click>, count_min: u64) -> Stream<Total> {
    let count = clicks.key_by(|c| c.user).sum(|c| c.count);
    count
        .changes()
        .filter(move |c| c.value >= count_min)
        .map(|c| TotalView { user: c.key, count: c.value })
}

#[pelton::part]
fn both(clicks: Stream<Click>) -> (Stream<Total>, Changelog<String, u64>) {
    let clicks = clicks.fork();
    let pages = clicks.clone().key_by(|c| c.page).count();
    let users = busy(clicks.filter(|c| c.count > 0), 1);
    (users, pages)
}

/// Not a part: it adds under the names that it gives itself.
fn plain<C: pelton::job::Chain<Out = Click>>(
    clicks: Stream<Click, C>,
) -> Changelog<String, u64, impl pelton::job::Chain<Out = pelton::record::Change<String, u64>>> {
    clicks.key_by(|c, key| key.of(c.page)).count().named("by_hand")
}

type Keep = Arc<dyn for<'a> Fn(ClickView<'a>) -> bool + Send + Sync>;

/// Takes a closure whose type only its place says.
fn plain_if<C: pelton::job::Chain<Out = Click>>(
    clicks: Stream<Click, C>,
    keep: Keep,
) -> Changelog<String, u64, impl pelton::job::Chain<Out = pelton::record::Change<String, u64>>> {
    clicks.filter(move |c| keep(c)).key_by(|c, key| key.of(c.page)).count().named("kept")
}

#[pelton::job]
fn kept(clicks: Stream<Click>) -> Changelog<String, u64> {
    plain_if(clicks, Arc::new(|c| c.page == "home"))
}

#[test]
fn a_closure_in_an_argument_keeps_the_type_of_its_place() {
    let job = Job::new();
    let rows = kept(clicks(&job)).at_end().collect();
    engine().run(job).expect("the job runs");
    let pages: Vec<String> = rows.take_rows().into_iter().map(|row| row.key).collect();
    assert_eq!(pages, ["home"]);
}

#[pelton::job]
fn alarms(
    clicks: Stream<Click>,
) -> (Stream<Total>, Stream<Total>, Changelog<String, u64>, Changelog<String, u64>) {
    let home = busy(clicks.filter(|c| c.page == "home"), 1);
    let all = both(clicks);
    let hand = plain(clicks);
    (home, all.0, all.1, hand)
}

#[test]
fn each_use_of_a_part_has_operators_of_its_own() {
    let job = Job::new();
    let (home, totals, pages, hand) = alarms(clicks(&job));
    let home = home.collect();
    let totals = totals.collect();
    let pages = pages.at_end().collect();
    let hand = hand.at_end().collect();
    let plan = job.plan();
    let mut found = names(&plan);
    found.sort_unstable();
    assert_eq!(found, ["all.pages", "all.users.count", "by_hand", "home.count"]);
    engine().run(job).unwrap();
    assert_eq!(
        (home.take().len(), totals.take().len(), pages.take().len(), hand.take().len()),
        (1, 3, 2, 2)
    );
}

#[test]
fn an_operator_without_a_name_is_refused_at_the_start() {
    let job = Job::new();
    let line = line!() + 1;
    clicks(&job).key_by(|c, key| key.of(c.user)).count().collect();
    let refused = start_error(job).to_string();
    let place = format!("the operator `aggregate` at {}:{line}:", file!());
    assert!(refused.contains(&place), "{refused}");
    assert!(refused.contains(".named(\"...\")"), "{refused}");
}

#[test]
fn two_operators_of_one_name_are_refused_at_the_start() {
    let job = Job::new();
    let line = line!() + 3;
    for name in ["a", "b", "a"] {
        let clicks = clicks(&job);
        clicks.key_by(|c, key| key.of(c.user)).count().named(name).collect();
    }
    let refused = start_error(job).to_string();
    let place = format!("`aggregate` at {}:{line}:", file!());
    assert!(refused.starts_with("two operators are called `a`: "), "{refused}");
    assert_eq!(refused.matches(&place).count(), 2, "{refused}");
}

#[pelton::job]
fn looped(clicks: Stream<Click>, count: u64) {
    for _ in 0..count {
        clicks.key_by(|c| c.user).count().collect();
    }
    clicks.key_by(|c| c.user).count().named("first").collect();
}

#[test]
fn a_name_that_a_loop_gives_twice_is_refused_at_the_start() {
    let job = Job::new();
    looped(clicks(&job), 1);
    engine().run(job).unwrap();
    let job = Job::new();
    looped(clicks(&job), 2);
    let refused = start_error(job);
    assert!(matches!(refused, JobError::DuplicateName { .. }), "{refused}");
}

#[test]
fn every_exchange_of_a_plan_leads_somewhere_and_every_form_draws_every_stage() {
    let job = Job::new();
    let (home, totals, pages, hand) = alarms(clicks(&job));
    home.collect();
    totals.collect();
    pages.collect();
    hand.collect();
    let plan = job.plan();
    let ends: usize = plan.stages.iter().map(|stage| sent(&stage.chain)).sum();
    assert_eq!((ends, plan.exchanges.len(), plan.outputs.len()), (4, 4, 4));
    for format in PlanFormat::ALL {
        let drawn = plan.draw(format);
        for name in names(&plan) {
            assert!(drawn.contains(name), "no {name} in {drawn}");
        }
    }
    assert!(is_well_formed(&plan.draw(PlanFormat::Svg)));
}

fn sent(chain: &[Link]) -> usize {
    let one = |link: &Link| match link {
        Link::Exchange(_) => 1,
        _ => link.branches().into_iter().map(sent).sum(),
    };
    chain.iter().map(one).sum()
}

/// Every element that is opened is closed, in order, and no text holds a bare `<` or `&`.
fn is_well_formed(xml: &str) -> bool {
    let mut open = Vec::new();
    for part in xml.split('<').skip(1) {
        let Some((tag, text)) = part.split_once('>') else { return false };
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or_default());
        }
        let entities = ["amp;", "lt;", "gt;", "quot;"];
        let is_entity = |rest: &str| entities.iter().any(|entity| rest.starts_with(entity));
        if !text.split('&').skip(1).all(is_entity) {
            return false;
        }
    }
    open.is_empty()
}

/// The macro names what it knows to keep state, so it must know all that does.
#[test]
fn the_macro_knows_every_method_that_keeps_state() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known = fs::read_to_string(engine.join("../codegen/src/job/stateful.in")).unwrap();
    let mut found = Vec::new();
    for file in ["keyed.rs", "stream.rs", "join.rs", "windowed.rs", "lookups.rs"] {
        let text = fs::read_to_string(engine.join("src/job").join(file)).unwrap();
        for function in text.split("    pub fn ").skip(1) {
            let body = function.split("\n    }\n").next().unwrap_or_default();
            let keeps = [
                ".operate(",
                ".operate_with_broadcast(",
                "self.aggregate",
                "self.windows::<",
                "add_operator(",
                "triggered::<",
                "self.regular(",
                "Looking::new(",
            ];
            if keeps.iter().any(|call| body.contains(call)) {
                let end = function.find(['<', '(']).unwrap();
                found.push(function[..end].to_owned());
            }
        }
    }
    assert!(found.len() > 8, "{found:?}");
    for method in found {
        assert!(known.contains(&format!("\"{method}\"")), "stateful.in has no {method}");
    }
}
