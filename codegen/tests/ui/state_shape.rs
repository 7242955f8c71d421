use pelton_codegen as pelton;

#[pelton::state]
enum Kind {
    Card,
    Cash,
}

#[pelton::state]
struct Pair(u64, u64);

#[pelton::state]
struct Empty {}

#[pelton::state]
struct Generic<T> {
    value: T,
}

#[pelton::state]
fn function() {}

#[pelton::state(ttl = 3)]
struct Profile {
    count: u64,
}

#[pelton::state]
struct Fields {
    name: String,
    seen: Vec<u64>,
    last: Option<u64>,
    count: usize,
    text: &'static str,
    #[cfg(test)]
    checked: u64,
}

fn main() {
    // The struct is still there, so its other uses are not reported.
    let _ = Profile { count: 1 };
}
