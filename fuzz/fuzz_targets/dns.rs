//! See `bowline_fuzz::dns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::dns::look(bytes));
