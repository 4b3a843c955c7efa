//! The tunnel's readers against kept inputs.

mod corpora;
