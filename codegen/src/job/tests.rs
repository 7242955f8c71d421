//! What a job expands to, as text: each test holds the function as written and as rewritten.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{File, Item, ItemFn, Stmt};

use super::{Kind, expand};

fn printed(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).unwrap())
}

fn expanded(job: &str) -> String {
    printed(expand(Kind::Job, TokenStream::new(), job.parse().unwrap()))
}

/// The function alone: without its listing and the lifted lint, which every job has.
fn function(kind: Kind, job: &str) -> ItemFn {
    let expanded = expand(kind, TokenStream::new(), job.parse().unwrap());
    let file: File = syn::parse2(expanded).unwrap();
    let Some(Item::Fn(mut function)) = file.items.into_iter().next() else {
        panic!("the function comes first");
    };
    function.attrs.retain(|attribute| !attribute.path().is_ident("allow"));
    function
}

/// Compares without the head, which one test is about.
#[track_caller]
fn assert_expands(job: &str, expected: &str) {
    let mut function = function(Kind::Job, job);
    let head = |statement: &Stmt| statement.to_token_stream().to_string().contains("begins");
    function.block.stmts.retain(|statement| !head(statement));
    assert_eq!(printed(function.into_token_stream()), printed(expected.parse().unwrap()));
}

#[track_caller]
fn assert_refused(job: &str, message: &str) {
    let text = expanded(job);
    assert!(text.contains("compile_error"), "{text}");
    assert!(text.contains(message), "{text}");
}

#[test]
fn the_job_of_the_readme() {
    assert_expands(
        r#"
        /// Clicks.
        pub fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
            clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
        }
        "#,
        r#"
        /// Clicks.
        pub fn clicks_per_user(
            clicks: Stream<Click>,
        ) -> Changelog<
            String,
            u64,
            impl ::pelton::chain::Chain<Out = ::pelton::record::Change<String, u64>>,
        > {
            clicks
                .filter(|c| c.page != "about_us")
                .key_by(move |c, __key| __key.of(c.user))
                .reading(::core::result::Result::Ok(&["user"]))
                .count()
                .named("clicks_per_user")
        }
        "#,
    );
}

#[test]
fn closures_hand_their_value_to_a_second_parameter() {
    assert_expands(
        "fn job(clicks: Stream<Click>, settings: Settings) {
            let limit = settings.limit.map(|l| l * 2);
            clicks
                .map(|c| PageView { page: c.page.map(|p| p.trim()) })
                .filter_map(move |c| { (c.n > limit).then(|| Some(c)?) })
                .flat_map(|c| { let parts = c.page.split(','); parts.map(|page| PageView { page }) })
                .map(|c| -> PageView<'_> { c })
                .map(to_page)
                .map(|c, out| out.emit(c))
                .key_by(|ClickView { user, page, .. }| (user, page.len()))
                .sink()
        }",
        "fn job(clicks: Stream<Click>, settings: Settings) {
            let limit = settings.limit.map(|l| l * 2);
            clicks
                .map(move |c, __out| __out.emit(PageView { page: c.page.map(|p| p.trim()) }))
                .filter_map(move |c, __out| __out.emit_some((c.n > limit).then(|| Some(c)?)))
                .flat_map(move |c, __out| __out.emit_all({
                    let parts = c.page.split(',');
                    parts.map(|page| PageView { page })
                }))
                .map(move |c, __out| __out.emit({
                    let result: PageView<'_> = { c };
                    result
                }))
                .map(to_page)
                .map(|c, out| out.emit(c))
                .key_by(move |ClickView { user, page, .. }, __key| __key.of((user, page.len())))
                .sink()
        }",
    );
}

#[test]
fn what_leaves_a_closure_early_is_refused() {
    let leaves = "`return` can't leave the closure of `map`";
    assert_refused("fn job(s: Stream<A>) { s.map(|a| { if a.x { return B {}; } B {} }) }", leaves);
    let leaves = "`?` can't leave the closure of `filter_map`";
    assert_refused("fn job(s: Stream<A>) { s.filter_map(|a| Some(B { x: a.x? })) }", leaves);
    let text = expanded("fn job(s: Stream<A>) { s.map(|a| (|| { return B { x: a.x? }; })()) }");
    assert!(!text.contains("compile_error"), "{text}");
}

