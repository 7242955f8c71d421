//! The signature of a job: what can't be one, and the chains in its return type.

use syn::{
    Error, FnArg, GenericArgument, ItemFn, PathArguments, PathSegment, ReturnType, Type,
    parse_quote,
};

use super::Kind;
use super::binding::type_arguments;

/// Refuses what is not a plain function, each mistake at its place.
pub(crate) fn check(kind: Kind, function: &ItemFn) -> syn::Result<()> {
    let (signature, noun) = (&function.sig, kind.noun());
    if let Some(token) = &signature.asyncness {
        return Err(Error::new_spanned(
            token,
            format!(
                "a {noun} only describes what is to be done, so it is not async; the shards run it"
            ),
        ));
    }
    if let Some(receiver @ FnArg::Receiver(_)) = signature.inputs.first() {
        return Err(Error::new_spanned(
            receiver,
            format!(
                "a {noun} is a free function, not a method: take settings as parameters by value"
            ),
        ));
    }
    if let Some(token) = &signature.constness {
        let message = format!("a {noun} is built when it starts, so it is not const");
        return Err(Error::new_spanned(token, message));
    }
    if let Some(token) = &signature.unsafety {
        return Err(Error::new_spanned(token, format!("a {noun} is a safe function")));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new_spanned(abi, format!("a {noun} is an ordinary Rust function")));
    }
    Ok(())
}

/// Gives every stream in the return type its chain parameter, and a part's parameters theirs: a
/// part takes streams from wherever they come. The type is then longer than what the user wrote,
/// so clippy's opinion of its length is not for the user.
pub(crate) fn add_chains(kind: Kind, function: &mut ItemFn) {
    if kind == Kind::Part {
        for parameter in &mut function.sig.inputs {
            if let FnArg::Typed(parameter) = parameter {
                add_chain(&mut parameter.ty);
            }
        }
    }
    if let ReturnType::Type(_, of) = &mut function.sig.output {
        add_chain(of);
        let lift = parse_quote! {
            #[allow(clippy::type_complexity, reason = "`#[pelton::job]` adds the chains")]
        };
        function.attrs.push(lift);
    }
}

fn add_chain(of: &mut Type) {
    match of {
        Type::Tuple(tuple) => tuple.elems.iter_mut().for_each(add_chain),
        Type::Group(group) => add_chain(&mut group.elem),
        Type::Paren(paren) => add_chain(&mut paren.elem),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last_mut() else {
                return;
            };
            let chain = chain(last);
            let PathArguments::AngleBracketed(arguments) = &mut last.arguments else {
                return;
            };
            match chain {
                Some(chain) => arguments.args.push(GenericArgument::Type(chain)),
                None => arguments.args.iter_mut().for_each(|argument| {
                    if let GenericArgument::Type(of) = argument {
                        add_chain(of);
                    }
                }),
            }
        }
        _ => {}
    }
}

/// The chain parameter of a stream's type that has none.
fn chain(segment: &PathSegment) -> Option<Type> {
    let item: Type = match (segment.ident.to_string().as_str(), type_arguments(segment).as_slice())
    {
        ("Stream", [item]) => parse_quote!(#item),
        ("Changelog", [key, value]) => parse_quote!(::pelton::record::Change<#key, #value>),
        _ => return None,
    };
    Some(parse_quote!(impl ::pelton::chain::Chain<Out = #item>))
}
