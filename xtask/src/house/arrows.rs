//! Which crate may know which: DESIGN section 2, read from `cargo metadata`, normal and test edges apart.

#![cfg(test)]

use std::collections::BTreeSet;

use serde_json::Value;

use crate::process::{capture, cargo};

/// What each crate may depend on. `bowline` wires everything; crates that are not built yet are listed all the same,
/// so that the day they come they come inside the rules.
const ARROWS: [(&str, &[&str]); 17] = [
    ("base", &[]),
    ("aws", &["base"]),
    ("awsfiles", &["base"]),
    ("vault", &["base"]),
    ("tcp", &["base"]),
    ("host", &["base"]),
    ("fakeaws", &["host", "base"]),
    ("audit", &["aws", "host", "base"]),
    ("tunnel", &["tcp", "host", "base"]),
    ("credentials", &["aws", "awsfiles", "vault", "audit", "host", "base"]),
    ("delegation", &["aws", "awsfiles", "vault", "host", "base"]),
    ("artifacts", &["aws", "host", "base"]),
    ("gateway", &["aws", "host", "base"]),
    ("vpn", &["aws", "tunnel", "host", "base"]),
    ("benches", &["fakeaws", "rig", "base"]),
    ("rig", &[]),
    ("xtask", &[]),
];

/// One package depends on another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: String,
    to: String,
    test_only: bool,
}

/// What breaks the rules, in words.
fn violations(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter(|edge| !allowed(edge)).map(say).collect()
}

fn allowed(edge: &Edge) -> bool {
    // Tests also get a real wire: docs/decisions/0003-tests-may-use-the-real-wire.md.
    let for_tests = ["fakeaws", "host", edge.from.as_str()];
    if edge.from == "bowline" || (edge.test_only && for_tests.contains(&edge.to.as_str())) {
        return true;
    }
    ARROWS.iter().any(|(from, to)| *from == edge.from && to.contains(&edge.to.as_str()))
}

fn say(edge: &Edge) -> String {
    let what = if edge.test_only { "the tests of" } else { "" };
    format!("{what} `{}` must not know `{}`", edge.from, edge.to).trim_start().to_owned()
}

/// The edges between our own packages, by their short names.
fn edges(metadata: &Value) -> Vec<Edge> {
    let short = |name: &Value| name.as_str().map(|name| name.trim_start_matches("bowline-").to_owned());
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let ours: BTreeSet<String> = packages.iter().filter_map(|package| short(&package["name"])).collect();
    let mut edges = BTreeSet::new();
    for package in &packages {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let (Some(from), Some(to)) = (short(&package["name"]), short(&dependency["name"])) else { continue };
            if ours.contains(&to) && dependency["path"].is_string() {
                edges.insert(Edge { from, to, test_only: dependency["kind"] == "dev" });
            }
        }
    }
    edges.into_iter().collect()
}

fn metadata() -> Value {
    let text = capture(&mut cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"])).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn no_crate_knows_more_than_the_design_allows() {
    let edges = edges(&metadata());
    assert!(edges.len() > 10, "cargo metadata was misread: {edges:?}");
    assert_eq!(violations(&edges), Vec::<String>::new());
}

#[test]
fn a_forbidden_edge_is_named() {
    let edge = |from: &str, to: &str, test_only| Edge { from: from.into(), to: to.into(), test_only };
    let planted = [
        edge("artifacts", "credentials", false),
        edge("artifacts", "credentials", true),
        edge("fakeaws", "aws", true),
        edge("stranger", "base", false),
        edge("aws", "fakeaws", false),
    ];
    let expected = [
        "`artifacts` must not know `credentials`",
        "the tests of `artifacts` must not know `credentials`",
        "the tests of `fakeaws` must not know `aws`",
        "`stranger` must not know `base`",
        "`aws` must not know `fakeaws`",
    ];
    assert_eq!(violations(&planted), expected);
    assert_eq!(violations(&[edge("aws", "fakeaws", true), edge("bowline", "aws", false)]), Vec::<String>::new());
}

/// Both would be wrong in the same way if they shared a codec.
#[test]
fn the_fake_shares_no_codec_with_the_client() {
    let words = ["tree", "--package", "bowline-fakeaws", "--edges", "normal,build", "--prefix", "none", "--offline"];
    let tree = capture(&mut cargo(&words)).unwrap();
    assert!(tree.contains("bowline-base"), "cargo tree was misread: {tree}");
    for forbidden in ["aws-sigv4 ", "aws-smithy", "bowline-aws "] {
        assert!(!tree.contains(forbidden), "fakeaws has `{}` in its tree", forbidden.trim());
    }
}

/// `vault` alone may bring `age`; ring is the only crypto of TLS.
#[test]
fn there_is_one_crypto_provider() {
    let words = ["tree", "--workspace", "--edges", "normal,build", "--prefix", "none", "--offline"];
    let tree = capture(&mut cargo(&words)).unwrap();
    assert!(tree.contains("ring v") && !tree.contains("aws-lc-rs") && !tree.contains("openssl-sys"), "{tree}");
}
