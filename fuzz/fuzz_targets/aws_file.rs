//! See `bowline_fuzz::aws_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bowline_fuzz::aws_file::look(bytes));
