//! Walks a job's body and tells an editor where streams are used and called.
//!
//! Takes the body; hands each use of a stream and each method call on one to an [`Edit`], inner
//! ones first. What is a stream is decided by where a value comes from, as a macro sees no types:
//! a parameter of a stream type, and whatever is made of one by calls, tuples and branches.
//!
//! Invariants
//! 1. Closures, nested items and macro calls are not entered: there are no streams in them, and
//!    their `map` is an iterator's or an option's.
//! 2. A name means its innermost binding; a `let` takes effect after its own right-hand side.
//! 3. Two walks over the same body meet the same uses in the same order.
//!
//! Why by origin and not by method name alone: `settings.limit.map(|l| l * 2)` in a job's body is
//! an option's `map` and has to stay one.

use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprMethodCall, Item, Local, Macro, Pat, Stmt};

use super::binding::{Binding, Scopes, pattern_name};

/// Methods that take a stream, or the side outputs of one, by reference or as good as that.
const SHARING: [&str; 3] = ["clone", "fork", "tagged"];

/// Where a value ends up, which decides how a stateful operator is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// It is the whole value of a binding, or of the function.
    Outermost,
    /// The user names it: it is the receiver of `.named(..)`.
    Named,
    /// Anywhere else.
    Inside,
}

/// One use of a stream's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) binding: Binding,
    /// It is written as `name.clone()`, `name.fork()` or `sides.tagged(..)`.
    pub(crate) shares: bool,
    /// It stands in a loop that the binding stands outside of.
    pub(crate) repeats: bool,
    /// The arms of `if` and `match` that it stands in: (which branch, which arm).
    pub(crate) arms: Vec<(usize, usize)>,
}

/// One call of a method on a stream, or of a function that is given one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called<'w> {
    pub(crate) position: Position,
    /// The name that its value gets.
    pub(crate) base: &'w str,
    /// As [`Use::arms`].
    pub(crate) arms: &'w [(usize, usize)],
}

/// What is done with the streams of a job's body.
pub(crate) trait Edit {
    /// `place` is a stream's name, used as a value.
    fn used(&mut self, _place: &mut Expr, _used: Use) {}
    /// `place` is a method call on a stream.
    fn called(&mut self, _place: &mut Expr, _call: Called<'_>) {}
    /// `place` is a call of a function that is given a stream.
    fn handed(&mut self, _place: &mut Expr, _call: Called<'_>) {}
}

/// Walks the body of a function whose parameters are in `scopes`.
pub(crate) fn walk(body: &mut Block, name: &str, scopes: Scopes, edit: &mut dyn Edit) {
    let mut walk = Walk {
        edit,
        scopes,
        base: name.to_owned(),
        shares: false,
        arms: Vec::new(),
        branch_count: 0,
    };
    walk.block(body, Position::Outermost);
}

struct Walk<'e> {
    edit: &'e mut dyn Edit,
    scopes: Scopes,
    base: String,
    /// The next name is the receiver of what leaves it usable.
    shares: bool,
    arms: Vec<(usize, usize)>,
    branch_count: usize,
}

impl Walk<'_> {
    /// Walks a block; whether its value is a stream.
    fn block(&mut self, block: &mut Block, position: Position) -> bool {
        self.scopes.open();
        let mut is_stream = false;
        let last_index = block.stmts.len().saturating_sub(1);
        for (index, statement) in block.stmts.iter_mut().enumerate() {
            match statement {
                Stmt::Local(local) => self.local(local),
                Stmt::Expr(value, None) if index == last_index => {
                    is_stream = self.expr(value, position);
                }
                Stmt::Expr(value, _) => {
                    self.expr(value, Position::Outermost);
                }
                Stmt::Item(_) | Stmt::Macro(_) => {}
            }
        }
        self.scopes.close();
        is_stream
    }

    fn local(&mut self, local: &mut Local) {
        let mut is_stream = false;
        let mut is_root = false;
        if let Some(init) = &mut local.init {
            is_root = self.scopes.is_root(&init.expr);
            is_stream = self.bound_value(&local.pat, &mut init.expr);
            if let Some((_, otherwise)) = &mut init.diverge {
                self.expr(otherwise, Position::Inside);
            }
        }
        self.scopes.bind(&local.pat, is_stream, is_root);
    }

    /// Walks what a pattern is bound to, each part of a tuple under its own name.
    fn bound_value(&mut self, pattern: &Pat, value: &mut Expr) -> bool {
        if let (Pat::Tuple(pattern), Expr::Tuple(value)) = (pattern, &mut *value)
            && pattern.elems.len() == value.elems.len()
        {
            let parts = pattern.elems.iter().zip(&mut value.elems);
            return parts
                .fold(false, |any, (pattern, value)| self.bound_value(pattern, value) | any);
        }
        let base = pattern_name(pattern).unwrap_or_else(|| self.base.clone());
        let outer = std::mem::replace(&mut self.base, base);
        let is_stream = self.expr(value, Position::Outermost);
        self.base = outer;
        is_stream
    }

