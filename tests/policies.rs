//! `bowline policy`: the documents that ship in `deploy/iam` are the ones that the program prints.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::World;

const ACCOUNT: &str = "111122223333";
const ANCHOR: &str =
    "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/0a1b2c3d-0000-4000-8000-000000000000";

/// Each shipped file and what to type for it; deploy/iam/README.md says the same.
const SHIPPED: [(&str, &[&str]); 14] = [
    ("admin.json", &["admin", "dirk", "--account", ACCOUNT]),
    ("refresh.json", &["refresh", "dirk", "--account", ACCOUNT]),
    ("lambda.json", &["lambda", "dirk", "--account", ACCOUNT]),
    ("vpn.json", &["vpn", "--store", "ssm:/ephem-vpn", "--account", ACCOUNT, "--region", "us-east-1"]),
    ("artifacts.json", &["artifacts", "--from", "s3://corp-maven/releases"]),
    ("bedrock.json", &["bedrock", "--model", "anthropic.claude-3-haiku-20240307-v1:0", "--region", "eu-central-1"]),
    (
        "bedrock-cross-region.json",
        &["bedrock", "--model", "eu.anthropic.claude-*", "--region", "eu-central-1", "--account", ACCOUNT],
    ),
    (
        "trust-roles-anywhere.json",
        &["trust", "roles-anywhere", "--trust-anchor", ANCHOR, "--subject-cn", "site-1", "--issuer-cn", "Corp CA"],
    ),
    ("gateway.json", &["gateway", "--owner", "site-1", "--region", "eu-central-1", "--account", ACCOUNT]),
    ("gateway-trust.json", &["trust", "roles-anywhere", "--trust-anchor", ANCHOR, "--subject-cn", "site-1"]),
    ("trust-ec2.json", &["trust", "ec2", "--account", ACCOUNT]),
    ("trust-ecs.json", &["trust", "ecs", "--account", ACCOUNT, "--region", "eu-central-1"]),
    (
        "trust-web-identity.json",
        &[
            "trust",
            "web-identity",
            "--account",
            ACCOUNT,
            "--issuer",
            "https://token.actions.githubusercontent.com",
            "--subject",
            "repo:corp/app:ref:refs/heads/main",
        ],
    ),
    ("trust-account.json", &["trust", "account", "--principal", "444455556666", "--external-id", "word"]),
];

#[test]
fn the_shipped_documents_are_the_ones_that_are_printed() {
    let world = World::new("policies", |_| {});
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/iam");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    for (name, arguments) in SHIPPED {
        let printed = world.run(&[&["policy"], arguments].concat());
        assert_eq!(printed.code, Some(0), "{name}: {}", printed.stderr);
        assert!(printed.stderr.contains("aws iam"), "{name}: the next step is told");
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap_or_default(), printed.stdout, "{name}");
        serde_json::from_str::<Value>(&printed.stdout).unwrap();
        assert!(readme.contains(name), "{name} is not in the README");
    }
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known = |name: &String| name == "README.md" || SHIPPED.iter().any(|(shipped, _)| shipped == name);
    assert_eq!(files.filter(|name| !known(name)).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn the_proxys_policy_is_made_from_the_configuration_too() {
    let world = World::new("policies-config", |_| {});
    world.write("bowline.toml", "[artifacts]\n[[artifacts.repository]]\npath = \"/\"\nfrom = \"s3://corp-maven/x\"\n");
    let config = world.path("bowline.toml");
    let printed = world.run(&["policy", "artifacts", "--config", config.to_str().unwrap()]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.contains("arn:aws:s3:::corp-maven/x/*"), "{}", printed.stdout);
}

#[test]
fn what_is_no_document_is_refused_with_an_example() {
    let world = World::new("policies-wrong", |_| {});
    for (arguments, word) in [
        (&["policy", "artifacts"][..], "s3://bucket/prefix"),
        (&["policy", "bedrock", "--model", "a b"], "anthropic.claude"),
        (&["policy", "trust", "roles-anywhere", "--trust-anchor", "arn:aws:iam::1:role/x"], "trust-anchor/ID"),
        (&["policy", "trust", "ec2", "--account", "12"], "twelve digits"),
        (&["policy", "trust", "web-identity", "--account", ACCOUNT, "--issuer", "https://x"], "--subject"),
    ] {
        let end = world.run(arguments);
        assert_eq!((end.code, end.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", end.stderr);
        assert!(end.stderr.contains(word), "{arguments:?}: {}", end.stderr);
    }
}
