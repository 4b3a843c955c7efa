//! `bowline bazel-credential-helper get`: Bazel's protocol for the headers of a request. One JSON object in, one out.
//!
//! The token is given for the proxy's own host and port, over TLS or on this machine, and for nothing else: Bazel asks for
//! every host that it was told to ask for.

use std::{io::Read as _, path::PathBuf};

use bowline_base::{Fault, Kind, Secret};
use http::Uri;
use serde_json::{Value, json};

use super::proxy_place;
use crate::{environment::Environment, output};

/// A request of Bazel is a URI and a few words.
const LARGEST: u64 = 64 * 1024;

pub(crate) fn run(environment: &Environment, file: Option<PathBuf>) -> Result<(), Fault> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LARGEST)
        .read_to_string(&mut text)
        .map_err(|cause| wrong("it cannot be read").cause(cause))?;
    let request: Value = serde_json::from_str(&text).map_err(|cause| wrong("it is no JSON").cause(cause))?;
    let asked = request.get("uri").and_then(Value::as_str).ok_or_else(|| wrong("it has no `uri`"))?;
    let asked: Uri = asked.parse().map_err(|_| wrong("its `uri` is none"))?;
    let place = proxy_place::find(environment, file, None, None)?;
    let own: Uri = place.url.parse().map_err(|_| wrong("the repository has no URL"))?;
    let token = place.token.filter(|_| same_place(&own, &asked));
    output::secret(&answer(token.as_ref()))
}

fn answer(token: Option<&Secret>) -> Secret {
    let answer = match token {
        Some(token) => json!({ "headers": { "Authorization": [format!("Bearer {}", token.expose())] } }),
        None => json!({ "headers": {} }),
    };
    Secret::new(format!("{answer}\n"))
}

fn same_place(own: &Uri, asked: &Uri) -> bool {
    let port = |uri: &Uri| {
        uri.port_u16().or(match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        })
    };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    own.scheme() == asked.scheme() && host(own) == host(asked) && port(own) == port(asked)
}

fn wrong(why: &str) -> Fault {
    Fault::new(Kind::Config, "bazel-credential-helper", format!("stdin holds no request of Bazel: {why}"))
        .hint("Bazel runs this; by hand: echo '{\"uri\": \"https://repo.corp:9000/x\"}' | bowline bazel-credential-helper get")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_one_place() {
        let own: Uri = "https://repo.corp:9000/maven".parse().unwrap();
        let given = |asked: &str| same_place(&own, &asked.parse().unwrap());
        assert!(given("https://repo.corp:9000/maven/g/a.jar") && given("https://REPO.corp:9000/"));
        for other in
            ["http://repo.corp:9000/", "https://repo.corp/", "https://repo.corp.evil:9000/", "https://corp:9000/", "/x"]
        {
            assert!(!given(other), "{other}");
        }
        assert!(same_place(&"https://a".parse().unwrap(), &"https://a:443/x".parse().unwrap()));
    }
}
