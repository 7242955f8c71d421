use pelton_codegen as pelton;

#[pelton::record]
enum Event {
    Click,
    View,
}

#[pelton::record]
struct Pair(String, u64);

#[pelton::record]
struct Unit;

#[pelton::record]
struct Empty {}

#[pelton::record]
struct Generic<T> {
    value: T,
}

#[pelton::record]
struct Borrowed<'a> {
    user: &'a str,
}

#[pelton::record]
fn function() {}

#[pelton::record(key = user)]
struct Click {
    user: String,
}

fn main() {
    // The struct is still there, so its other uses are not reported.
    let _ = Click { user: String::new() };
}