    /// Walks an expression; whether its value is a stream.
    fn expr(&mut self, place: &mut Expr, position: Position) -> bool {
        let shares = std::mem::take(&mut self.shares);
        match place {
            Expr::Path(path) => {
                let binding = path.path.get_ident().and_then(|name| self.scopes.stream(name));
                let Some(binding) = binding else { return false };
                let repeats = binding.loops < self.scopes.loops();
                let arms = self.arms.clone();
                self.edit.used(place, Use { binding, shares, repeats, arms });
                true
            }
            Expr::MethodCall(call) => {
                let (on_stream, is_stream) = self.method_call(call);
                if on_stream {
                    let called = Called { position, base: &self.base, arms: &self.arms };
                    self.edit.called(place, called);
                }
                is_stream
            }
            Expr::Call(call) => {
                let takes_stream = self.all(call.args.iter_mut(), Position::Inside);
                if takes_stream {
                    let called = Called { position, base: &self.base, arms: &self.arms };
                    self.edit.handed(place, called);
                }
                takes_stream
            }
            Expr::Array(array) => self.all(array.elems.iter_mut(), Position::Inside),
            Expr::Tuple(tuple) => self.all(tuple.elems.iter_mut(), position),
            Expr::Paren(inner) => self.expr(&mut inner.expr, position),
            Expr::Group(inner) => self.expr(&mut inner.expr, position),
            Expr::Block(inner) => self.block(&mut inner.block, position),
            Expr::Try(inner) => self.expr(&mut inner.expr, Position::Inside),
            Expr::Field(inner) => match &*inner.base {
                // A part of a tuple: rustc knows which parts were moved, and no part is a root.
                Expr::Path(path) => {
                    let name = path.path.get_ident();
                    name.is_some_and(|name| self.scopes.stream(name).is_some())
                }
                _ => self.expr(&mut inner.base, Position::Inside),
            },
            Expr::Reference(inner) => self.expr(&mut inner.expr, Position::Inside),
            Expr::Return(returned) => {
                if let Some(value) = &mut returned.expr {
                    self.expr(value, Position::Outermost);
                }
                false
            }
            Expr::If(_) | Expr::Match(_) => self.branches(place, position),
            Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_) => self.repeated(place),
            Expr::Let(condition) => {
                self.expr(&mut condition.expr, Position::Inside);
                self.scopes.bind(&condition.pat, false, false);
                false
            }
            Expr::Closure(_) | Expr::Macro(_) => false,
            _ => {
                visit_mut::visit_expr_mut(self, place);
                false
            }
        }
    }

    /// Whether the receiver is a stream, and whether the value is one.
    fn method_call(&mut self, call: &mut ExprMethodCall) -> (bool, bool) {
        let named = call.method == "named";
        self.shares = SHARING.iter().any(|method| call.method == method);
        let position = if named { Position::Named } else { Position::Inside };
        let on_stream = self.expr(&mut call.receiver, position);
        let takes_stream = self.all(call.args.iter_mut(), Position::Inside);
        (on_stream, on_stream || takes_stream)
    }

    fn all<'x>(&mut self, values: impl Iterator<Item = &'x mut Expr>, position: Position) -> bool {
        values.fold(false, |any, value| self.expr(value, position) | any)
    }

    fn branches(&mut self, place: &mut Expr, position: Position) -> bool {
        let branch = self.branch_count;
        self.branch_count += 1;
        self.scopes.open();
        let mut is_stream = false;
        match place {
            Expr::If(choice) => {
                self.expr(&mut choice.cond, Position::Inside);
                self.arms.push((branch, 0));
                is_stream |= self.block(&mut choice.then_branch, position);
                self.arms.pop();
                if let Some((_, otherwise)) = &mut choice.else_branch {
                    self.arms.push((branch, 1));
                    is_stream |= self.expr(otherwise, position);
                    self.arms.pop();
                }
            }
            Expr::Match(choice) => {
                self.expr(&mut choice.expr, Position::Inside);
                for (index, arm) in choice.arms.iter_mut().enumerate() {
                    self.scopes.open();
                    self.scopes.bind(&arm.pat, false, false);
                    self.arms.push((branch, index));
                    if let Some((_, guard)) = &mut arm.guard {
                        self.expr(guard, Position::Inside);
                    }
                    is_stream |= self.expr(&mut arm.body, position);
                    self.arms.pop();
                    self.scopes.close();
                }
            }
            _ => {}
        }
        self.scopes.close();
        is_stream
    }

    fn repeated(&mut self, place: &mut Expr) -> bool {
        if let Expr::ForLoop(each) = place {
            self.expr(&mut each.expr, Position::Inside);
        }
        self.scopes.open();
        self.scopes.open_loop();
        match place {
            Expr::ForLoop(each) => {
                self.scopes.bind(&each.pat, false, false);
                self.block(&mut each.body, Position::Inside);
            }
            Expr::While(each) => {
                self.expr(&mut each.cond, Position::Inside);
                self.block(&mut each.body, Position::Inside);
            }
            Expr::Loop(each) => {
                self.block(&mut each.body, Position::Inside);
            }
            _ => {}
        }
        self.scopes.close_loop();
        self.scopes.close();
        false
    }
}

/// Only for the expressions that `expr` leaves to syn's own walk.
impl VisitMut for Walk<'_> {
    fn visit_expr_mut(&mut self, place: &mut Expr) {
        self.expr(place, Position::Inside);
    }
    fn visit_block_mut(&mut self, block: &mut Block) {
        self.block(block, Position::Inside);
    }
    fn visit_item_mut(&mut self, _: &mut Item) {}
    fn visit_macro_mut(&mut self, _: &mut Macro) {}
}