#[test]
fn a_root_branches_where_it_starts() {
    assert_expands(
        "fn job(clicks: Stream<Click>) -> (Stream<A>, pelton::Changelog<B, u64>) {
            let again = clicks;
            let a = again.map(to_a);
            for _ in 0..2 { again.sink(); }
            let b = join(again, other).key_by(|b| b.id);
            (a, b.count())
        }",
        "fn job(
            clicks: Stream<Click>,
        ) -> (
            Stream<A, impl ::pelton::chain::Chain<Out = A>>,
            pelton::Changelog<
                B,
                u64,
                impl ::pelton::chain::Chain<Out = ::pelton::record::Change<B, u64>>,
            >,
        ) {
            let again = clicks;
            let a = again.clone().map(to_a);
            for _ in 0..2 { again.clone().sink(); }
            let b = {
                let __part = __job.part(\"b_join\");
                join(again, other)
            }
            .key_by(move |b, __key| __key.of(b.id));
            (a, b.count().named(\"job\"))
        }",
    );
}

#[test]
fn a_derived_stream_is_used_once_unless_it_forks() {
    let once = "a derived stream can be used once for now; branch where it starts, or call .fork()";
    assert_refused("fn job(s: Stream<A>) { let d = s.map(f); d.sink(); d.sink(); }", once);
    assert_refused("fn job(s: Changelog<K, V>) { s.sink(); s.sink(); }", once);
    assert_refused("fn job<C>(s: Stream<A, C>) { s.sink(); s.sink(); }", once);
    for job in [
        "fn job(s: Stream<A>) { let d = s.map(f); d.fork().sink(); d.sink(); }",
        "fn job(s: Stream<A>) { let d = s.map(f); let d = d.map(g); d.sink(); }",
        "fn job(s: Stream<A>) { let d = s.map(f); if x { d.sink(); } else { d.print(); } }",
        "fn job(s: Stream<A>) { let d = s.map(|d| f(d, d)); d.sink(); }",
        "fn job(s: Stream<A>) { let (d, e) = s.sides(); d.sink(); e.tagged(A).union(e.tagged(B)); }",
    ] {
        assert!(!expanded(job).contains("compile_error"), "{job}");
    }
}

#[test]
fn a_shadowed_name_is_another_stream() {
    assert_expands(
        "fn job(s: Stream<A>, n: u64) {
            let t = s.map(f);
            { let s = n; s.count(); s.count(); }
            if let Some(s) = n.get() { s.count(); }
            s.sink(t);
        }",
        "fn job(s: Stream<A>, n: u64) {
            let t = s.clone().map(f);
            { let s = n; s.count(); s.count(); }
            if let Some(s) = n.get() { s.count(); }
            s.sink(t);
        }",
    );
}

#[test]
fn stateful_operators_are_named_for_what_they_are_bound_to() {
    assert_expands(
        r#"
        fn job(s: Stream<A>, rules: Rules) -> Stream<B> {
            let rule_count = rules.iter().count();
            let totals = s.count().map(f).windows(day).map(g).process(p);
            let mine = s.count().named("mine_count").process(p).count().named("x").map(f);
            let (a, b) = (s.count(), s.aggregate(f));
            let _ = s.sum(f);
            let inner = { let other = s.count(); other.hopping_count(h) };
            inner.join_by_position(s.process(p), |l, r| f(l.count(), r)).map(f)
        }
        "#,
        r#"
        fn job(
            s: Stream<A>,
            rules: Rules,
        ) -> Stream<B, impl ::pelton::chain::Chain<Out = B>> {
            let rule_count = rules.iter().count();
            let totals = s.clone()
                .count().named("totals_count").map(f)
                .windows(day).named("totals_windows").map(g)
                .process(p).named("totals");
            let mine = s.clone()
                .count().named("mine_count")
                .process(p).named("mine_process")
                .count().named("x").map(f);
            let (a, b) = (
                s.clone().count().named("a"),
                s.clone().aggregate(f).named("b"),
            );
            let _ = s.clone().sum(f).named("job");
            let inner = {
                let other = s.clone().count().named("other");
                other.hopping_count(h).named("inner")
            };
            inner
                .join_by_position(s.process(p).named("job_process"), |l, r| f(l.count(), r))
                .named("job_join_by_position")
                .map(f)
        }
        "#,
    );
}

