//! What `check` says and what `run` would end with, for files that ask for what is not there.

use super::*;
use crate::{config::parse, environment::Environment};

/// What `check` says of `text`, and what `run` would end with.
fn both(text: &str) -> (Vec<String>, Vec<String>) {
    both_with(text, "", &[])
}

/// The same with an AWS config file and variables.
fn both_with(text: &str, aws: &str, more: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let (_home, world, file, config) = stage(text, aws, more);
    let lines = |outcome: Result<(), Fault>| {
        let message = outcome.err().map(|fault| fault.message).unwrap_or_default();
        message.lines().skip(1).map(|line| line.rsplit_once("bowline.toml:").unwrap().1.to_owned()).collect()
    };
    let looked = look(&world, &file, &config, None, Look::Whole);
    (lines(looked.map(drop)), lines(at_start(&world, &file, &config)))
}

/// The file that says `text` in a home, which lives as long as what is returned first.
fn stage(text: &str, aws: &str, more: &[(&str, &str)]) -> (tempfile::TempDir, World, PathBuf, Config) {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bowline.toml");
    bowline_base::atomic::write_private(&file, text.as_bytes()).unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    bowline_base::atomic::write_private(&home.path().join(".aws/config"), aws.as_bytes()).unwrap();
    let home_variable = ("HOME".to_owned(), home.path().display().to_string());
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let variables = more.chain([home_variable]).collect();
    let world = World::new(Environment::of(variables)).unwrap();
    let config = parse(text).unwrap();
    (home, world, file, config)
}

#[test]
fn everything_that_run_would_end_with_is_told_at_once_and_at_its_place() {
    let text = "[artifacts]\ntls = { certificate = \"/no/tls.pem\", private-key = \"/no/tls.key\" }\n\
                access = { tokens = [{ name = \"ci\", file = \"/no/token\" }, { name = \"farm\", env = \"FARM\" }] }\n\
                [[artifacts.repository]]\nfrom = \"/srv\"\n\
                [gateway]\ninterval = \"1ms\"\nwebhook = { url = \"https://h.example\", secret = { env = 'HOOK' } }\n\
                [notify]\nwebhook = { url = \"https://h.example\", secret = { env = \"PAGE\" } }\n\
                [vpn]\nmaster-key = { file = \"/no/master\" }\ntls-cert = \"/no/vpn.pem\"\ntls-key = \"/no/vpn.key\"\n";
    let (checked, run) = both(text);
    for (at, part) in [
        ("2:23: ", "`/no/tls.pem`"),
        ("3:44: ", "cannot read the secret in `/no/token`"),
        ("3:82: ", "`FARM`"),
        ("7:1: ", "`interval` is 1ms"),
        ("8:57: ", "`HOOK`"),
        ("10:57: ", "`PAGE`"),
        ("12:23: ", "`/no/master`"),
        ("13:12: ", "`/no/vpn.pem`"),
    ] {
        let told = |lines: &[String]| lines.iter().any(|line| line.starts_with(at) && line.contains(part));
        assert!(told(&checked) && told(&run), "{at}{part}: {checked:#?} {run:#?}");
    }
    assert_eq!((checked.len(), run.len()), (8, 8), "{checked:#?} {run:#?}");
}

#[test]
fn what_may_come_later_is_told_by_check_alone() {
    let text = "[artifacts]\naccess = { tokens = [{ name = \"a\", vault = \"b\" }] }\n\
                [[artifacts.repository]]\nfrom = \"/srv\"\n\
                [gateway]\nwebhook = { url = \"https://h.example\", secret = { file = \"/no/hook\" } }\n\
                [notify]\nwebhook = { url = \"https://h.example\", secret = { file = \"/no/page\" } }\n";
    let (checked, run) = both(text);
    let places: Vec<&str> = checked.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!((places, run), (vec!["2:44", "6:58", "8:58"], Vec::<String>::new()), "{checked:#?}");
}

#[test]
fn a_profile_that_is_not_there_ends_run_only_where_a_job_works_with_it() {
    let text = "[daemon]\nkeep-fresh = [\"nope\"]\n[endpoint]\nserve = [\"neither\"]\n\
                [artifacts]\nidentity = \"nobody\"\n[[artifacts.repository]]\nfrom = \"s3://maven\"\n\
                [gateway]\nidentity = \"none\"\n[[grant]]\nuid = 7\nprofiles = [\"never\"]\n";
    let (checked, run) = both(text);
    let named: Vec<&str> = checked.iter().map(|line| line.split('`').nth(1).unwrap()).collect();
    assert_eq!(named, ["nope", "neither", "nobody", "none", "never"], "{checked:#?}");
    assert_eq!(run, checked[2..4], "what hands the others out starts nevertheless");
}

