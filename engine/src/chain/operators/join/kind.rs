//! Which rows leave a join, and as what.

use std::marker::PhantomData;

use super::super::merge::Joined;
use super::super::pair::Side;
use crate::record::{Item, Record};

/// The types that a join is of, and holds none of.
pub(super) type Kinds<K, L, R, J> = PhantomData<fn() -> (K, L, R, J)>;

/// Which pairs leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Each.
    Each,
    /// The first one of each left row.
    OnceALeft,
    /// None: only rows without a partner leave.
    Never,
}

/// A kind of join, as a type: what does not leave costs nothing.
pub trait JoinKind: Send + 'static {
    /// The kind, as people write it.
    const NAME: &'static str;
    /// Which pairs leave.
    const PAIRS: Pairs;
    /// Whether left rows without a partner leave.
    const KEEPS_LEFT: bool;
    /// Whether right rows without a partner leave.
    const KEEPS_RIGHT: bool;
    /// Whether rows of a side without a partner leave.
    #[inline(always)]
    #[must_use]
    fn keeps(side: Side) -> bool {
        match side {
            Side::Left => Self::KEEPS_LEFT,
            Side::Right => Self::KEEPS_RIGHT,
        }
    }
    /// What leaves.
    type Out<L: Record, R: Record>: Item;
    /// It; a side that is missing is one that the kind lets be missing.
    fn view<'a, L: Record, R: Record>(
        left: Option<L::View<'a>>,
        right: Option<R::View<'a>>,
    ) -> <Self::Out<L, R> as Item>::View<'a>;
}

/// A left row, with a right one where there is one.
#[derive(Debug)]
pub struct MaybeRight<L, R>(PhantomData<fn() -> (L, R)>);
/// A right row, with a left one where there is one.
#[derive(Debug)]
pub struct MaybeLeft<L, R>(PhantomData<fn() -> (L, R)>);
/// A row of either side, or both.
#[derive(Debug)]
pub struct MaybeBoth<L, R>(PhantomData<fn() -> (L, R)>);

impl<L: Item, R: Item> Item for MaybeRight<L, R> {
    type View<'a> = (L::View<'a>, Option<R::View<'a>>);
}
impl<L: Item, R: Item> Item for MaybeLeft<L, R> {
    type View<'a> = (Option<L::View<'a>>, R::View<'a>);
}
impl<L: Item, R: Item> Item for MaybeBoth<L, R> {
    type View<'a> = (Option<L::View<'a>>, Option<R::View<'a>>);
}

/// Pairs only.
#[derive(Debug, Clone, Copy)]
pub struct Inner;
/// Pairs, and left rows without a partner.
#[derive(Debug, Clone, Copy)]
pub struct LeftOuter;
/// Pairs, and right rows without a partner.
#[derive(Debug, Clone, Copy)]
pub struct RightOuter;
/// Pairs, and rows of either side without a partner.
#[derive(Debug, Clone, Copy)]
pub struct FullOuter;
/// Left rows that have a partner, once each.
#[derive(Debug, Clone, Copy)]
pub struct Semi;
/// Left rows that have none.
#[derive(Debug, Clone, Copy)]
pub struct Anti;

macro_rules! join_kind {
    ($kind:ident, $name:literal, $pairs:ident, $left:literal, $right:literal,
        $out:ty, |$l:ident, $r:ident| $view:expr) => {
        impl JoinKind for $kind {
            const NAME: &'static str = $name;
            const PAIRS: Pairs = Pairs::$pairs;
            const KEEPS_LEFT: bool = $left;
            const KEEPS_RIGHT: bool = $right;
            type Out<L: Record, R: Record> = $out;
            #[inline(always)]
            fn view<'a, L: Record, R: Record>(
                $l: Option<L::View<'a>>,
                $r: Option<R::View<'a>>,
            ) -> <$out as Item>::View<'a> {
                $view
            }
        }
    };
}

/// Why a side is there.
const THERE: &str = "a kind is asked only for the rows that it lets leave";

join_kind!(Inner, "inner", Each, false, false, Joined<L, R>, |l, r| (
    l.expect(THERE),
    r.expect(THERE)
));
join_kind!(LeftOuter, "left", Each, true, false, MaybeRight<L, R>, |l, r| (l.expect(THERE), r));
join_kind!(RightOuter, "right", Each, false, true, MaybeLeft<L, R>, |l, r| (l, r.expect(THERE)));
join_kind!(FullOuter, "full", Each, true, true, MaybeBoth<L, R>, |l, r| (l, r));
join_kind!(Semi, "semi", OnceALeft, false, false, L, |l, _r| l.expect(THERE));
join_kind!(Anti, "anti", Never, true, false, L, |l, _r| l.expect(THERE));
