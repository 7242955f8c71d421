//! A job compiles and runs against streams of the engine's shape, without type annotations.
//!
//! This crate stands in for `pelton`: the macro knows the engine by path only. The stand-ins
//! have the engine's signatures for closures, which is what inference depends on, and run
//! eagerly over a vector.

#![expect(missing_docs, reason = "a stand-in for the engine's documented types")]

extern crate self as pelton;

pub mod record {
    use std::fmt::Debug;
    use std::marker::PhantomData;

    pub trait Item: 'static {
        type View<'a>: Copy + Debug;
        fn view(&self) -> Self::View<'_>;
    }

    pub trait View<'a>: Copy {
        type Record: Item<View<'a> = Self>;
    }

    pub trait Key: Debug + Ord + 'static {
        type View<'a>: KeyView<'a, Key = Self>;
    }

    pub trait KeyView<'a>: Copy {
        type Key: Key<View<'a> = Self>;
        fn to_key(self) -> Self::Key;
    }

    impl Key for String {
        type View<'a> = &'a str;
    }
    impl<'a> KeyView<'a> for &'a str {
        type Key = String;
        fn to_key(self) -> String {
            self.to_owned()
        }
    }
    impl Key for usize {
        type View<'a> = usize;
    }
    impl<'a> KeyView<'a> for usize {
        type Key = usize;
        fn to_key(self) -> usize {
            self
        }
    }
    impl<A: Key, B: Key> Key for (A, B) {
        type View<'a> = (A::View<'a>, B::View<'a>);
    }
    impl<'a, A: KeyView<'a>, B: KeyView<'a>> KeyView<'a> for (A, B) {
        type Key = (A::Key, B::Key);
        fn to_key(self) -> Self::Key {
            (self.0.to_key(), self.1.to_key())
        }
    }

    pub struct Change<K, V>(PhantomData<(K, V)>);
}

pub mod job {
    pub struct Listing {
        pub name: &'static str,
        pub file: &'static str,
        pub expansion: &'static str,
        pub notes: &'static [Note],
    }
    pub struct Note {
        pub line: u32,
        pub column: u32,
        pub binding: &'static str,
        pub text: &'static str,
    }
    pub trait Listed {
        const LISTING: &'static Listing;
    }
}

pub mod chain {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;
    use std::rc::Rc;

    use super::record::{Change, Item, Key, KeyView, View};

    /// What the engine promises of a chain, and the lines that it prints here.
    pub trait Chain {
        type Out;
        fn lines(&self) -> Vec<String>;
    }

    pub trait Run {
        type Item: Item;
        fn run(&self, sink: &mut dyn FnMut(<Self::Item as Item>::View<'_>));
    }

    pub struct Ran<C>(C);
    impl<C: Run> Chain for Ran<C> {
        type Out = C::Item;
        fn lines(&self) -> Vec<String> {
            let mut lines = Vec::new();
            self.0.run(&mut |view| lines.push(format!("{view:?}")));
            lines
        }
    }

    pub struct Root<R>(Rc<Vec<R>>);
    impl<R> Clone for Root<R> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    impl<R: Item> Run for Root<R> {
        type Item = R;
        fn run(&self, sink: &mut dyn FnMut(R::View<'_>)) {
            self.0.iter().for_each(|record| sink(record.view()));
        }
    }

    pub struct Stream<R, C = Ran<Root<R>>>(C, PhantomData<R>);
    impl<R> Stream<R> {
        pub fn begins(&self, listing: &'static crate::job::Listing, name: &str) -> String {
            format!("{} of {}", name, listing.name)
        }
        pub fn of(records: Vec<R>) -> Self {
            Self(Ran(Root(Rc::new(records))), PhantomData)
        }
    }
    impl<R> Clone for Stream<R> {
        fn clone(&self) -> Self {
            Self(Ran(self.0.0.clone()), PhantomData)
        }
    }
    impl<R, C: Chain> Stream<R, C> {
        pub fn lines(&self) -> Vec<String> {
            self.0.lines()
        }
    }

    pub struct Out<'o, 'a, R: Item>(&'o mut dyn FnMut(R::View<'a>));
    impl<'a, R: Item> Out<'_, 'a, R> {
        pub fn emit<V: View<'a, Record = R>>(self, view: V)
        where
            R: Item<View<'a> = V>,
        {
            (self.0)(view);
        }
        pub fn emit_some<V: View<'a, Record = R>>(self, view: Option<V>)
        where
            R: Item<View<'a> = V>,
        {
            view.into_iter().for_each(self.0);
        }
        pub fn emit_all<V: View<'a, Record = R>>(self, views: impl IntoIterator<Item = V>)
        where
            R: Item<View<'a> = V>,
        {
            views.into_iter().for_each(self.0);
        }
    }

