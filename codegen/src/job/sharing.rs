//! Streams that are used more than once: a root branches where it starts, others may not.

use syn::{Error, Expr, ItemFn, parse_quote_spanned, spanned::Spanned};

use super::binding::Scopes;
use super::walk::{Edit, Use, walk};

const USED_TWICE: &str = "a derived stream can be used once for now; branch where it starts, or \
                          call .fork()";

/// Makes every use of a root but its last a clone, and refuses a second use of anything else.
pub(crate) fn share(function: &mut ItemFn) -> syn::Result<()> {
    let name = function.sig.ident.to_string();
    let scopes = Scopes::of_parameters(&function.sig);
    let mut uses = Uses(Vec::new());
    walk(&mut function.block, &name, scopes.clone(), &mut uses);
    refuse_second_uses(&uses.0)?;
    let mut clones = Clones { wanted: clones_wanted(&uses.0).into_iter() };
    walk(&mut function.block, &name, scopes, &mut clones);
    Ok(())
}

struct Uses(Vec<(Expr, Use)>);

impl Edit for Uses {
    fn used(&mut self, place: &mut Expr, used: Use) {
        self.0.push((place.clone(), used));
    }
}

fn refuse_second_uses(uses: &[(Expr, Use)]) -> syn::Result<()> {
    let mut errors: Option<Error> = None;
    for (index, (place, used)) in uses.iter().enumerate() {
        let earlier = uses[..index].iter().filter(|(_, earlier)| both_consume(earlier, used));
        if earlier.count() != 1 {
            continue;
        }
        let error = Error::new_spanned(place, USED_TWICE);
        match &mut errors {
            Some(errors) => errors.combine(error),
            None => errors = Some(error),
        }
    }
    errors.map_or(Ok(()), Err)
}

/// Whether one run of the body moves the same derived stream at both places.
fn both_consume(earlier: &Use, later: &Use) -> bool {
    let same_stream = earlier.binding == later.binding && !later.binding.is_root;
    let moved = !earlier.shares && !later.shares;
    same_stream && moved && !either_or(&earlier.arms, &later.arms)
}

/// Whether two places stand in different arms of one branch.
pub(crate) fn either_or(one: &[(usize, usize)], other: &[(usize, usize)]) -> bool {
    one.iter().any(|(branch, arm)| other.iter().any(|(b, a)| branch == b && arm != a))
}

/// For each use in order, whether it becomes a clone.
fn clones_wanted(uses: &[(Expr, Use)]) -> Vec<bool> {
    let wanted = uses.iter().enumerate().map(|(index, (_, used))| {
        let used_later = uses[index + 1..].iter().any(|(_, later)| later.binding == used.binding);
        used.binding.is_root && !used.shares && (used_later || used.repeats)
    });
    wanted.collect()
}

struct Clones {
    wanted: std::vec::IntoIter<bool>,
}

impl Edit for Clones {
    fn used(&mut self, place: &mut Expr, _: Use) {
        if self.wanted.next().expect("both walks meet the same uses (walk, invariant 3)") {
            *place = parse_quote_spanned!(place.span()=> #place.clone());
        }
    }
}
