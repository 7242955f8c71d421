use pelton_codegen as pelton;

struct Stream<T>(T);

#[pelton::part]
async fn later(clicks: Stream<u8>) -> Stream<u8> {
    clicks
}

#[pelton::part]
struct NotAFunction;

#[pelton::part(name = "clicks")]
fn arguments(clicks: Stream<u8>) -> Stream<u8> {
    clicks
}

#[pelton::part]
fn twice(clicks: Stream<u8>) -> (Stream<u8>, Stream<u8>) {
    (clicks.filter(|c| c.new), clicks.filter(|c| c.old))
}

fn main() {}
