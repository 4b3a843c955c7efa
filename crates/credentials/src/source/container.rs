//! The credential endpoint of a container: ECS by a relative address, EKS Pod Identity and everything else by a full one.
//! The token file is read anew for each question.

use std::{collections::BTreeMap, fs, io::Read as _, net::IpAddr, time::Duration};

use bowline_base::{Credentials, Fault, Kind, Retry, Secret, url, wire::Wire};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};

use super::{metadata, own::Own};

/// botocore's: two seconds, three tries.
const LIMIT: Duration = Duration::from_secs(2);
const TRIES: usize = 3;
const ORIGIN: &str = "container";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// No token is longer; EKS's are some 1 KiB.
const MOST_TOKEN: u64 = 64 * 1024;

pub(super) async fn credentials(
    environment: &BTreeMap<String, String>,
    own: &Own,
    wire: &dyn Wire,
) -> Result<Credentials, Fault> {
    let address = address(environment)?;
    own.refuse(&address)?;
    let what = format!("the container's endpoint `{}`", url::place(&address));
    let mut tries = 1;
    loop {
        let fault = match metadata::ask(wire, request(&address, environment)?, LIMIT).await {
            Ok(text) => match metadata::credentials(&text, wire.now().wall) {
                Ok(credentials) => return Ok(credentials),
                Err(why) => Fault::new(Kind::Unreachable, ORIGIN, format!("{what} answered with {why}"))
                    .hint("see that the address is that of a credential endpoint"),
            },
            Err(answered) => answered.fault(ORIGIN, &what),
        };
        if fault.kind != Kind::Unreachable || tries == TRIES {
            return Err(explained(fault));
        }
        tries += 1;
        wire.sleep(Duration::from_millis(100)).await;
    }
}

/// What decides who is asked, for the name of the lease: the token itself stays out.
pub(super) fn place(environment: &BTreeMap<String, String>) -> Vec<Option<&String>> {
    [RELATIVE, FULL, TOKEN_FILE].into_iter().map(|name| environment.get(name)).collect()
}

/// The token of the environment, which may decide too.
pub(super) fn token(environment: &BTreeMap<String, String>) -> Option<Secret> {
    text(environment, TOKEN).map(Secret::new)
}

fn explained(fault: Fault) -> Fault {
    if fault.hint.is_some() {
        return fault;
    }
    fault.hint(format!("look at {RELATIVE}, {FULL} and {TOKEN_FILE}"))
}

fn address(environment: &BTreeMap<String, String>) -> Result<Uri, Fault> {
    let wrong = |name: &str, why: &str| {
        Fault::new(Kind::Config, "environment", format!("{name} {why}"))
            .hint("plain http is taken for loopback, 169.254.170.2, 169.254.170.23 and [fd00:ec2::23] only")
    };
    if let Some(path) = text(environment, RELATIVE) {
        let uri = format!("http://169.254.170.2{path}").parse::<Uri>().ok().filter(|_| path.starts_with('/'));
        return uri.ok_or_else(|| wrong(RELATIVE, "is no path that begins with `/`"));
    }
    let Some(full) = text(environment, FULL) else {
        let message = format!("neither {RELATIVE} nor {FULL} is set");
        return Err(Fault::new(Kind::Config, "environment", message).hint("run this in a container with a task role"));
    };
    let uri: Uri = full.parse().map_err(|_| wrong(FULL, "is no absolute address"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("https"), Some(_)) => Ok(uri),
        (Some("http"), Some(host)) if is_near(host) => Ok(uri),
        (Some("http"), Some(host)) => Err(wrong(FULL, &format!("is plain http to `{host}`"))),
        _ => Err(wrong(FULL, "is no absolute http(s) address")),
    }
}

/// Hosts that plain http may go to, by botocore's list.
fn is_near(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let Ok(address) = bare.parse::<IpAddr>() else { return bare.eq_ignore_ascii_case("localhost") };
    let listed = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    address.is_loopback() || listed.iter().any(|near| near.parse() == Ok(address))
}

fn request(address: &Uri, environment: &BTreeMap<String, String>) -> Result<Request<Bytes>, Fault> {
    let builder = Request::get(address.clone()).header(header::ACCEPT, "application/json");
    let mut request = builder.body(Bytes::new()).expect("an address and a constant header make a request");
    if let Some(token) = authorization(environment)? {
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
            Fault::new(Kind::Config, ORIGIN, "the container's authorization token cannot stand in a header")
                .hint(format!("look at {TOKEN_FILE} and {TOKEN}: one line of text"))
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    Ok(request)
}

/// The file wins. SDKs fail on a newline at its end before they send anything; we leave it out.
fn authorization(environment: &BTreeMap<String, String>) -> Result<Option<Secret>, Fault> {
    let Some(path) = text(environment, TOKEN_FILE) else { return Ok(token(environment)) };
    let unreadable = |cause: std::io::Error| {
        Fault::new(Kind::Config, path.clone(), format!("cannot read the token file `{path}`"))
            .hint(format!("look at `ls -l {path}` and at {TOKEN_FILE}"))
            .retry(Retry::After(Duration::from_secs(60)))
            .cause(cause)
    };
    let mut found = String::new();
    let file = fs::File::open(&path).map_err(unreadable)?;
    file.take(MOST_TOKEN).read_to_string(&mut found).map_err(unreadable)?;
    let token = Secret::new(found.trim_end_matches(['\r', '\n']));
    if token.is_blank() {
        let message = format!("the token file `{path}` is empty");
        return Err(
            Fault::new(Kind::Unreachable, path.clone(), message).hint("it is written by whoever runs the container")
        );
    }
    Ok(Some(token))
}

fn text(environment: &BTreeMap<String, String>, name: &str) -> Option<String> {
    environment.get(name).filter(|text| !text.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, value: &str) -> Result<String, Fault> {
        address(&BTreeMap::from([(name.to_owned(), value.to_owned())])).map(|uri| uri.to_string())
    }

    #[test]
    fn plain_http_goes_to_the_allowed_hosts_only() {
        for good in [
            "http://127.0.0.1:9911/x",
            "http://localhost/x",
            "http://[::1]:1/x",
            "http://127.3.2.1/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "https://credentials.example.com/x",
        ] {
            assert_eq!(at(FULL, good).unwrap(), good);
        }
        for bad in
            ["http://10.0.0.1/x", "http://localhost.example.com/x", "http://169.254.169.254/x", "/x", "ftp://[::1]/x"]
        {
            assert!(at(FULL, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_relative_address_is_that_of_ecs_and_wins() {
        assert_eq!(at(RELATIVE, "/v2/credentials/a-b").unwrap(), "http://169.254.170.2/v2/credentials/a-b");
        assert!(at(RELATIVE, "@evil.example.com/").is_err());
        let both =
            BTreeMap::from([(RELATIVE.to_owned(), "/r".to_owned()), (FULL.to_owned(), "http://[::1]/f".to_owned())]);
        assert_eq!(address(&both).unwrap().path(), "/r");
    }
}
