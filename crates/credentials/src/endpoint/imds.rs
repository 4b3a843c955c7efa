//! Instance metadata, version 2: which path means what, and the tokens of its clients. Version 1 is answered 401. Pure:
//! randomness and time come in.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Now, Secret};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::answer::Refusal;

/// Carries the token of a client.
pub(super) const TOKEN: &str = "x-aws-ec2-metadata-token";
/// Carries the life of a token, both ways.
pub(super) const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// As many clients at one time as the official helper takes; the one that ends first makes room.
const MOST: usize = 256;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// A token of this life.
    Token(u32),
    /// The name of the role.
    Roles,
    /// Its credentials.
    Credentials(String),
    Region,
    Zone,
    Document,
    Info,
    InstanceId,
}

/// Reads a request; whatever is no PUT of a token needs one from `sessions`, before it is said whether the path exists.
pub(super) fn question(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    sessions: &Sessions,
    now: Now,
) -> Result<Question, Refusal> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if *method == Method::PUT {
        return match path {
            "/latest/api/token" => lifetime(headers).map(Question::Token),
            _ => Err(Refusal::new(405, "MethodNotAllowed", "PUT is for /latest/api/token")),
        };
    }
    let given = headers.get(TOKEN).map_or(&b""[..], |value| value.as_bytes());
    if !sessions.know(given, now) {
        return Err(Refusal::new(401, "Unauthorized", "PUT /latest/api/token first: IMDSv1 is not answered"));
    }
    let below = path.strip_prefix("/latest/").unwrap_or_default();
    Ok(match below {
        "meta-data/iam/security-credentials" => Question::Roles,
        "meta-data/iam/info" => Question::Info,
        "meta-data/placement/region" => Question::Region,
        "meta-data/placement/availability-zone" => Question::Zone,
        "meta-data/instance-id" => Question::InstanceId,
        "dynamic/instance-identity/document" => Question::Document,
        _ => match role(path) {
            Some(role) => Question::Credentials(role),
            None => return Err(Refusal::new(404, "NotFound", format!("there is no `{path}` here"))),
        },
    })
}

/// The role whose credentials are at `path`.
pub(super) fn role(path: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.strip_prefix("/latest/meta-data/iam/security-credentials/").and_then(crate::socket::decode)
}