#[test]
fn a_chain_that_the_user_wrote_stays() {
    let job = "fn job<C: Chain>(s: Stream<A, C>) -> Result<Stream<A, C>, Error> { Ok(s) }";
    assert_expands(job, job);
    assert_expands(
        "fn job(s: Stream<A>) -> Result<Stream<A>, Error> { Ok(s) }",
        "fn job(
            s: Stream<A>,
        ) -> Result<Stream<A, impl ::pelton::chain::Chain<Out = A>>, Error> { Ok(s) }",
    );
}

#[test]
fn what_is_no_plain_function_is_refused() {
    assert_refused("async fn job(s: Stream<A>) {}", "so it is not async");
    assert_refused("fn job(&self, s: Stream<A>) {}", "not a method");
    assert_refused("struct Job;", "belongs on a function");
    let arguments = "name = 1".parse().unwrap();
    let text = printed(expand(Kind::Job, arguments, "fn job() {}".parse().unwrap()));
    assert!(text.contains("takes no arguments"), "{text}");
}

#[test]
fn an_expansion_holds_no_unsafe() {
    let text = expanded("fn job(s: Stream<A>) -> Stream<A> { s.map(|a| a).key_by(|a| a).count() }");
    assert!(!text.contains("unsafe"), "{text}");
}

#[test]
fn two_operators_of_one_name_are_refused() {
    let literal = "two operators are called `x`";
    assert_refused(
        r#"fn job(s: Stream<A>) { f(s.count().named("x"), s.sum(g).named("x")) }"#,
        literal,
    );
    let derived = "this operator would be called `a`";
    assert_refused(
        "fn job(s: Stream<A>) { let a = s.count(); let a = a.map(f).count(); }",
        derived,
    );
    let derived = "this operator would be called `a_count`";
    assert_refused("fn job(s: Stream<A>) { let a = s.count().map(f).count().map(g); }", derived);
    assert_refused(
        r#"fn job(s: Stream<A>) { let a = s.count(); s.sum(f).named("a"); }"#,
        "called `a`",
    );
    for job in [
        "fn job(s: Stream<A>, x: bool) { let a = if x { s.count() } else { s.sum(f) }; a.to(o); }",
        r#"fn job(s: Stream<A>) { let a = s.count(); let a = a.map(f).count().named("b"); }"#,
        "fn job(s: Stream<A>) { let both = part(s); both.0.to(x); both.1.to(y); }",
        "fn job(s: Stream<A>) { let a = s.count(); let n = a.iter().map(|i| i.count()); }",
    ] {
        let text = expanded(job);
        assert!(!text.contains("compile_error"), "{text}");
    }
}

#[test]
fn the_head_tells_the_name_of_each_stream() {
    let job = "fn job((a, b): (Stream<A>, Changelog<K, V>), n: u64, mut c: Stream<C>) {}";
    let text = printed(function(Kind::Job, job).into_token_stream());
    for stream in ["a", "b", "c"] {
        let line = format!(
            "let __job = {stream}.begins(<job as ::pelton::job::Listed>::LISTING, \"{stream}\");"
        );
        assert!(text.contains(&line), "{text}");
    }
}

#[test]
fn a_part_takes_streams_from_wherever_they_come() {
    let part =
        "fn part(s: Stream<A>, t: Changelog<K, V>, n: u64) -> Stream<B> { s.count().map(f) }";
    let text = printed(function(Kind::Part, part).into_token_stream());
    assert!(text.contains("s: Stream<A, impl ::pelton::chain::Chain<Out = A>>"), "{text}");
    assert!(text.contains("Chain<Out = ::pelton::record::Change<K, V>>"), "{text}");
    let expanded = printed(expand(
        Kind::Part,
        TokenStream::new(),
        "fn part(s: Stream<A>) { (s.count(), s.count()) }".parse().unwrap(),
    ));
    assert!(expanded.contains("a derived stream can be used once"), "{expanded}");
}

