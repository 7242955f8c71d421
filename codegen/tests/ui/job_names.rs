use pelton_codegen as pelton;

struct Stream<T>(T);

#[pelton::job]
fn literals(clicks: Stream<u8>) -> Stream<u8> {
    let pages = clicks.key_by(|c| c.page).count().named("counts");
    let users = clicks.key_by(|c| c.user).count().named("counts");
    pages.join_by_position(users).named("both")
}

#[pelton::job]
fn bindings(clicks: Stream<u8>) -> Stream<u8> {
    let counts = clicks.key_by(|c| c.page).count();
    let counts = counts.map(|c| c).key_by(|c| c.user).sum(|c| c.count);
    counts.map(|c| c).key_by(|c| c.user).count().map(|c| c).key_by(|c| c.user).count().map(|c| c)
}

#[pelton::job]
fn literal_and_binding(clicks: Stream<u8>) -> Stream<u8> {
    let totals = clicks.key_by(|c| c.page).count();
    totals.map(|c| c).key_by(|c| c.user).count().named("totals")
}

#[pelton::job]
fn calls(clicks: Stream<u8>) -> Stream<u8> {
    let busy = part(clicks);
    let busy = part(busy);
    busy
}

fn main() {}