fn lifetime(headers: &HeaderMap) -> Result<u32, Refusal> {
    let text = headers.get(TTL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wrong = || Refusal::new(400, "BadRequest", format!("`{TTL}` must be a number from 1 to 21600"));
    text.parse().ok().filter(|seconds| (1..=21600).contains(seconds)).ok_or_else(wrong)
}

/// The tokens that clients hold.
#[derive(Debug, Default)]
pub(super) struct Sessions(BTreeMap<u64, (Secret, Duration)>, u64);

impl Sessions {
    /// Remembers `token` for `seconds`. Where there are too many the oldest goes, whose client gets a 401 and asks for
    /// another; the shortest would be the one that somebody is just about to show.
    pub(super) fn add(&mut self, token: Secret, seconds: u32, now: Now) {
        self.0.retain(|_, (_, until)| now.boot < *until);
        while self.0.len() >= MOST {
            self.0.pop_first();
        }
        self.1 += 1;
        self.0.insert(self.1, (token, now.boot + Duration::from_secs(seconds.into())));
    }

    fn know(&self, given: &[u8], now: Now) -> bool {
        let mut living = self.0.values().filter(|(_, until)| now.boot < *until);
        living.any(|(token, _)| bool::from(token.expose().as_bytes().ct_eq(given)))
    }
}

/// An id in the form of an instance's, for SDKs that insist on one.
pub(super) const INSTANCE_ID: &str = "i-0b0e11e0000000000";

/// The identity document; what is not known is left out.
pub(super) fn document(region: Option<&str>, account: Option<&str>) -> Value {
    let mut document = json!({ "version": "2017-09-30", "instanceId": INSTANCE_ID });
    if let Some(region) = region {
        document["region"] = region.into();
        document["availabilityZone"] = zone(region).into();
    }
    if let Some(account) = account {
        document["accountId"] = account.into();
    }
    document
}

/// `iam/info`, for the SDKs that look there before they look for credentials.
pub(super) fn info(role: &str, account: Option<&str>, updated: &str) -> Value {
    let account = account.unwrap_or("000000000000");
    json!({
        "Code": "Success",
        "LastUpdated": updated,
        "InstanceProfileArn": format!("arn:aws:iam::{account}:instance-profile/{role}"),
        "InstanceProfileId": "AIPABOWLINE0000000000",
    })
}

/// A zone of the region: botocore takes its last letter off to have the region.
pub(super) fn zone(region: &str) -> String {
    format!("{region}a")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn at(seconds: u64) -> Now {
        Now { boot: Duration::from_secs(seconds), wall: bowline_base::Timestamp::UNIX_EPOCH }
    }

    fn ask(
        sessions: &Sessions,
        now: Now,
        method: &Method,
        path: &str,
        given: &[(&str, &str)],
    ) -> Result<Question, u16> {
        let pairs = given
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap()));
        question(method, path, &pairs.collect(), sessions, now).map_err(|refusal| refusal.status())
    }

    #[test]
    fn a_token_of_one_second_to_six_hours_is_given() {
        let put = |ttl| ask(&Sessions::default(), at(0), &Method::PUT, "/latest/api/token", &[(TTL, ttl)]);
        assert_eq!((put("1"), put("21600")), (Ok(Question::Token(1)), Ok(Question::Token(21600))));
        for bad in ["", "0", "21601", "-1", "x"] {
            assert_eq!(put(bad), Err(400), "{bad}");
        }
        assert_eq!(ask(&Sessions::default(), at(0), &Method::PUT, "/latest/other", &[(TTL, "1")]), Err(405));
    }

    #[test]
    fn version_one_a_guess_and_an_ended_token_are_401_whatever_the_path() {
        let mut sessions = Sessions::default();
        sessions.add(Secret::new("good"), 10, at(0));
        for path in ["/latest/meta-data/iam/security-credentials/", "/latest/meta-data/no-such-thing", "/"] {
            assert_eq!(ask(&sessions, at(0), &Method::GET, path, &[]), Err(401), "{path}");
            assert_eq!(ask(&sessions, at(0), &Method::GET, path, &[(TOKEN, "goo")]), Err(401), "{path}");
            assert_eq!(ask(&sessions, at(10), &Method::GET, path, &[(TOKEN, "good")]), Err(401), "{path}");
        }
    }

    #[test]
    fn a_token_just_given_is_known_however_many_longer_ones_there_are() {
        let mut sessions = Sessions::default();
        for number in 0..MOST {
            sessions.add(Secret::new(format!("long-{number}")), 21_600, at(0));
        }
        sessions.add(Secret::new("short"), 1, at(0));
        assert!(sessions.know(b"short", at(0)) && sessions.know(b"long-1", at(0)) && !sessions.know(b"long-0", at(0)));
    }

    #[test]
    fn paths_mean_the_same_with_and_without_a_slash() {
        let mut sessions = Sessions::default();
        sessions.add(Secret::new("good"), 10, at(0));
        let get = |path: &str| ask(&sessions, at(9), &Method::GET, path, &[(TOKEN, "good")]);
        let questions = [
            ("meta-data/iam/security-credentials", Question::Roles),
            ("meta-data/iam/security-credentials/build", Question::Credentials("build".to_owned())),
            ("meta-data/iam/info", Question::Info),
            ("meta-data/placement/region", Question::Region),
            ("meta-data/placement/availability-zone", Question::Zone),
            ("meta-data/instance-id", Question::InstanceId),
            ("dynamic/instance-identity/document", Question::Document),
        ];
        for (path, question) in questions {
            assert_eq!(get(&format!("/latest/{path}")), Ok(question.clone()), "{path}");
            assert_eq!(get(&format!("/latest/{path}/")), Ok(question), "{path}/");
        }
        assert_eq!(get("/latest/meta-data/"), Err(404));
    }

    #[test]
    fn the_oldest_token_makes_room() {
        let mut sessions = Sessions::default();
        sessions.add(Secret::new("short"), 5, at(0));
        for number in 0..MOST {
            sessions.add(Secret::new(format!("long{number}")), 100, at(0));
        }
        assert!(sessions.0.len() == MOST && !sessions.know(b"short", at(0)) && sessions.know(b"long255", at(0)));
    }
}
