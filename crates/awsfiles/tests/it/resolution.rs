//! From profile to source, by botocore's order and rules.

use std::time::Duration;

use base::{Fault, Kind};
use bowline_awsfiles::{
    AssumeRole, Config, ConfigError, CredentialSource, LongLivedKeys, RoleSource, SealedPlace, Source, SsoKey,
    StaticKeys,
};
use bowline_base as base;

use crate::{both, read};

const KEYS: &str = "aws_access_key_id = AKIA\naws_secret_access_key = S\n";
const ROLE: &str = "role_arn = arn:aws:iam::1:role/r\n";
const SESSION: &str = "[sso-session corp]\nsso_start_url = https://a/start\nsso_region = eu-west-1\n\
                       sso_registration_scopes = sso:account:access, x,\n";
const SSO: &str = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n";

fn config(text: &str) -> Config {
    read(text).unwrap()
}

fn source(text: &str) -> Source {
    config(text).resolve("a").unwrap()
}

fn error(text: &str) -> ConfigError {
    config(text).resolve("a").unwrap_err()
}

fn role(source: Source) -> AssumeRole {
    match source {
        Source::AssumeRole(role) => role,
        other => panic!("{other:?}"),
    }
}

fn keys(source: Source) -> StaticKeys {
    match source {
        Source::Static(keys) => keys,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_that_stands_in_a_file_ends_when_the_file_says_so() {
    let profile = |rest: &str| format!("[one]\naws_access_key_id = ASIA1\naws_secret_access_key = s\n{rest}");
    let end = |rest: &str| keys(both("", &profile(rest)).resolve("one").unwrap()).expires_at.map(|end| end.as_second());
    let named = "expiration = 2026-01-02T03:04:05+00:00\n";
    assert_eq!(end(&format!("aws_session_token = t\n{named}")), Some(1_767_323_045));
    assert_eq!(end(named), None, "a key without a token has no end");
    assert_eq!(end("aws_session_token = t\nexpiration = soon\n"), None);
}

fn below(role: AssumeRole) -> Source {
    match role.from {
        RoleSource::Profile { source, .. } => *source,
        RoleSource::Named(named) => panic!("{named:?}"),
    }
}

#[test]
fn within_a_profile_the_order_is_botocores() {
    let web = format!("web_identity_token_file = /t\n{ROLE}");
    let process = "credential_process = p\n";
    assert!(matches!(source(&format!("[profile a]\n{web}{SSO}{KEYS}{process}")), Source::WebIdentity(_)));
    assert!(matches!(source(&format!("[profile a]\n{SSO}{KEYS}{process}{SESSION}")), Source::Sso(_)));
    assert!(matches!(source(&format!("[profile a]\n{KEYS}{process}")), Source::Process(_)));
    assert!(matches!(source(&format!("[profile a]\n{KEYS}")), Source::Static(_)));
    let in_credentials = both(&format!("[profile a]\n{process}"), &format!("[a]\n{KEYS}"));
    assert_eq!(keys(in_credentials.resolve("a").unwrap()).origin.to_string(), "credentials:2");
}

#[test]
fn static_keys_carry_token_and_account() {
    let found = keys(source(&format!("[profile a]\n{KEYS}aws_session_token = T\naws_account_id = 42\n")));
    assert_eq!((found.key_id.as_str(), found.secret_key.expose()), ("AKIA", "S"));
    assert_eq!(found.session_token.unwrap().expose(), "T");
    assert_eq!(found.account_id.as_deref(), Some("42"));
}

#[test]
fn the_old_name_of_the_session_token_wins_as_in_botocore() {
    let found = keys(source(&format!("[profile a]\n{KEYS}aws_session_token = T\naws_security_token = OLD\n")));
    assert_eq!(found.session_token.unwrap().expose(), "OLD");
}

#[test]
fn a_role_beats_static_keys_in_the_profile_that_was_asked_for() {
    let text = format!("[profile a]\n{ROLE}{KEYS}source_profile = b\n[profile b]\n{KEYS}");
    assert!(matches!(below(role(source(&text))), Source::Static(_)));
}

#[test]
fn a_source_profile_with_both_uses_its_keys_and_assumes_nothing() {
    let text = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}{KEYS}source_profile = nobody\n");
    assert!(matches!(below(role(source(&text))), Source::Static(_)));
}

#[test]
fn a_profile_may_name_itself_only_to_use_its_own_keys() {
    let itself = format!("[profile a]\n{ROLE}source_profile = a\n");
    assert!(matches!(below(role(source(&format!("{itself}{KEYS}")))), Source::Static(_)));
    assert_eq!(error(&itself).to_string(), "config:3: source_profile goes in a circle: `a` -> `a`");
}

#[test]
fn a_circle_is_refused_with_the_chain_even_when_it_misses_the_start() {
    let text = format!(
        "[profile a]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = c\n\
         [profile c]\n{ROLE}source_profile = b\n"
    );
    assert_eq!(error(&text).to_string(), "config:9: source_profile goes in a circle: `a` -> `b` -> `c` -> `b`");
    let back = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\n{ROLE}source_profile = a\n");
    assert_eq!(error(&back).to_string(), "config:6: source_profile goes in a circle: `a` -> `b` -> `a`");
}

#[test]
fn a_chain_of_roles_ends_in_its_root_and_keeps_the_first_region() {
    let text = format!(
        "[profile a]\n{ROLE}source_profile = b\nregion = eu-west-1\n[profile b]\n{ROLE}region = us-east-1\n\
         source_profile = c\n[profile c]\n{SSO}{SESSION}"
    );
    let top = source(&text);
    assert_eq!(top.sso_login().unwrap().key, SsoKey::Session("corp".into()));
    let middle = role(below(role(top)));
    assert_eq!((middle.profile.as_str(), middle.region.as_deref()), ("b", Some("eu-west-1")));
}

#[test]
fn a_role_needs_exactly_one_source() {
    let neither = error(&format!("[profile a]\n{ROLE}"));
    assert!(matches!(neither, ConfigError::Partial { .. }), "{neither}");
    let both = error(&format!("[profile a]\n{ROLE}source_profile = b\ncredential_source = Environment\n"));
    assert!(matches!(both, ConfigError::BothSources { .. }), "{both}");
    let process = error(&format!("[profile a]\n{ROLE}credential_process = p\n"));
    assert!(matches!(process, ConfigError::Partial { .. }), "{process}");
    let below_role = source(&format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\ncredential_process = p\n"));
    assert!(matches!(below(role(below_role)), Source::Process(_)));
}

#[test]
fn a_credential_source_is_one_of_three_names() {
    let named = |name: &str| config(&format!("[profile a]\n{ROLE}credential_source = {name}\n")).resolve("a");
    for (name, expected) in [
        ("Environment", CredentialSource::Environment),
        ("EcsContainer", CredentialSource::EcsContainer),
        ("Ec2InstanceMetadata", CredentialSource::Ec2InstanceMetadata),
    ] {
        assert_eq!(role(named(name).unwrap()).from, RoleSource::Named(expected));
    }
    assert!(matches!(named("environment").unwrap_err(), ConfigError::UnknownCredentialSource { .. }));
}

#[test]
fn a_source_profile_has_to_exist_and_to_have_credentials() {
    let text = format!("[profile a]\n{ROLE}source_profile = bsae\n[profile base]\nregion = x\n");
    assert_eq!(error(&text).hint(), "did you mean `base`?");
    let empty = error(&text.replace("bsae", "base"));
    assert_eq!(empty.to_string(), "config:3: source_profile `base` of profile `a` has no credentials");
    assert!(matches!(error("[profile a]\nregion = x\n"), ConfigError::NoCredentials { .. }));
}

#[test]
fn a_token_file_makes_source_profile_meaningless() {
    let text = format!("[profile a]\n{ROLE}web_identity_token_file = /t\nsource_profile = nobody\n");
    let Source::WebIdentity(found) = source(&text) else { panic!() };
    assert_eq!((found.token_file.to_str(), found.role_arn.as_str()), (Some("/t"), "arn:aws:iam::1:role/r"));
    assert!(matches!(error("[profile a]\nweb_identity_token_file = /t\n"), ConfigError::Partial { .. }));
}

#[test]
fn what_a_role_asks_for_is_passed_on() {
    let text = format!(
        "[profile a]\n{ROLE}{KEYS}source_profile = a\nexternal_id = e\nrole_session_name = n\nmfa_serial = m\n\
         duration_seconds = 3600\n"
    );
    let found = role(source(&text));
    assert_eq!(found.external_id.as_deref(), Some("e"));
    assert_eq!(found.session_name.as_deref(), Some("n"));
    assert_eq!(found.mfa.map(|mfa| mfa.serial).as_deref(), Some("m"));
    assert_eq!(found.duration, Some(Duration::from_secs(3600)));
}

#[test]
fn a_duration_that_is_no_number_is_refused_not_ignored() {
    let fault = Fault::from(error(&format!("[profile a]\n{ROLE}{KEYS}source_profile = a\nduration_seconds = 1h\n")));
    assert_eq!((fault.kind, fault.origin.as_str()), (Kind::Config, "config:6"));
    assert!(fault.message.contains("`1h`"), "{}", fault.message);
    assert!(fault.hint.unwrap().contains("duration_seconds = 3600"));
}

#[test]
fn one_of_the_two_keys_is_not_enough() {
    for text in
        ["aws_access_key_id = A\n", "aws_secret_access_key = S\n", "aws_access_key_id = A\naws_secret_access_key =\n"]
    {
        let found = error(&format!("[profile a]\n{text}"));
        assert!(matches!(found, ConfigError::Partial { .. }), "{found}");
    }
    let split = both("[profile a]\naws_secret_access_key = S\n", "[a]\naws_access_key_id = A\n");
    assert!(matches!(split.resolve("a").unwrap_err(), ConfigError::Partial { .. }));
}

#[test]
fn a_credential_process_is_split_into_words_without_a_shell() {
    let Source::Process(found) = source("[profile a]\ncredential_process = /bin/t --name \"d e\" '$HOME' #x\n") else {
        panic!()
    };
    assert_eq!(found.argv, ["/bin/t", "--name", "d e", "$HOME", "#x"]);
    for line in ["credential_process =\n", "credential_process = it's\n"] {
        assert!(matches!(error(&format!("[profile a]\n{line}")), ConfigError::BadCommand { .. }), "{line}");
    }
}

#[test]
fn an_sso_session_gives_start_url_region_and_scopes() {
    let Source::Sso(found) = source(&format!("[profile a]\n{SSO}{SESSION}")) else { panic!() };
    assert_eq!(found.login.key, SsoKey::Session("corp".into()));
    assert_eq!((found.login.start_url.as_str(), found.login.region.as_str()), ("https://a/start", "eu-west-1"));
    assert_eq!(found.login.scopes, ["sso:account:access", "x"]);
    assert_eq!((found.account_id.as_str(), found.role_name.as_str()), ("123456789012", "dev"));
}

#[test]
fn a_legacy_profile_is_its_own_session() {
    let text =
        format!("[profile a]\nsso_start_url = https://a/#/\nsso_region = r\n{}", &SSO["sso_session = corp\n".len()..]);
    let Source::Sso(found) = source(&text) else { panic!() };
    assert_eq!(found.login.key, SsoKey::Legacy("https://a/#/".into()));
}

#[test]
fn an_sso_profile_says_what_it_lacks() {
    let lacks = |text: &str| error(text).to_string();
    assert_eq!(
        lacks("[profile a]\nsso_account_id = 1\n"),
        "config:1: profile `a` lacks sso_start_url, sso_region, sso_role_name"
    );
    assert_eq!(
        lacks(&format!("[profile a]\n{SSO}[sso-session corp]\nsso_region = r\n")),
        "config:5: sso-session `corp` lacks sso_start_url"
    );
    let no_role = format!("[profile a]\nsso_session = corp\nsso_account_id = 1\n{SESSION}");
    assert_eq!(lacks(&no_role), "config:1: profile `a` lacks sso_role_name");
}

#[test]
fn a_missing_sso_session_is_named_with_the_one_that_looks_like_it() {
    let fault = Fault::from(error(&format!("[profile a]\n{}{SESSION}", SSO.replace("corp", "crop"))));
    assert_eq!(fault.message, "config:2: sso-session `crop` does not exist");
    assert_eq!(fault.hint.as_deref(), Some("did you mean `corp`?"));
}

#[test]
fn profile_and_session_must_not_disagree() {
    let agree = format!("[profile a]\n{SSO}sso_region = eu-west-1\n{SESSION}");
    assert!(matches!(source(&agree), Source::Sso(_)));
    let found = error(&agree.replacen("eu-west-1", "us-east-1", 1));
    assert_eq!(found.to_string(), "config:5: `sso_region` of profile `a` differs from config:8");
}

#[test]
fn a_login_is_found_by_profile_through_roles_and_by_session() {
    let text = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\n{SSO}{SESSION}[profile keys]\n{KEYS}");
    let config = config(&text);
    let key = |name: &str| config.login(name).unwrap().map(|login| login.key);
    assert_eq!(key("a"), Some(SsoKey::Session("corp".into())));
    assert_eq!(key("a"), key("corp"));
    assert_eq!(key("keys"), None);
    assert!(matches!(config.login("nobody").unwrap_err(), ConfigError::NoProfile { .. }));
}

#[test]
fn a_profile_with_a_session_and_no_role_can_sign_in_but_has_no_credentials() {
    let text = format!("[profile a]\nsso_session = corp\n{SESSION}");
    assert_eq!(config(&text).login("a").unwrap().unwrap().key, SsoKey::Session("corp".into()));
    assert_eq!(
        error(&text).to_string(),
        "config:2: profile `a` has `sso_session` but no `sso_account_id` and `sso_role_name`"
    );
}

#[test]
fn a_session_of_aws_login_is_refused_with_the_way_round() {
    let found = error("[profile a]\nlogin_session = arn\n");
    assert!(found.hint().contains("aws configure export-credentials --profile a"), "{}", found.hint());
}

#[test]
fn errors_never_show_a_secret() {
    let text = "[profile a]\naws_secret_access_key = hunter2\n";
    let fault = Fault::from(error(text));
    assert!(!format!("{fault:?}").contains("hunter2"));
    assert!(
        !format!("{:?}", source(&format!("[profile a]\n{}", KEYS.replace("= S", "= hunter2")))).contains("hunter2")
    );
}

#[test]
fn keys_with_a_device_and_no_role_mean_a_session_and_a_source_profile_uses_them_as_they_are() {
    let mfa = "mfa_serial = arn:aws:iam::111122223333:mfa/me\nmfa_process = totp 'my key'\n";
    let Source::SessionToken(found) = source(&format!("[profile a]\n{KEYS}{mfa}duration_seconds = 900\n")) else {
        panic!()
    };
    assert_eq!(found.mfa.process.unwrap(), ["totp", "my key"]);
    assert_eq!(found.duration, Some(Duration::from_secs(900)));
    let text = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\n{KEYS}{mfa}");
    assert!(matches!(below(role(source(&text))), Source::Static(_)));
}

#[test]
fn only_a_device_without_a_command_needs_a_person() {
    let role = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\n{KEYS}");
    assert!(!source(&role).asks_a_person());
    assert!(source(&role.replace("[profile b]", "mfa_serial = m\n[profile b]")).asks_a_person());
    assert!(!source(&role.replace("[profile b]", "mfa_serial = m\nmfa_process = x\n[profile b]")).asks_a_person());
}

#[test]
fn a_profile_that_asks_bowline_for_itself_means_the_store() {
    let asks = |command: &str| source(&format!("[profile a]\ncredential_process = {command}\n"));
    for command in ["bowline creds a", "/opt/x/bowline creds a", "'/opt/my programs/bowline' creds \"a\""] {
        let Source::Sealed(found) = asks(command) else { panic!("{command}") };
        assert_eq!((found.profile.as_str(), &found.place), ("a", &SealedPlace::Store), "{command}");
    }
    for command in ["bowline creds b", "bowline --config f creds a", "bowline env a", "other creds a"] {
        assert!(matches!(asks(command), Source::Process(_)), "{command}");
    }
    let text = format!("[profile a]\n{ROLE}source_profile = b\n[profile b]\ncredential_process = bowline creds b\n");
    let Source::Sealed(below) = below(role(source(&text))) else { panic!() };
    assert_eq!(below.profile, "b");
}

#[test]
fn a_sealed_value_is_never_a_key_whichever_of_the_two_it_is() {
    let values = [("__encrypted__:AA", "__encrypted__:BB"), ("__encrypted__:AA", "s"), ("AKIA1", "__encrypted__:BB")];
    for (key_id, secret) in values {
        let keys = format!("[profile a]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n");
        assert!(matches!(source(&keys), Source::Sealed(_)), "{key_id} {secret}");
        let Source::SessionToken(session) = source(&format!("{keys}mfa_serial = arn:aws:iam::1:mfa/me\n")) else {
            panic!("{key_id} {secret}")
        };
        assert!(matches!(session.keys, LongLivedKeys::Sealed(_)));
    }
}
