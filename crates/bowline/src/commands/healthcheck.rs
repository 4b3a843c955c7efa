//! `bowline healthcheck`: one question to the Bowline of this machine, for a container's HEALTHCHECK. It needs no shell,
//! no curl and no runtime.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use bowline_base::{Fault, Kind, url::harmless};

use crate::{cli::Healthcheck, config_place, environment::Environment, loopback, output};

/// Where `artifacts serve` listens unless it is told otherwise.
const REPOSITORY_PORT: u16 = 9000;

pub(crate) fn run(environment: &Environment, file: Option<PathBuf>, arguments: &Healthcheck) -> Result<(), Fault> {
    let places = match &arguments.url {
        Some(url) => vec![place(url)?],
        None => usual_places(environment, file)?,
    };
    let mut nobody = String::new();
    for (address, path) in &places {
        match loopback::get(*address, path) {
            Ok(answer) => return judge(&format!("http://{address}{path}"), &answer),
            Err(error) => nobody = format!("nothing answers on http://{address}{path}: {error}"),
        }
    }
    Err(Fault::new(Kind::Refused, "healthcheck", nobody).hint("bowline run, or name what to ask with --url"))
}

/// The daemon's page, then the repository that runs without a daemon.
fn usual_places(environment: &Environment, file: Option<PathBuf>) -> Result<Vec<(SocketAddr, String)>, Fault> {
    let config = config_place::load(file, environment)?;
    let port = environment.var("PROXY_PORT").and_then(|port| port.parse().ok()).unwrap_or(REPOSITORY_PORT);
    let repository = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Ok(vec![(reachable(config.daemon.listen), "/livez".to_owned()), (repository, "/healthz".to_owned())])
}

/// `http://127.0.0.1:9000/healthz`
fn place(url: &str) -> Result<(SocketAddr, String), Fault> {
    let wrong = |why: &str| {
        Fault::new(Kind::Config, "healthcheck", format!("`{}` {why}", harmless(url)))
            .hint("--url http://127.0.0.1:9910/livez")
    };
    let rest = url.strip_prefix("http://").ok_or_else(|| wrong("is not a plain http address"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let named = authority.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address = named.as_deref().unwrap_or(authority).parse();
    let address: SocketAddr = address.map_err(|_| wrong("does not name an address and a port"))?;
    if path.chars().any(char::is_control) {
        return Err(wrong("holds a control character"));
    }
    Ok((reachable(address), path.to_owned()))
}

/// What listens on every address is asked on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn judge(place: &str, answer: &str) -> Result<(), Fault> {
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if answer.starts_with("HTTP/1.") && status.len() == 3 && status.starts_with('2') {
        return output::data(&format!("{place} answers {status}\n"));
    }
    let why = if status.is_empty() { "answers with no HTTP".to_owned() } else { format!("answers {status}") };
    let cause = io::Error::other(answer.lines().next().unwrap_or_default().to_owned());
    Err(Fault::new(Kind::Refused, "healthcheck", format!("{place} {why}")).cause(cause).hint("bowline doctor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_asked_where_it_can_be_reached() {
        let asked = |url: &str| place(url).map(|(address, path)| format!("{address}{path}"));
        assert_eq!(asked("http://127.0.0.1:9000/healthz").unwrap(), "127.0.0.1:9000/healthz");
        assert_eq!(asked("http://localhost:1/x?y").unwrap(), "127.0.0.1:1/x?y");
        assert_eq!(asked("http://0.0.0.0:9910").unwrap(), "127.0.0.1:9910/");
        assert_eq!(asked("http://[::]:9910/livez").unwrap(), "[::1]:9910/livez");
        for wrong in [
            "https://127.0.0.1:1/",
            "127.0.0.1:1",
            "http://example.net:1/",
            "http://127.0.0.1/",
            "http://127.0.0.1:1/\n",
        ] {
            assert_eq!(asked(wrong).unwrap_err().kind, Kind::Config, "{wrong}");
        }
    }

    #[test]
    fn only_a_good_answer_is_good() {
        assert!(judge("x", "HTTP/1.1 200 OK\r\n\r\n").is_ok());
        for bad in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0 200\r\n", "", "HTTP/1.1 2000 x"] {
            assert_eq!(judge("x", bad).unwrap_err().kind, Kind::Refused, "{bad}");
        }
    }
}