#[test]
fn broken_files_of_aws_keep_nothing_from_starting() {
    let text = "[daemon]\nkeep-fresh = [\"a\"]\n[artifacts]\n[[artifacts.repository]]\nfrom = \"/srv\"\n";
    let (_home, world, file, config) = stage(text, "[profile a\nregion eu\n", &[]);
    let refused = look(&world, &file, &config, None, Look::Whole).unwrap_err();
    assert!(refused.chain().contains("config:1"), "{}", refused.chain());
    at_start(&world, &file, &config).unwrap();
}

/// One that an instance of EC2 might answer for is no reason not to start there.
#[test]
fn a_profile_that_says_nothing_of_credentials_is_refused_only_where_nobody_else_gives_them() {
    let text = "[daemon]\nkeep-fresh = [\"bare\"]\n";
    let aws = ("[profile bare]\nregion = eu-central-1\n", [("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_eq!(both_with(text, aws.0, &[]), (Vec::new(), Vec::new()));
    let (checked, run) = both_with(text, aws.0, &aws.1);
    assert!(checked.len() == 1 && checked[0].contains("profile `bare` has no credentials"), "{checked:#?}");
    assert_eq!(run, Vec::<String>::new());
}

#[test]
fn the_same_word_at_several_places_is_told_at_each_and_at_no_other() {
    let text = "[daemon]\nkeep-fresh = [\"nope\"]\n[endpoint]\nserve = [\"prod#1\", \"nope\"]\n\
                [[grant]]\nuid = 1001\nprofiles = [\"nope\"]\n\
                [artifacts]\naccess = { tokens = [{ name = \"a\", file = \"/no/key\" }] }\n\
                [[artifacts.repository]]\nfrom = \"/srv\"\n\
                [gateway]\nidentity = \"nope\"\nmin-change-interval = \"1h\"\ninterval = \"1ms\"\n\
                [vpn]\nmaster-key = { file = \"/no/key\" }\n";
    let (checked, run) = both(text);
    let places = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(places(&checked), ["2:15", "4:10", "4:20", "7:13", "9:43", "13:12", "15:1", "17:23"], "{checked:#?}");
    assert_eq!(places(&run), ["9:43", "13:12", "15:1", "17:23"], "{run:#?}");
}

#[test]
fn each_hint_is_a_line_of_its_own_and_told_once() {
    let finding = |hint: &str| Finding::at(&["vpn"], Fault::new(Kind::Config, "x", hint).hint(hint));
    let fault = told(Path::new("/no/bowline.toml"), ["a", "b", "a"].map(finding).into()).unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("a\nb"));
}

/// What a home or `/tmp` holds is hidden from it.
#[test]
fn what_the_service_s_user_cannot_read_is_told_where_it_is_named() {
    let text = "[endpoint]\nserve = [\"a\"]\ntoken-file = \"/tmp/no/endpoint\"\n\
                [[grant]]\nuid = 7\nprofiles = [\"a\"]\n[[grant]]\ntoken-file = \"/tmp/no/grant\"\nprofiles = [\"a\"]\n\
                [artifacts]\ntls = { certificate = \"/etc/bowline/not-there.pem\", private-key = \"/root/no/tls.key\" }\n\
                [[artifacts.repository]]\nfrom = \"/home/no/maven\"\n\
                [vpn]\nmaster-key = { file = \"/root/no/master\" }\n";
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("bowline.toml");
    bowline_base::atomic::write_private(&file, text.as_bytes()).unwrap();
    let found = files::kept_from(&ServiceUser::nobody(), &file, &parse(text).unwrap());
    let told = mistakes(&file, &found);
    let places = [
        ((1, 1), "bowline.toml`"),
        ((3, 14), "`/tmp/no/endpoint`"),
        ((8, 14), "`/tmp/no/grant`"),
        ((11, 67), "`/root/no/tls.key`"),
        ((13, 8), "`/home/no/maven`"),
        ((15, 23), "`/root/no/master`"),
    ];
    assert_eq!(told.len(), places.len(), "{told:#?}");
    for (told, (place, said)) in told.iter().zip(places) {
        assert!(told.place() == place && told.to_string().contains(said), "{told:?}: {place:?} {said}");
    }
}
