//! The metadata service of an EC2 instance, version 2: a token first, then the role's name, then its credentials.
//!
//! Version 1 is asked only where `AWS_EC2_METADATA_V1_DISABLED` is `false` in so many words. Off EC2 nobody answers: the
//! first question gets a second, and no repetition.

use std::{collections::BTreeMap, time::Duration};

use bowline_base::{Credentials, Fault, Kind, Secret, url, wire::Wire};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};

use super::{
    metadata::{self, Answered, Trouble},
    own::Own,
};

const BUDGET: Duration = Duration::from_secs(1);
const ORIGIN: &str = "instance metadata";
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// What 403 may mean.
const REFUSED: &str = "it is switched off for this instance, or something else answers at its address: see `curl -i -X PUT \
                       http://169.254.169.254/latest/api/token`; where it knows version 1 alone, set AWS_EC2_METADATA_V1_DISABLED=false";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";

/// The origin of the fault that says that nobody answers: this is no EC2 instance, most likely.
pub(super) const ABSENT: &str = "no instance metadata";

pub(super) async fn credentials(
    environment: &BTreeMap<String, String>,
    own: &Own,
    wire: &dyn Wire,
) -> Result<Credentials, Fault> {
    let base = endpoint(environment)?;
    own.refuse(&base)?;
    let service = Service { base, wire };
    let token = service.token(set(environment, "AWS_EC2_METADATA_V1_DISABLED") == Some("false")).await?;
    let role = service.text(ROLES, token.as_ref()).await.map_err(|answered| match answered.status {
        Some(StatusCode::NOT_FOUND) => Fault::new(Kind::Config, ORIGIN, "the instance has no role")
            .hint("attach an instance profile to it, or name a profile"),
        _ => service.said(answered),
    })?;
    let role = role.expose().lines().next().unwrap_or_default().trim().to_owned();
    let text =
        service.text(&format!("{ROLES}{role}"), token.as_ref()).await.map_err(|answered| service.said(answered))?;
    metadata::credentials(&text, wire.now().wall).map_err(|why| {
        let message = format!("the instance metadata service answered for role `{role}` with {why}");
        Fault::new(Kind::Unreachable, ORIGIN, message).hint("look at the role's trust policy")
    })
}

/// Where the service is.
pub(super) fn place(environment: &BTreeMap<String, String>) -> String {
    let six = || {
        let mode = set(environment, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
        mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"))
    };
    match set(environment, ENDPOINT) {
        Some(endpoint) => endpoint.to_owned(),
        None if six() => "http://[fd00:ec2::254]".to_owned(),
        None => "http://169.254.169.254".to_owned(),
    }
}

fn endpoint(environment: &BTreeMap<String, String>) -> Result<Uri, Fault> {
    if set(environment, "AWS_EC2_METADATA_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        let message = "the instance metadata service is switched off by AWS_EC2_METADATA_DISABLED";
        return Err(Fault::new(Kind::Config, "environment", message).hint("run `unset AWS_EC2_METADATA_DISABLED`"));
    }
    let text = place(environment);
    let absolute = text.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.host().is_some());
    absolute.ok_or_else(|| {
        Fault::new(
            Kind::Config,
            "environment",
            format!("{ENDPOINT} is `{}`, which is no absolute address", url::harmless(&text)),
        )
        .hint(format!("set it to an address such as http://127.0.0.1:9912, or run `unset {ENDPOINT}`"))
    })
}

struct Service<'a> {
    base: Uri,
    wire: &'a dyn Wire,
}

impl Service<'_> {
    /// `None`: version 1, because it was asked for and there is no other.
    async fn token(&self, version_1: bool) -> Result<Option<Secret>, Fault> {
        let mut request = self.request(Method::PUT, "latest/api/token")?;
        let ttl = HeaderValue::from_static("21600");
        request.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", ttl);
        request.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answered = match metadata::ask(self.wire, request, BUDGET).await {
            Ok(token) => return Ok(Some(token)),
            Err(answered) => answered,
        };
        let refused = answered.status == Some(StatusCode::FORBIDDEN);
        let old = answered.status.is_none_or(|status| [403, 404, 405].contains(&status.as_u16()));
        match &answered.trouble {
            _ if version_1 && old => Ok(None),
            Trouble::Silent(_) if answered.status.is_none() => {
                Err(answered.fault(ABSENT, "the instance metadata service"))
            }
            Trouble::Silent(_) | Trouble::Said { .. } => {
                let missing = self.said(answered);
                Err(match (refused, old) {
                    (true, _) => missing.hint(REFUSED),
                    (false, true) => {
                        missing.hint("only version 1 is there: set AWS_EC2_METADATA_V1_DISABLED=false to use it")
                    }
                    (false, false) => missing,
                })
            }
        }
    }

    async fn text(&self, path: &str, token: Option<&Secret>) -> Result<Secret, Answered> {
        let unusable = |why: &str| Answered {
            status: None,
            trouble: Trouble::Said { kind: Kind::Unreachable, why: why.to_owned() },
        };
        let mut request = self.request(Method::GET, path).map_err(|_| unusable("a role's name that is none"))?;
        if let Some(token) = token {
            let mut value =
                HeaderValue::from_str(token.expose().trim()).map_err(|_| unusable("a token that is none"))?;
            value.set_sensitive(true);
            request.headers_mut().insert("x-aws-ec2-metadata-token", value);
        }
        metadata::ask(self.wire, request, BUDGET).await
    }

    fn request(&self, method: Method, path: &str) -> Result<Request<Bytes>, Fault> {
        let address = format!("{}/{path}", self.base.to_string().trim_end_matches('/'));
        Request::builder().method(method).uri(&address).body(Bytes::new()).map_err(|cause| {
            Fault::new(Kind::Config, ORIGIN, format!("`{}` is no address", url::harmless(&address))).cause(cause)
        })
    }

    fn said(&self, answered: Answered) -> Fault {
        answered.fault(ORIGIN, "the instance metadata service")
    }
}

fn set<'a>(environment: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    environment.get(name).map(String::as_str).filter(|text| !text.is_empty())
}