#[test]
fn a_call_offers_its_name_to_a_part() {
    assert_expands(
        "fn job(s: Stream<A>, n: u64) -> Stream<B> {
            let a = part(s, n);
            let (b, c) = (parts::other(s.filter(f), n), Some(s.map(g)));
            wrap(a.union(b), n, |x| x + 1).map(h)
        }",
        "fn job(s: Stream<A>, n: u64) -> Stream<B, impl ::pelton::chain::Chain<Out = B>> {
            let a = {
                let __part = __job.part(\"a\");
                part(s.clone(), n)
            };
            let (b, c) = (
                {
                    let __0 = s.clone().filter(f);
                    let __part = __job.part(\"b\");
                    parts::other(__0, n)
                },
                Some(s.map(g)),
            );
            {
                let __0 = a.union(b);
                let __part = __job.part(\"job_wrap\");
                wrap(__0, n, |x| x + 1)
            }
            .map(h)
        }",
    );
    let twice = "what a part adds here would be called `a`";
    assert_refused("fn job(s: Stream<A>) { let a = part(s); let a = part(a); }", twice);
}

#[test]
fn the_listing_holds_the_expansion_and_notes_of_operators() {
    let job =
        "fn job(s: Stream<A>) -> Stream<A> { let kept = s.filter(|a| a.x > 1); kept.map(|a| a) }";
    let text = expanded(job);
    assert!(text.contains("enum job {}"), "{text}");
    for part in ["binding: \"kept\"", "text: \"|a| a.x > 1\"", "__out.emit(a)", "name: \"job\""] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[track_caller]
fn assert_reads(calls: &str, reads: &str) {
    let text = expanded(&format!("fn job(s: Stream<A>) -> Changelog<u64, u64> {{ s{calls} }}"));
    let joined = |text: &str| text.replace(|c: char| c.is_whitespace() || c == ',', "");
    let (text, expected) =
        (joined(&text), joined(&format!(".reading(::core::result::Result::{reads}")));
    assert!(text.contains(&expected), "{expected} in {text}");
}

#[test]
fn the_fields_that_are_read_are_named_where_every_use_is_in_sight() {
    let both = r#"Ok(&["amount", "user"])"#;
    assert_reads(".key_by(|c| c.user).sum(|c| c.amount)", both);
    assert_reads(".key_by(|c| (c).user.len()).sum(|c: AView| { let x = c.amount; x + 1 })", both);
    assert_reads(".key_by(|c| c.user).windows::<Sum<i64>, _>(spec, |c| c.amount * 2)", both);
    assert_reads(".key_by(|AView { user, .. }| user).aggregate::<F, _>(|c| (c.amount, ()))", both);
    assert_reads(".key_by(|c| c.time.0).count()", r#"Ok(&["time"])"#);
    assert_reads(".key_by(|c| c.r#type).aggregate::<Count, _>(|_| ())", r#"Ok(&["type"])"#);
    assert_reads(".key_by(|_| 0).count()", "Ok(&[])");
}

#[test]
fn a_use_of_the_whole_record_is_told() {
    let whole = r#"Err("the closure of `sum` uses `c` as a whole")"#;
    for body in ["rate(c)", "c.rate()", "{ let d = c; d.amount }", "Pair { c }.c.amount", "f(&c)"] {
        assert_reads(&format!(".key_by(|c| c.user).sum(|c| {body})"), whole);
    }
    for body in ["dbg!(c).amount", "len(format!(\"{c:?}\"))", "len(format!(\"{}\", c.user))"] {
        assert_reads(&format!(".key_by(|c| c.user).sum(|c| {body})"), whole);
    }
    let apart = r#"Err("the closure of `sum` takes its record apart")"#;
    assert_reads(".key_by(|c| c.user).sum(|&c| c.amount)", apart);
    let unseen = r#"Err("`sum` is given a function whose body is not in sight")"#;
    assert_reads(".key_by(|c| c.user).sum(amount)", unseen);
}

#[test]
fn operators_that_keep_records_get_them_whole() {
    let keeps = "fn job(s: Stream<A>) -> Stream<A> { s.key_by(|c| c.user).dedup() }";
    assert!(!expanded(keeps).contains("reading"));
    let waits = "fn job(s: Stream<A>) -> Stream<A> { s.key_by(|c| c.a).in_time_order(|c| c.b).sum(|c| c.d) }";
    assert!(!expanded(waits).contains("reading"));
}
