//! Long-lived access keys: in the AWS files and in the environment. Shown by the last four characters of their id.

use bowline_awsfiles::{Config, Profile, Section, Setting};
use bowline_host::Check;
use bowline_vault::envelope::is_sealed;

use super::{Patient, ids, verdict::*};

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let in_files = match patient.world.aws_config() {
        Ok(config) => of_files(&config),
        // What cannot be read is told by `files`.
        Err(fault) => vec![from_fault(ids::KEYS_FILE, &fault)],
    };
    let of = |name: &str| patient.world.environment.var(name);
    let session = of("AWS_SESSION_TOKEN").or_else(|| of("AWS_SECURITY_TOKEN")).is_some();
    in_files.into_iter().chain([of_environment(of("AWS_ACCESS_KEY_ID"), session)]).collect()
}

fn of_files(config: &Config) -> Vec<Check> {
    let wrong = config.profiles().flat_map(|profile| {
        [profile.in_credentials(), profile.in_config()]
            .into_iter()
            .flatten()
            .filter_map(|section| of_section(profile, section))
    });
    or_ok(wrong.collect(), ids::KEYS_FILE, || "no long-lived access key lies in the AWS files".to_owned())
}

/// Keys with a session token end by themselves.
fn of_section(profile: &Profile, section: &Section) -> Option<Check> {
    let token = ["aws_session_token", "aws_security_token"].iter().filter_map(|key| section.settings.get(*key));
    if token.filter_map(Setting::secret).any(|token| !token.is_blank()) {
        return None;
    }
    let setting = section.settings.get("aws_access_key_id")?;
    // An envelope of iam-sorry is no key in plaintext.
    let id = setting.text().filter(|id| is_long_lived(id) && !is_sealed(id))?;
    let name = profile.name();
    let why = format!("{}: profile `{name}` has a long-lived access key {}", setting.origin, shown(id));
    let fix = format!(
        "if it has to stay: bowline vault migrate {name}   (sealed; docs/guide/vault.md)\n\
         else let what uses it use sso_session (bowline doctor sso) or Roles Anywhere (docs/guide/roles-anywhere.md), then\n\
         aws iam update-access-key --status Inactive --access-key-id \"$(aws configure get aws_access_key_id --profile {name})\"\n\
         and remove its two lines, from {}",
        setting.origin
    );
    Some(degraded(ids::KEYS_FILE, why, fix))
}

fn of_environment(key: Option<&str>, session: bool) -> Check {
    let id = ids::KEYS_ENVIRONMENT;
    match key.filter(|_| !session) {
        None => ok(id, "no long-lived access key stands in the environment"),
        Some(key) if !is_long_lived(key) => {
            let why = format!("AWS_ACCESS_KEY_ID is {} without its AWS_SESSION_TOKEN: AWS refuses it", shown(key));
            failed(id, why, Some("unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY".to_owned()))
        }
        Some(key) => {
            let why = format!(
                "AWS_ACCESS_KEY_ID is a long-lived access key {}; tools take it before every profile",
                shown(key)
            );
            let fix = "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY   # and find who sets them: grep -n AWS_ACCESS_KEY_ID ~/.profile ~/.bashrc ~/.zshrc /etc/environment";
            degraded(id, why, fix)
        }
    }
}

/// Ids of sessions begin with `ASIA`; other stores than AWS have ids of other kinds, which do not end either.
fn is_long_lived(id: &str) -> bool {
    !id.is_empty() && !id.starts_with("ASIA")
}

fn shown(id: &str) -> String {
    let letters: Vec<char> = id.chars().collect();
    let last: String = letters[letters.len().saturating_sub(4)..].iter().collect();
    if letters.len() < 16 { "(of an unusual form)".to_owned() } else { format!("…{last}") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bowline_awsfiles::Document;
    use bowline_host::Verdict;

    use super::*;

    const ID: &str = concat!("AKIA", "Q3EGRT4ZK7XPLM2N");

    fn judged(credentials: &str) -> Vec<Check> {
        let document = Document::parse(Path::new("credentials"), credentials.as_bytes()).unwrap();
        of_files(&Config::read(None, Some(&document)).unwrap())
    }

    #[test]
    fn a_long_lived_key_is_shown_by_its_last_four_only() {
        let checks = judged(&format!("[old]\naws_access_key_id = {ID}\naws_secret_access_key = hunter2\n"));
        assert_eq!((checks.len(), checks[0].verdict), (1, Verdict::Degraded));
        let said = format!("{}{}", checks[0].why, checks[0].fix.as_ref().unwrap());
        assert!(said.contains("credentials:2: profile `old`") && said.contains("…LM2N"), "{said}");
        assert!(!said.contains(ID) && !said.contains("hunter2"), "{said}");
        assert!(said.contains("update-access-key --status Inactive"), "{said}");
        assert!(said.contains("bowline vault migrate old"), "{said}");
    }

    #[test]
    fn an_envelope_is_no_key_in_plaintext() {
        let sealed = "[s]\naws_access_key_id = __encrypted__:AAAA\naws_secret_access_key = __encrypted__:BBBB\n";
        assert_eq!(judged(sealed)[0].verdict, Verdict::Ok);
    }

    #[test]
    fn keys_of_a_session_are_none() {
        let session = format!("[s]\naws_access_key_id = {ID}\naws_secret_access_key = x\naws_session_token = y\n");
        assert_eq!(judged(&session)[0].verdict, Verdict::Ok);
        assert_eq!(judged("[s]\nregion = x\n")[0].verdict, Verdict::Ok);
    }

    #[test]
    fn the_environment_is_looked_at_too() {
        assert_eq!(of_environment(None, false).verdict, Verdict::Ok);
        assert_eq!(of_environment(Some(ID), false).verdict, Verdict::Degraded);
        assert_eq!(of_environment(Some("ASIAQ3EGRT4ZK7XPLM2N"), true).verdict, Verdict::Ok);
        assert_eq!(of_environment(Some("ASIAQ3EGRT4ZK7XPLM2N"), false).verdict, Verdict::Failed);
        assert!(!of_environment(Some("short"), false).why.contains("short"));
    }
}
