//! How streams part and meet: splits and side outputs, by what comes out of them.

use pelton::{Driver, Engine, Job, Stream};

#[pelton::record]
struct Number {
    number: u64,
}

#[pelton::record]
struct Text {
    number: u64,
    text: String,
}

fn numbers(count: u64) -> Vec<Number> {
    (0..count).map(|number| Number { number }).collect()
}

#[pelton::job]
fn parted(numbers: Stream<Number>) -> (Stream<Text>, Stream<Text>) {
    let copies = numbers.flat_map(|n| (0..n.number % 3).map(move |_| n));
    let (even, odd) = copies.split(|n| n.number % 2 == 0);
    let even = even.map(|n| Text { number: n.number, text: format!("even {}", n.number) });
    let odd = odd.map(|n| Text { number: n.number, text: format!("odd {}", n.number) });
    (even, odd)
}

#[test]
fn a_split_gives_each_record_to_one_of_two_streams() {
    for shards in [1, 3] {
        for seed in 0..4 {
            let job = Job::new();
            let (even, odd) = parted(job.records(numbers(2_000)));
            let (even, odd) = (even.collect(), odd.collect());
            Engine::new().shards(shards).driver(Driver::Simulator { seed }).run(job).unwrap();
            for (rows, rest, name) in [(even, 0, "even"), (odd, 1, "odd")] {
                let mut rows: Vec<_> = rows.take_rows().into_iter().map(|row| row.text).collect();
                let expected = (0..2_000_u64).filter(|number| number % 2 == rest);
                let mut expected: Vec<_> = expected
                    .flat_map(|number| (0..number % 3).map(move |_| format!("{name} {number}")))
                    .collect();
                rows.sort_unstable();
                expected.sort_unstable();
                assert_eq!(rows, expected);
            }
        }
    }
}
