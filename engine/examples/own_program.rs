//! A program of one's own with Pelton's command line:
//! `cargo run -p pelton --example own_program -- run clicks_per_user --input clicks.csv`

use pelton::{Changelog, Stream};

#[pelton::record]
struct Click {
    user: String,
    page: String,
}

#[pelton::record]
struct Page {
    page: String,
}

#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

mod pages {
    use pelton::Stream;

    use super::{Click, Page, PageView};

    #[pelton::job]
    pub(crate) fn visited(clicks: Stream<Click>) -> Stream<Page> {
        clicks.filter(|c| c.user != "bot").map(|c| PageView { page: c.page })
    }
}

pelton::main!(clicks_per_user, pages::visited);