    pub struct Mapped<C, R, F>(C, F, PhantomData<R>);
    impl<C: Run, R: Item, F> Run for Mapped<C, R, F>
    where
        F: for<'o, 'a> Fn(<C::Item as Item>::View<'a>, Out<'o, 'a, R>),
    {
        type Item = R;
        fn run(&self, sink: &mut dyn FnMut(R::View<'_>)) {
            self.0.run(&mut |view| (self.1)(view, Out(&mut |view| sink(view))));
        }
    }

    macro_rules! mapping {
        ($($method:ident),*) => {$(
            pub fn $method<R2: Item, F>(self, f: F) -> Stream<R2, Ran<Mapped<C, R2, F>>>
            where
                F: for<'o, 'a> Fn(R::View<'a>, Out<'o, 'a, R2>),
            {
                Stream(Ran(Mapped(self.0.0, f, PhantomData)), PhantomData)
            }
        )*};
    }

    impl<R: Item, C: Run<Item = R>> Stream<R, Ran<C>> {
        mapping!(map, filter_map, flat_map);

        pub fn key_by<K: Key, F>(self, f: F) -> Keyed<K, C, F>
        where
            F: for<'o, 'a> Fn(R::View<'a>, KeyOut<'o, 'a, K>),
        {
            Keyed(self.0.0, f, PhantomData)
        }
    }

    pub struct KeyOut<'o, 'a, K: Key>(&'o mut dyn FnMut(K::View<'a>));
    impl<'a, K: Key> KeyOut<'_, 'a, K> {
        pub fn of<V: KeyView<'a, Key = K>>(self, view: V)
        where
            K: Key<View<'a> = V>,
        {
            (self.0)(view);
        }
    }

    pub struct Keyed<K, C, F>(C, F, PhantomData<K>);
    impl<K: Key, C: Run, F> Keyed<K, C, F>
    where
        F: for<'o, 'a> Fn(<C::Item as Item>::View<'a>, KeyOut<'o, 'a, K>),
    {
        pub fn reading(self, reads: Result<&[&str], &str>) -> Self {
            assert!(reads.is_ok_and(|fields| fields.contains(&"user")), "all uses are visible");
            self
        }
        pub fn count(self) -> Changelog<K, u64, Counts<K>> {
            let mut counts = BTreeMap::new();
            self.0.run(&mut |view| {
                let mut count = |key: K::View<'_>| *counts.entry(key.to_key()).or_default() += 1;
                (self.1)(view, KeyOut(&mut count));
            });
            Changelog("", Counts(counts), PhantomData)
        }
    }

    pub struct Counts<K>(BTreeMap<K, u64>);
    impl<K: Key> Chain for Counts<K> {
        type Out = Change<K, u64>;
        fn lines(&self) -> Vec<String> {
            self.0.iter().map(|(key, count)| format!("{key:?} {count}")).collect()
        }
    }

    pub struct Changelog<K, V, C>(&'static str, C, PhantomData<(K, V)>);
    impl<K, V, C: Chain> Changelog<K, V, C> {
        pub fn named(mut self, name: &'static str) -> Self {
            self.0 = name;
            self
        }
        pub fn lines(&self) -> Vec<String> {
            std::iter::once(self.0.to_owned()).chain(self.1.lines()).collect()
        }
    }
}

use chain::Stream;
use record::{Item, View};

struct Click {
    user: String,
    page: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct ClickView<'a> {
    user: &'a str,
    page: Option<&'a str>,
}

impl Item for Click {
    type View<'a> = ClickView<'a>;
    fn view(&self) -> ClickView<'_> {
        ClickView { user: &self.user, page: self.page.as_deref() }
    }
}
impl<'a> View<'a> for ClickView<'a> {
    type Record = Click;
}

fn clicks() -> Stream<Click> {
    let click = |user: &str, page: Option<&str>| Click {
        user: user.to_owned(),
        page: page.map(str::to_owned),
    };
    Stream::of(vec![click("bob", Some("a,b")), click("al", None), click("bob", Some("c"))])
}

#[pelton_codegen::job]
fn clicks_per_user(clicks: Stream<Click>) -> chain::Changelog<String, u64> {
    clicks.key_by(|c| c.user).count()
}

#[pelton_codegen::job]
fn pages_of_long_names(clicks: Stream<Click>, letters_min: usize) -> Stream<Click> {
    clicks
        .filter_map(|c| (c.user.len() >= letters_min).then_some(c))
        .flat_map(|c| {
            let pages = c.page.unwrap_or_default().split(',');
            pages.map(move |page| ClickView { page: Some(page), ..c })
        })
        .map(|ClickView { user, page }| ClickView { user: &user[..1], page })
}

#[pelton_codegen::job]
fn two_views(
    clicks: Stream<Click>,
) -> (chain::Changelog<(String, usize), u64>, chain::Changelog<usize, u64>) {
    let by_both = clicks.key_by(|c| (c.user, c.page.map_or(0, str::len))).count();
    let by_length = clicks.key_by(|c| c.user.len()).count();
    (by_both, by_length)
}

#[test]
fn a_job_is_listed_as_it_is_written_and_as_it_is_expanded() {
    let listing = <pages_of_long_names as job::Listed>::LISTING;
    assert_eq!((listing.name, listing.file), ("pages_of_long_names", file!()));
    assert!(listing.expansion.contains("__out.emit_some((c.user.len() >= letters_min)"));
    let filter = &listing.notes[0];
    assert_eq!(filter.text, "|c| (c.user.len() >= letters_min).then_some(c)");
    let lines: Vec<&str> = include_str!("job_runs.rs").lines().collect();
    let at = &lines[filter.line as usize - 1][filter.column as usize - 1..];
    assert!(at.starts_with("filter_map("), "the note tells where the method is: {at}");
}

#[test]
fn a_field_is_a_key() {
    assert_eq!(clicks_per_user(clicks()).lines(), ["clicks_per_user", "\"al\" 1", "\"bob\" 2"]);
}

#[test]
fn closures_hand_on_what_they_borrow() {
    let lines = pages_of_long_names(clicks(), 3).lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[2], "ClickView { user: \"b\", page: Some(\"c\") }");
}

#[test]
fn tuples_and_computed_values_are_keys_and_a_root_branches() {
    let (by_both, by_length) = two_views(clicks());
    assert_eq!(by_both.lines()[..2], ["by_both", "(\"al\", 0) 1"]);
    assert_eq!(by_length.lines(), ["by_length", "2 1", "3 2"]);
}
