//! See `bowline_fuzz::key_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::key_file::look(bytes));
