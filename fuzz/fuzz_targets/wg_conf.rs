//! See `bowline_fuzz::wg_conf`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::wg_conf::look(bytes));
