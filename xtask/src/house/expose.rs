//! Every place where a secret leaves its type, as a committed list: a new one is seen in review.

use std::{fmt::Write as _, fs, io, path::PathBuf};

use crate::{
    house::sources::{Source, shipped, sources},
    place,
};

const HEAD: &str = "\
# Every call of `Secret::expose` outside tests, one a line: file, then the line of code.
# A test compares this with the code; `cargo xtask bless` writes it anew. Keep them few, and look at each new one.
";

/// Writes the list down anew.
pub(crate) fn bless() -> io::Result<()> {
    fs::write(path(), list(&sources(&[".rs"])))
}

fn path() -> PathBuf {
    place::root().join("xtask/expose-sites.txt")
}

/// The list for these files. Line numbers are left out: they change with every edit above.
fn list(sources: &[Source]) -> String {
    let mut list = HEAD.to_owned();
    for source in sources.iter().filter(|source| source.path.starts_with("crates/") && !source.path.contains("/tests/"))
    {
        let code = shipped(&source.text).lines().map(str::trim).filter(|line| !line.starts_with("//"));
        for line in code.filter(|line| line.contains(".expose()") || line.contains("Secret::expose")) {
            writeln!(list, "{}: {line}", source.path).expect("writing to a string cannot fail");
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_where_a_secret_leaves_is_on_the_list() {
        let (committed, now) = (fs::read_to_string(path()).unwrap_or_default(), list(&sources(&[".rs"])));
        let new: Vec<&str> = now.lines().filter(|line| !committed.lines().any(|old| old == *line)).collect();
        let gone: Vec<&str> = committed.lines().filter(|line| !now.lines().any(|still| still == *line)).collect();
        assert!(committed == now, "new: {new:#?}\ngone: {gone:#?}\nif that is right: cargo xtask bless");
    }

    #[test]
    fn calls_in_code_count_and_calls_in_comments_and_tests_do_not() {
        let text = "//! `.expose()`\nfn a() {\n    sign(key.expose());\n    keys.map(Secret::expose)\n}\n\n#[cfg(test)]\nmod tests {\n    x.expose();\n}\n";
        let source = |path: &str| Source { path: path.into(), text: text.into() };
        let list =
            list(&[source("crates/a/src/lib.rs"), source("crates/a/tests/it/main.rs"), source("xtask/src/main.rs")]);
        let sites: Vec<&str> = list.lines().skip(2).collect();
        assert_eq!(
            sites,
            ["crates/a/src/lib.rs: sign(key.expose());", "crates/a/src/lib.rs: keys.map(Secret::expose)"]
        );
    }
}
