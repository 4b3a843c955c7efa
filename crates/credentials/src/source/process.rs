//! `credential_process`: a command that prints credentials. No shell, a time limit, an output limit, no inherited
//! secrets, and no way back into this program.

use std::{collections::BTreeMap, time::Duration};

use bowline_awsfiles::Process;
use bowline_base::{Credentials, Fault, KeyId, Kind, Secret, Timestamp, parse_timestamp, wire::Wire};
use serde_json::Value;

/// Set for the command, with how deep we are: `bowline creds` refuses to answer where it is set.
pub const RECURSION_MARK: &str = "BOWLINE_CREDENTIAL_PROCESS";

const LIMIT: Duration = Duration::from_secs(60);
const MOST_OUTPUT: u64 = 64 * 1024;

/// What a command has no business to know.
const SECRETS: [&str; 7] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Looked at before anything is waited for: the process that asked us holds the lock of this entry.
pub(super) fn refuse_recursion(command: &Process, environment: &BTreeMap<String, String>) -> Result<(), Fault> {
    if !environment.contains_key(RECURSION_MARK) {
        return Ok(());
    }
    let message = format!("`credential_process` at {} asks Bowline, which was asked by it", command.origin);
    Err(Fault::new(Kind::Config, command.origin.to_string(), message)
        .hint("point `credential_process` at a profile that does not lead back to itself"))
}

pub(super) async fn credentials(
    command: &Process,
    environment: &BTreeMap<String, String>,
    wire: &dyn Wire,
) -> Result<Credentials, Fault> {
    let program = command.argv.first().map_or("", String::as_str);
    let finished = bowline_host::process::run(&command.argv, &for_child(environment), LIMIT, MOST_OUTPUT).await?;
    if !finished.success {
        let how = finished.code.map_or_else(|| "was killed".to_owned(), |code| format!("exited with {code}"));
        let said: String = finished.stderr.chars().take(500).collect();
        let message = format!("`{program}` ({}) {how}", command.origin);
        let fault = Fault::new(Kind::Refused, "credential_process", message).hint(format!("run `{program}` by hand"));
        return Err(if said.is_empty() { fault } else { fault.cause(said) });
    }
    let mut credentials = parse(&finished.stdout, wire.now().wall).map_err(|why| {
        Fault::new(Kind::Config, "credential_process", format!("`{program}` ({}) {why}", command.origin))
            .hint("it has to print one JSON object with Version 1, AccessKeyId and SecretAccessKey, and nothing else")
    })?;
    credentials.account_id = credentials.account_id.or_else(|| command.account_id.clone());
    Ok(credentials)
}

/// The environment without secrets, marked.
pub(crate) fn for_child(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut child = environment.clone();
    for name in SECRETS {
        child.remove(name);
    }
    child.insert(RECURSION_MARK.to_owned(), "1".to_owned());
    child
}

/// Reads the document that `credential_process` promises. Says what is wrong without ever showing it, since it may
/// hold a secret.
///
/// # Errors
/// What is wrong, as the end of a sentence that begins with who printed it.
pub fn parse(output: &[u8], now: Timestamp) -> Result<Credentials, String> {
    let value: Value = serde_json::from_slice(output).map_err(|_| "did not print one JSON object".to_owned())?;
    if value["Version"] != 1 {
        return Err("did not print `\"Version\": 1`".to_owned());
    }
    let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
    let required = |name: &str| text(name).ok_or_else(|| format!("did not print a text in `{name}`"));
    let expires_at = match &value["Expiration"] {
        Value::Null => None,
        Value::String(end) => Some(parse_timestamp(end).map_err(|error| format!("printed an `Expiration`: {error}"))?),
        _ => return Err("printed an `Expiration` that is no text".to_owned()),
    };
    Ok(Credentials {
        key_id: KeyId::new(required("AccessKeyId")?),
        secret_key: Secret::new(required("SecretAccessKey")?),
        session_token: text("SessionToken").map(Secret::new),
        expires_at,
        obtained_at: now,
        account_id: text("AccountId").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn both_keys_and_version_one_are_required() {
        let good = r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"2027-01-15T08:00:00Z"}"#;
        assert_eq!(parse(good.as_bytes(), at()).unwrap().key_id.as_str(), "A");
        for (text, why) in [
            ("", "one JSON object"),
            ("hello", "one JSON object"),
            (r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S"} trailing"#, "one JSON object"),
            (r#"{"AccessKeyId":"A","SecretAccessKey":"S"}"#, "Version"),
            (r#"{"Version":"1","AccessKeyId":"A","SecretAccessKey":"S"}"#, "Version"),
            (r#"{"Version":1,"AccessKeyId":"A"}"#, "SecretAccessKey"),
            (r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":""}"#, "SecretAccessKey"),
            (r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"soon"}"#, "Expiration"),
            (r#"{"Version":1,"AccessKeyId":"A","SecretAccessKey":"S","Expiration":7}"#, "Expiration"),
        ] {
            assert!(parse(text.as_bytes(), at()).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn the_child_inherits_no_key_and_is_marked() {
        let mut environment: BTreeMap<String, String> =
            SECRETS.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        environment.insert("PATH".to_owned(), "/bin".to_owned());
        let child = for_child(&environment);
        assert_eq!(child.keys().collect::<Vec<_>>(), [RECURSION_MARK, "PATH"]);
    }
}
