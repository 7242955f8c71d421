//! The text of a layout: refused, or a layout with that meaning.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::record::Layout;

fuzz_target!(|text: &str| {
    if let Ok(layout) = text.parse::<Layout>() {
        let told = layout.to_string();
        assert_eq!(told.parse::<Layout>().as_ref(), Ok(&layout), "{told}");
    }
});
