use pelton_codegen as pelton;

struct Stream<T>(T);

#[pelton::job]
async fn later(clicks: Stream<u8>) -> Stream<u8> {
    clicks
}

struct Settings;

impl Settings {
    #[pelton::job]
    fn method(&self, clicks: Stream<u8>) -> Stream<u8> {
        clicks
    }
}

#[pelton::job]
unsafe fn reckless(clicks: Stream<u8>) -> Stream<u8> {
    clicks
}

#[pelton::job]
struct NotAFunction;

#[pelton::job(name = "clicks")]
fn arguments(clicks: Stream<u8>) -> Stream<u8> {
    clicks
}

fn main() {
    // The functions are still there, so their callers are not reported.
    let _: Stream<u8> = arguments(Stream(1));
}
