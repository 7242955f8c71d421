use pelton_codegen as pelton;

struct Stream<T>(T);

#[pelton::job]
fn twice(clicks: Stream<u8>) -> Stream<u8> {
    let pages = clicks.map(|c| c.page);
    let counts = pages.key_by(|p| p).count();
    let others = pages.filter(|p| p.is_some());
    counts.merge(others)
}

#[pelton::job]
fn early(clicks: Stream<u8>) -> Stream<u8> {
    clicks
        .map(|c| {
            if c.page.is_empty() {
                return Page { name: "none" };
            }
            Page { name: c.page }
        })
        .filter_map(|p| Some(Name { name: p.name? }))
        .flat_map(|n| n.parts()?)
        .key_by(|n| n.first()?)
        .count()
}

fn main() {}
