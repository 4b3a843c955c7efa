//! Reading, against answers that botocore 1.43.11 gave (see `tests/oracle/botocore_table.py`).

use std::{collections::BTreeMap, path::Path};

use base::{Fault, Kind};
use bowline_awsfiles::{Config, ConfigError, Content, Document, Locations, Problem, Section};
use bowline_base as base;
use serde_json::{Map, Value};

use crate::{both, document, read};

fn as_json(section: &Section) -> Value {
    let value = |content: &Content| match content {
        Content::Text(text) => Value::from(text.as_str()),
        Content::Secret(secret) => Value::from(secret.expose()),
        Content::Nested(block) => block.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect(),
    };
    section.settings.iter().map(|(key, setting)| (key.clone(), value(&setting.content))).collect()
}

fn profiles(config: &Config) -> Value {
    let all = config.profiles().filter_map(|profile| Some((profile.name().to_owned(), as_json(profile.in_config()?))));
    Value::Object(all.collect::<Map<_, _>>())
}

fn problem(text: &str) -> (usize, Problem) {
    let mistake = read(text).unwrap_err();
    (mistake.origin.line, mistake.problem)
}

fn advice(config: &Config) -> Vec<String> {
    config.warnings().iter().map(|warning| format!("{} {}", warning.origin, warning.message)).collect()
}

#[test]
fn every_file_of_the_table_says_to_us_what_it_says_to_botocore() {
    let table: Vec<BTreeMap<String, Value>> = serde_json::from_str(include_str!("botocore_answers.json")).unwrap();
    assert!(table.len() > 200);
    for row in &table {
        let input = row["input"].as_str().unwrap();
        match (read(input), &row["answer"]) {
            (Err(_), Value::Null) => {}
            (Ok(config), Value::Object(answer)) => {
                assert_eq!(profiles(&config), answer["profiles"], "{input:?}");
                let sessions: Vec<&str> = config.sso_sessions().map(|session| session.name()).collect();
                let expected: BTreeMap<String, Value> = serde_json::from_value(answer["sso_sessions"].clone()).unwrap();
                assert_eq!(sessions, expected.keys().collect::<Vec<_>>(), "{input:?}");
            }
            (ours, theirs) => panic!("{input:?}: {ours:?} but botocore says {theirs}"),
        }
    }
}

#[test]
fn headers_name_profiles_as_in_botocore() {
    let config = read("[profile a]\n[profile  b]\n[profile \"d e\"]\n[profile f g]\n[x]\n[profile default]\n").unwrap();
    let names: Vec<&str> = config.profiles().map(|profile| profile.name()).collect();
    assert_eq!(names, ["a", "b", "d e", "default"]);
    let advice = advice(&config);
    assert_eq!(
        advice[0],
        "config:4 `[profile f g]` is ignored; write `[profile NAME]`, NAME in quotes if it has blanks"
    );
    assert_eq!(advice[1], "config:5 `[x]` is not a profile; write `[profile x]`");
}

#[test]
fn the_later_of_two_headers_for_default_wins_whole_and_is_warned_of() {
    for (text, kept, lost) in
        [("[default]\na=1\n[profile default]\nb=2\n", "b", "a"), ("[profile default]\nb=2\n[default]\na=1\n", "a", "b")]
    {
        let config = read(text).unwrap();
        let profile = config.profile("default").unwrap();
        assert!(profile.text(kept).is_some() && profile.text(lost).is_none(), "{text:?}");
        assert!(advice(&config)[0].contains("hides"), "{:?}", advice(&config));
    }
}

#[test]
fn a_section_of_the_credentials_file_is_a_profile_of_exactly_that_name() {
    let config = both("", "[profile a]\nregion = x\n[b c]\nregion = y\n");
    let names: Vec<&str> = config.profiles().map(|profile| profile.name()).collect();
    assert_eq!(names, ["b c", "profile a"]);
    assert!(advice(&config)[0].contains("write `[a]`"));
}

#[test]
fn the_credentials_file_wins_key_by_key() {
    let config = both("[profile a]\nregion = one\noutput = json\n", "[a]\nregion = two\n");
    let profile = config.profile("a").unwrap();
    assert_eq!((profile.region(), profile.text("output")), (Some("two"), Some("json")));
    assert_eq!(profile.setting("region").unwrap().origin.to_string(), "credentials:2");
    assert_eq!(profile.origin().to_string(), "config:1");
}

#[test]
fn whatever_makes_botocore_refuse_a_file_is_told_with_its_line() {
    assert_eq!(problem("[a]\n[b]\n[a]\n"), (3, Problem::DuplicateSection { name: "a".into(), first: 1 }));
    let twice = |key: &str| Problem::DuplicateKey { key: key.into(), section: "a".into(), first: 2 };
    assert_eq!(problem("[a]\nx=1\nx=2\n"), (3, twice("x")));
    assert_eq!(problem("[a]\nx=1\nX=2\n"), (3, twice("x")));
    assert_eq!(problem("[a]\nfoo\n"), (2, Problem::NoDelimiter));
    assert_eq!(problem("[a]\n= x\n"), (2, Problem::NoKey));
    assert_eq!(problem("\nx = 1\n[a]\n"), (2, Problem::Homeless));
    assert_eq!(problem("[profile a\nx = 1\n"), (1, Problem::OpenBracket));
    assert_eq!(problem("[a]\nx = 1\n[profile b\n"), (3, Problem::OpenBracket));
    assert_eq!(problem("[a]\ns3 =\n  bad\n"), (2, Problem::FlatNested { key: "s3".into() }));
    assert_eq!(problem("[a]\nx=1\n\u{1a}"), (3, Problem::NoDelimiter));
}

