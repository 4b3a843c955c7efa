//! Which service and operation a request is for; decided before anything else, so that faults and counters can name it.

use http::Method;

use crate::call::Call;

/// The services on the one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Oidc,
    RolesAnywhere,
    Portal,
    Ec2,
    Iam,
    Sts,
    S3,
    /// What a container asks for its task role's credentials.
    Container,
    /// What an instance asks: IMDS.
    Instance,
    Logs,
    Ssm,
    /// Where people sign in to the console.
    Signin,
    /// `/_fake/…` and the pages for people.
    Operator,
}

/// A service's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) service: Service,
    /// `sts.AssumeRole`, `sso-oidc.CreateToken.refresh_token`, `s3.GetObject`.
    pub(crate) name: String,
    /// `bucket/key`, for S3 objects and buckets.
    pub(crate) object: Option<String>,
}

impl Operation {
    pub(crate) fn of(call: &Call) -> Self {
        let plain = |service, name: &str| Self { service, name: name.to_owned(), object: None };
        match (call.method.as_str(), call.path.as_str()) {
            ("POST", "/client/register") => plain(Service::Oidc, "sso-oidc.RegisterClient"),
            ("POST", "/device_authorization") => plain(Service::Oidc, "sso-oidc.StartDeviceAuthorization"),
            ("POST", "/token") => plain(Service::Oidc, &format!("sso-oidc.CreateToken.{}", grant(call))),
            ("GET", "/authorize") => plain(Service::Oidc, "sso-oidc.Authorize"),
            ("GET" | "POST", "/device") => plain(Service::Operator, "operator.Device"),
            ("GET", "/federation/credentials") => plain(Service::Portal, "sso.GetRoleCredentials"),
            ("GET", "/assignment/accounts") => plain(Service::Portal, "sso.ListAccounts"),
            ("GET", "/assignment/roles") => plain(Service::Portal, "sso.ListAccountRoles"),
            ("POST", "/logout") => plain(Service::Portal, "sso.Logout"),
            ("POST", "/") if call.header("x-amz-target").is_some_and(|target| target.starts_with("Logs_")) => {
                plain(Service::Logs, &format!("logs.{}", target(call)))
            }
            ("POST", "/") if call.header("x-amz-target").is_some_and(|target| target.starts_with("AmazonSSM.")) => {
                plain(Service::Ssm, &format!("ssm.{}", target(call)))
            }
            ("POST", "/federation") => plain(Service::Signin, "signin.GetSigninToken"),
            ("GET", "/federation") if call.query("Action").is_some() => plain(Service::Signin, "signin.Login"),
            ("POST", "/sessions") => plain(Service::RolesAnywhere, "rolesanywhere.CreateSession"),
            ("POST", "/") if call.form().field("Version") == Some(crate::iam::VERSION) => {
                plain(Service::Iam, &format!("iam.{}", action(call)))
            }
            ("POST", "/") if call.form().field("Version") == Some(crate::ec2::VERSION) => {
                plain(Service::Ec2, &format!("ec2.{}", action(call)))
            }
            ("POST", "/") => plain(Service::Sts, &format!("sts.{}", action(call))),
            (_, path) if path.starts_with("/_fake/") => plain(Service::Operator, "operator.Fake"),
            (_, path) if path.starts_with("/v2/credentials/") || path == "/v1/credentials" => {
                plain(Service::Container, "container.Credentials")
            }
            (_, path) if path.starts_with("/latest/") => plain(Service::Instance, instance(&call.method, path)),
            _ => s3(call),
        }
    }
}

fn instance(method: &Method, path: &str) -> &'static str {
    let roles = path.strip_prefix("/latest/meta-data/iam/security-credentials");
    match (method, roles.map(|role| role.trim_matches('/').is_empty())) {
        (&Method::PUT, None) => "imds.Token",
        (&Method::GET, Some(true)) => "imds.Role",
        (&Method::GET, Some(false)) => "imds.Credentials",
        _ => "imds.Other",
    }
}

fn grant(call: &Call) -> String {
    let body = crate::json::object(&call.body);
    let grant = body.as_ref().and_then(|body| crate::json::text(body, "grantType")).unwrap_or("none");
    let short = grant.rsplit(':').next().unwrap_or(grant);
    word(short)
}

/// The operation of a JSON 1.1 call: what stands behind the dot.
fn target(call: &Call) -> String {
    word(call.header("x-amz-target").and_then(|target| target.rsplit('.').next()).unwrap_or("none"))
}

fn action(call: &Call) -> String {
    word(call.form().field("Action").unwrap_or("none"))
}

/// A counter's name is made of what came in: keep it to letters, and short.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect()
}

fn s3(call: &Call) -> Operation {
    let path = call.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let name = match (&call.method, bucket.is_empty(), key.is_empty()) {
        (&Method::GET, true, _) => "ListBuckets",
        (&Method::GET, _, true) if call.query("location").is_some() => "GetBucketLocation",
        (&Method::GET, _, true) => "ListObjectsV2",
        (&Method::HEAD, _, true) => "HeadBucket",
        (&Method::PUT, _, true) => "CreateBucket",
        (&Method::GET, _, false) => "GetObject",
        (&Method::HEAD, _, false) => "HeadObject",
        (&Method::PUT, _, false) => "PutObject",
        (&Method::DELETE, _, false) => "DeleteObject",
        _ => "Other",
    };
    let object = Some(path.to_owned()).filter(|path| !path.is_empty());
    Operation { service: Service::S3, name: format!("s3.{name}"), object }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;

    fn name(method: &str, uri: &str, body: &'static str) -> String {
        let request = Request::builder().method(method).uri(uri).body(Bytes::from(body)).unwrap();
        Operation::of(&Call::read(request)).name
    }

    #[test]
    fn one_port_serves_every_service() {
        assert_eq!(name("POST", "/token", r#"{"grantType":"refresh_token"}"#), "sso-oidc.CreateToken.refresh_token");
        let device = r#"{"grantType":"urn:ietf:params:oauth:grant-type:device_code"}"#;
        assert_eq!(name("POST", "/token", device), "sso-oidc.CreateToken.device_code");
        assert_eq!(name("POST", "/", "Action=AssumeRole&Version=2011-06-15"), "sts.AssumeRole");
        assert_eq!(name("POST", "/", "Action=CreateUser&Version=2010-05-08"), "iam.CreateUser");
        assert_eq!(name("POST", "/", "Action=CreateTags&Version=2016-11-15"), "ec2.CreateTags");
        assert_eq!(name("GET", "/federation/credentials?role_name=a", ""), "sso.GetRoleCredentials");
        assert_eq!(name("GET", "/maven?list-type=2", ""), "s3.ListObjectsV2");
        assert_eq!(name("HEAD", "/maven/token", ""), "s3.HeadObject");
        assert_eq!(name("GET", "/", ""), "s3.ListBuckets");
        assert_eq!(name("GET", "/federation?Action=login&SigninToken=x", ""), "signin.Login");
    }
}
