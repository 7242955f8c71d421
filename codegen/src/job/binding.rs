//! Which name means which stream: parameters and `let`s, by scope.

use syn::visit::{self, Visit};
use syn::{
    Expr, FnArg, GenericArgument, Ident, Pat, PatIdent, PathArguments, PathSegment, Signature, Type,
};

/// The types that are streams, by their last path segment.
const STREAM_TYPES: [&str; 4] = ["Stream", "Changelog", "KeyedStream", "Keyed"];

/// A name that means a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Tells shadowed names apart.
    pub(crate) id: usize,
    /// It is where a stream starts, so it is cheap to clone.
    pub(crate) is_root: bool,
    /// How many loops it stands in.
    pub(crate) loops: usize,
}

/// The names that can be seen from one place, outermost scope first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scopes {
    /// The names of each scope in order; `None` where a name means something else than a stream.
    scopes: Vec<Vec<(String, Option<Binding>)>>,
    binding_count: usize,
    loops: usize,
}

impl Scopes {
    /// The scope of a function's parameters.
    pub(crate) fn of_parameters(signature: &Signature) -> Self {
        let mut scopes = Self::default();
        scopes.open();
        for parameter in &signature.inputs {
            if let FnArg::Typed(parameter) = parameter {
                scopes.bind_parameter(&parameter.pat, &parameter.ty);
            }
        }
        scopes
    }

    fn bind_parameter(&mut self, pattern: &Pat, of: &Type) {
        match (pattern, of) {
            (Pat::Tuple(pattern), Type::Tuple(of)) if pattern.elems.len() == of.elems.len() => {
                for (pattern, of) in pattern.elems.iter().zip(&of.elems) {
                    self.bind_parameter(pattern, of);
                }
            }
            _ => {
                let stream = stream_segment(of);
                let is_root = stream.is_some_and(|segment| {
                    segment.ident == "Stream" && type_arguments(segment).len() == 1
                });
                self.bind(pattern, stream.is_some(), is_root);
            }
        }
    }

    pub(crate) fn open(&mut self) {
        self.scopes.push(Vec::new());
    }

    pub(crate) fn close(&mut self) {
        self.scopes.pop();
    }

    pub(crate) fn open_loop(&mut self) {
        self.loops += 1;
    }

    pub(crate) fn close_loop(&mut self) {
        self.loops -= 1;
    }

    /// How many loops this place stands in.
    pub(crate) fn loops(&self) -> usize {
        self.loops
    }

    /// Binds every name of a pattern.
    pub(crate) fn bind(&mut self, pattern: &Pat, is_stream: bool, is_root: bool) {
        let is_stream =
            is_stream || matches!(pattern, Pat::Type(typed) if stream_segment(&typed.ty).is_some());
        for name in names(pattern) {
            self.binding_count += 1;
            let binding = Binding { id: self.binding_count, is_root, loops: self.loops };
            let scope = self.scopes.last_mut().expect("the parameters' scope is never closed");
            scope.push((name, is_stream.then_some(binding)));
        }
    }

    /// The stream that `name` means here.
    pub(crate) fn stream(&self, name: &Ident) -> Option<Binding> {
        let mut visible = self.scopes.iter().rev().flat_map(|scope| scope.iter().rev());
        visible.find(|(bound, _)| name == bound).and_then(|(_, binding)| *binding)
    }

    /// Whether the value is a root under its own name, or a clone of one.
    pub(crate) fn is_root(&self, value: &Expr) -> bool {
        match value {
            Expr::Path(path) => path
                .path
                .get_ident()
                .and_then(|name| self.stream(name))
                .is_some_and(|binding| binding.is_root),
            Expr::MethodCall(call) => call.method == "clone" && self.is_root(&call.receiver),
            Expr::Paren(inner) => self.is_root(&inner.expr),
            _ => false,
        }
    }
}

/// The last segment of a type that is a stream.
pub(crate) fn stream_segment(of: &Type) -> Option<&PathSegment> {
    match of {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .filter(|last| STREAM_TYPES.iter().any(|name| last.ident == name)),
        Type::Group(group) => stream_segment(&group.elem),
        Type::Paren(paren) => stream_segment(&paren.elem),
        _ => None,
    }
}

/// The types between a segment's angle brackets.
pub(crate) fn type_arguments(segment: &PathSegment) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return Vec::new();
    };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(of) => Some(of),
        _ => None,
    });
    types.collect()
}

fn names(pattern: &Pat) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, pattern: &'ast PatIdent) {
            self.0.push(pattern.ident.to_string());
            visit::visit_pat_ident(self, pattern);
        }
        fn visit_expr(&mut self, _: &'ast Expr) {}
    }
    let mut names = Names(Vec::new());
    names.visit_pat(pattern);
    names.0
}

/// A name as people read it: `r#type` is `type`.
pub(crate) fn plain(name: &str) -> String {
    name.trim_start_matches("r#").to_owned()
}

/// What a pattern calls its value: its names, joined; `None` where it has none.
pub(crate) fn pattern_name(pattern: &Pat) -> Option<String> {
    let names: Vec<_> = names(pattern)
        .iter()
        .map(|name| plain(name).trim_start_matches('_').to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    (!names.is_empty()).then(|| names.join("_"))
}
