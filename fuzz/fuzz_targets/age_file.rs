//! See `bowline_fuzz::age_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::age_file::look(bytes));
