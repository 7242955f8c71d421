use pelton_codegen as pelton;

type UserId = u64;

#[pelton::record]
struct Click {
    count: usize,
    user: &'static str,
    pages: Vec<String>,
    twice: Option<Option<u8>>,
    initial: char,
    wide: u128,
    id: UserId,
    pair: (u8, u8),
    array: [u8; 4],
    #[cfg(unix)]
    unix: bool,
    #[rkyv(omit_bounds)]
    page: String,
}

fn main() {}
