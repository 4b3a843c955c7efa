//! Kept inputs, those that a fuzzer found among them, and the fuzzer's own function over each (`fuzz/src/aws_file.rs`).

use std::{fs, path::Path};

#[path = "../../../../fuzz/src/aws_file.rs"]
#[expect(unreachable_pub, reason = "the fuzzer sees it from outside")]
mod aws_file;

#[test]
fn every_input_that_was_ever_kept_comes_back_and_is_edited_without_loss() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/aws_file");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 2, "the corpus is empty");
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        aws_file::look(&bytes);
        // The fuzzer has cut its own finds already.
        if path.to_string_lossy().contains("/found-") {
            continue;
        }
        let step = (bytes.len() / 100).max(1);
        (0..bytes.len()).step_by(step).for_each(|length| aws_file::look(&bytes[..length]));
    }
}
