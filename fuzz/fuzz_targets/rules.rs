//! Feeds arbitrary bytes, as rows behind the intake, to every rule.

#![no_main]

#[path = "../../rules/tests/fuzz/case.rs"]
mod case;

use std::cell::RefCell;

thread_local! {
    static FUZZER: RefCell<case::Fuzzer> = RefCell::default();
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    FUZZER.with_borrow_mut(|fuzzer| fuzzer.run(bytes));
});
