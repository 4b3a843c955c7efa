//! What the login-needed file says of one session: why, where the sign-in is, whose work waits for it, what to type.
//!
//! It is read by people and by scripts of people, so the names before the colons stay. It knows no token.

use bowline_awsfiles::{Config, SsoLogin};
use bowline_base::Fault;

use crate::session_name;

/// The paragraph for `session`, which `fault` is about. Without a `config` that can be read, what is known still.
pub(super) fn paragraph(session: &str, fault: &Fault, config: Option<&Config>) -> String {
    let waiting = config.map(|config| waiting(session, config)).unwrap_or_default();
    let mut lines = vec![fault.to_string(), format!("session: {session}")];
    if let Some((_, login)) = waiting.first() {
        lines.extend([format!("start URL: {}", login.start_url), format!("region: {}", login.region)]);
        let names: Vec<&str> = waiting.iter().map(|(name, _)| name.as_str()).collect();
        lines.push(format!("profiles: {}", names.join(", ")));
    }
    lines.extend(fault.hint.clone());
    lines.join("\n")
}

/// The profiles that need `session`, and how each of them signs in.
fn waiting(session: &str, config: &Config) -> Vec<(String, SsoLogin)> {
    let names = config.profiles().map(|profile| profile.name().to_owned());
    let logins = names.filter_map(|name| config.login(&name).ok().flatten().map(|login| (name, login)));
    logins.filter(|(_, login)| session_name(login) == session).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bowline_awsfiles::Document;
    use bowline_base::Kind;

    use super::*;

    const FILE: &str = "
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-central-1
[profile build]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = MavenRead
[profile deploy]
role_arn = arn:aws:iam::111122223333:role/deploy
source_profile = build
[profile other]
region = eu-west-1
";

    fn needed() -> Fault {
        Fault::new(Kind::LoginRequired, "sso", "`corp` needs a login: nobody has signed in yet")
            .hint("run `bowline login corp`")
    }

    #[test]
    fn says_where_for_whom_and_what_to_type() {
        let file = Document::parse(Path::new("config"), FILE.as_bytes()).unwrap();
        let config = Config::read(Some(&file), None).unwrap();
        let wanted = "`corp` needs a login: nobody has signed in yet\nsession: corp\n\
                      start URL: https://corp.awsapps.com/start\nregion: eu-central-1\nprofiles: build, deploy\n\
                      run `bowline login corp`";
        assert_eq!(paragraph("corp", &needed(), Some(&config)), wanted);
    }

    #[test]
    fn without_a_readable_configuration_the_command_is_told_still() {
        let text = paragraph("corp", &needed(), None);
        assert!(text.contains("session: corp\nrun `bowline login corp`"), "{text}");
    }
}
