//! `credential_process`: a command that prints credentials. No shell, a time limit, an output limit, no inherited
//! secrets, and no way back to what waits for it.

use std::{collections::BTreeMap, time::Duration};

use bowline_awsfiles::Process;
use bowline_base::{Credentials, Fault, KeyId, Kind, Retry, Secret, Timestamp, parse_timestamp, wire::Wire};
use serde_json::Value;

use crate::lease_store::LeaseId;

/// Set for the command: the leases that wait for it, by id, a part for each command. A `bowline creds` below it goes
/// without the daemon, and refuses what leads back to one of these, or a ninth command below the first.
pub const RECURSION_MARK: &str = "BOWLINE_CREDENTIAL_PROCESS";

/// Commands that may wait for each other.
const DEEPEST: usize = 8;

const LIMIT: Duration = Duration::from_secs(60);
/// How long after a failure the command is run again.
const AGAIN: Duration = Duration::from_secs(60);
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

/// Looked at before anything is waited for: a process above us holds the locks of the leases that wait.
pub(super) fn refuse_recursion(
    profile: &str,
    lease: &LeaseId,
    environment: &BTreeMap<String, String>,
) -> Result<(), Fault> {
    let mark = environment.get(RECURSION_MARK).map_or("", String::as_str);
    let message = if mark.split([',', '/']).any(|waiting| waiting == lease.as_str()) {
        format!("profile `{profile}`: its `credential_process` asks Bowline for what waits for it")
    } else if depth(mark) >= DEEPEST {
        format!("profile `{profile}`: more than {DEEPEST} `credential_process` commands call each other")
    } else {
        return Ok(());
    };
    Err(Fault::new(Kind::Config, format!("profile `{profile}`"), message)
        .hint("point `credential_process` at a profile that does not lead back to itself"))
}

/// Each command adds one part to the mark.
fn depth(mark: &str) -> usize {
    mark.split('/').filter(|part| !part.is_empty()).count()
}

/// `waiting` are the leases that wait for the command, its own among them.
///
/// Nobody tells us when a command that failed would work again, and a set that is held is not to end because of one
/// failure: so every failure is one that is tried again.
pub(super) async fn credentials(
    command: &Process,
    waiting: &[LeaseId],
    environment: &BTreeMap<String, String>,
    wire: &dyn Wire,
) -> Result<Credentials, Fault> {
    let answer = answer(command, waiting, environment, wire).await;
    answer.map_err(|fault| if fault.retry == Retry::Never { fault.retry(Retry::After(AGAIN)) } else { fault })
}

async fn answer(
    command: &Process,
    waiting: &[LeaseId],
    environment: &BTreeMap<String, String>,
    wire: &dyn Wire,
) -> Result<Credentials, Fault> {
    let program = command.argv.first().map_or("", String::as_str);
    let finished =
        bowline_host::process::run(&command.argv, &for_child(environment, waiting), LIMIT, MOST_OUTPUT).await?;
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

/// What a command may see of `environment`: everything but credentials.
#[must_use]
pub fn without_secrets(environment: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut child = environment.clone();
    for name in SECRETS {
        child.remove(name);
    }
    child
}

/// The environment without secrets, marked with the leases that wait for the command.
pub(crate) fn for_child(environment: &BTreeMap<String, String>, waiting: &[LeaseId]) -> BTreeMap<String, String> {
    let mut child = without_secrets(environment);
    let waiting = waiting.iter().map(LeaseId::as_str).collect::<Vec<_>>().join(",");
    let above = environment.get(RECURSION_MARK).filter(|mark| !mark.is_empty());
    let mark = above.map_or_else(|| waiting.clone(), |above| format!("{above}/{waiting}"));
    child.insert(RECURSION_MARK.to_owned(), mark);
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
        let child = for_child(&environment, &[LeaseId::of("x")]);
        assert_eq!(child.keys().collect::<Vec<_>>(), [RECURSION_MARK, "PATH"]);
    }

    #[test]
    fn commands_may_call_each_other_but_not_in_a_circle_nor_without_end() {
        let leases: Vec<LeaseId> = (0..20).map(|n| LeaseId::of(&n.to_string())).collect();
        let mut environment = BTreeMap::new();
        for (depth, pair) in leases.chunks(2).enumerate() {
            let refused = refuse_recursion("p", &pair[0], &environment);
            assert_eq!(refused.is_ok(), depth < DEEPEST, "{depth}");
            environment = for_child(&environment, pair);
            for waiting in pair {
                assert!(refuse_recursion("p", waiting, &environment).is_err(), "{depth}");
            }
        }
    }
}
