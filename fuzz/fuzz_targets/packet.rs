//! See `bowline_fuzz::packet`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::packet::look(bytes));