#[test]
fn a_mistake_never_shows_the_line_itself() {
    let mistake = read("[a]\naws_secret_access_key hunter2\n").unwrap_err();
    let fault = Fault::from(mistake);
    assert_eq!((fault.kind, fault.message.as_str()), (Kind::Config, "config:2: the line has no `=`"));
    assert!(!format!("{fault:?}").contains("hunter2"));
}

#[test]
fn secrets_are_secrets_from_the_start() {
    let config = both("", "[a]\naws_secret_access_key = hunter2\naws_session_token = hunter2\n");
    assert!(!format!("{config:?}").contains("hunter2"));
    let setting = config.profile("a").unwrap().setting("aws_secret_access_key").unwrap();
    assert_eq!(setting.secret().unwrap().expose(), "hunter2");
    assert_eq!(setting.text(), None);
}

#[test]
fn a_byte_order_mark_is_accepted_and_kept() {
    let text = "\u{feff}[default]\nregion = x\n";
    assert_eq!(read(text).unwrap().profile("default").unwrap().region(), Some("x"));
    assert_eq!(document(text).to_bytes(), text.as_bytes());
}

#[test]
fn a_nested_block_is_one_level_of_keys() {
    let config = read("[default]\ns3 =\n    # why\n    addressing_style = path\n\n\tB = 2\nregion = x\n").unwrap();
    let profile = config.profile("default").unwrap();
    assert_eq!(profile.nested("s3", "addressing_style"), Some("path"));
    assert_eq!(profile.nested("s3", "B"), Some("2"));
    assert_eq!((profile.text("s3"), profile.region()), (None, Some("x")));
}

#[test]
fn endpoints_come_from_the_services_section_then_from_the_profile() {
    let text = "[profile a]\nservices = dev\nendpoint_url = http://all:1\n[profile b]\nservices = dve\n[profile c]\n\
                endpoint_url = http://c:1\nignore_configured_endpoint_urls = true\n\
                [services dev]\ns3 =\n  endpoint_url = http://s3:1\nsso_oidc =\n  endpoint_url = http://oidc:1\n";
    let config = read(text).unwrap();
    assert_eq!(config.endpoint_url("a", "s3").unwrap(), Some("http://s3:1"));
    assert_eq!(config.endpoint_url("a", "sso-oidc").unwrap(), Some("http://oidc:1"));
    assert_eq!(config.endpoint_url("a", "sts").unwrap(), Some("http://all:1"));
    assert_eq!(config.endpoint_url("c", "sts").unwrap(), None);
    let error = config.endpoint_url("b", "s3").unwrap_err();
    assert_eq!(error.hint(), "did you mean `dev`?");
    assert!(matches!(error, ConfigError::NoServices { .. }));
}

#[test]
fn an_unknown_profile_is_named_with_the_one_that_looks_like_it() {
    let error = read("[profile production]\n").unwrap().profile("prodution").unwrap_err();
    assert_eq!(error.to_string(), "profile `prodution` does not exist");
    assert_eq!(error.hint(), "did you mean `production`?");
}

fn locations_in(home: &tempfile::TempDir) -> Locations {
    let home = home.path().to_str().unwrap();
    Locations::from_environment(&|name| (name == "HOME").then(|| home.to_owned())).unwrap()
}

#[test]
fn keys_that_others_can_read_are_warned_of() {
    let home = tempfile::tempdir().unwrap();
    let locations = locations_in(&home);
    base::atomic::private_directory(&home.path().join(".aws")).unwrap();
    let advice_at = |mode| {
        base::atomic::write(&locations.credentials, b"[a]\n", mode).unwrap();
        advice(&Config::load(&locations).unwrap())
    };
    assert!(advice_at(0o600).is_empty());
    assert!(advice_at(0o644)[0].contains("chmod 600"));
}

#[test]
fn files_that_do_not_exist_say_nothing_and_bad_ones_say_where() {
    let home = tempfile::tempdir().unwrap();
    let locations = locations_in(&home);
    assert_eq!(Config::load(&locations).unwrap().profiles().count(), 0);
    base::atomic::private_directory(locations.config.parent().unwrap()).unwrap();
    std::fs::create_dir(&locations.config).unwrap();
    assert_eq!(Config::load(&locations).unwrap().profiles().count(), 0, "a directory is no file");
    base::atomic::write_private(&locations.credentials, b"[a]\naws_access_key_id = \xff\n").unwrap();
    let fault = Config::load(&locations).unwrap_err();
    assert_eq!(fault.origin, format!("{}:2", locations.credentials.display()));
    assert_eq!(fault.hint.as_deref(), Some("save the file as UTF-8"));
}

#[test]
fn a_document_knows_its_file() {
    assert_eq!(document("").file(), Path::new("config"));
    assert!(Document::parse(Path::new("f"), b"").unwrap().sections().unwrap().is_empty());
}
