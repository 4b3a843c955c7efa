//! `bowline healthcheck`: one question to the Bowline of this machine, for a container's HEALTHCHECK. It needs no shell,
//! no curl and no runtime, and ends with 0 or 1 only: Docker keeps 2 for itself.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use bowline_base::{Fault, Kind, url::harmless};

use crate::{
    cli::Healthcheck, config::Config, config_place, environment::Environment, health::Server, loopback, output,
};

/// Where servers listen that were told nothing.
const REPOSITORY_PORT: u16 = 9000;
const API_PORT: u16 = 8000;

/// A place that was asked, and what came back.
struct Asked {
    place: String,
    answer: io::Result<String>,
}

pub(crate) fn run(environment: &Environment, file: Option<PathBuf>, arguments: &Healthcheck) -> Result<(), Fault> {
    if let Some(url) = &arguments.url {
        let (address, path) = place(url)?;
        return judge(&[ask(address, &path)], "");
    }
    let doors = ask_doors(environment);
    if doors.iter().any(Asked::is_there) {
        return judge(&doors, "");
    }
    // Who has no directory to write to has no door.
    let (config, remark) = match config_place::load(file, environment) {
        Ok(config) => (config, String::new()),
        Err(fault) => (Config::default(), format!("; and nothing of the configuration is used: {}", fault.message)),
    };
    let mut asked = doors;
    for (address, path) in usual_places(environment, &config) {
        asked.push(ask(address, path));
        if asked.last().is_some_and(Asked::is_there) {
            break;
        }
    }
    judge(&asked, &remark)
}

/// Every door of a server of this user ([`Server::door`]).
fn ask_doors(environment: &Environment) -> Vec<Asked> {
    let doors = Server::ALL.map(|server| (server.door(environment), server.question()));
    let there = doors.into_iter().filter(|(door, _)| door.exists());
    there
        .map(|(door, question)| Asked {
            place: format!("{}{question}", door.display()),
            answer: loopback::get_unix(&door, question),
        })
        .collect()
}

/// The daemon's page, then the servers that run without one.
fn usual_places(environment: &Environment, config: &Config) -> Vec<(SocketAddr, &'static str)> {
    let port = |name: &str| environment.var(name).and_then(|port| port.parse().ok());
    let here = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let repository = match &config.artifacts {
        // Behind a certificate it is not asked in the clear.
        Some(section) => section.listen.first().copied().filter(|_| section.tls.is_none()),
        None => Some(here(port("PROXY_PORT").unwrap_or(REPOSITORY_PORT))),
    };
    let api = match &config.vpn {
        Some(section) => Some(section.api).filter(|_| section.tls.is_none()),
        None => Some(here(port("API_PORT").unwrap_or(API_PORT))),
    };
    let places = [
        Some((config.daemon.listen, "/livez")),
        repository.map(|place| (place, "/healthz")),
        api.map(|place| (place, "/health")),
    ];
    places.into_iter().flatten().map(|(address, path)| (reachable(address), path)).collect()
}

fn ask(address: SocketAddr, path: &str) -> Asked {
    Asked { place: format!("http://{address}{path}"), answer: loopback::get(address, path) }
}

/// `http://127.0.0.1:9000/healthz`
fn place(url: &str) -> Result<(SocketAddr, String), Fault> {
    let wrong = |why: &str| {
        Fault::new(Kind::Refused, "healthcheck", format!("`{}` {why}", harmless(url)))
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

/// Well is when somebody is there, and everybody who is there is well. Otherwise every place is named.
fn judge(asked: &[Asked], remark: &str) -> Result<(), Fault> {
    let mut there = asked.iter().filter(|asked| asked.is_there()).peekable();
    if there.peek().is_some() && there.all(Asked::is_well) {
        let well = asked.iter().filter(|asked| asked.is_there());
        return output::data(&well.map(|asked| format!("{asked}\n")).collect::<String>());
    }
    let all: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let nobody = asked.iter().all(|asked| !asked.is_there());
    let hint = if nobody { "bowline run, or name what to ask with --url" } else { "bowline doctor" };
    Err(Fault::new(Kind::Refused, "healthcheck", all.join("; ") + remark).hint(hint))
}

impl Asked {
    /// A door that a killed process has left behind is nobody's, and neither is a closed port.
    fn is_there(&self) -> bool {
        !matches!(&self.answer, Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
    }

    fn is_well(&self) -> bool {
        self.status().is_some_and(|status| status.len() == 3 && status.starts_with('2'))
    }

    fn status(&self) -> Option<&str> {
        let answer = self.answer.as_ref().ok().filter(|answer| answer.starts_with("HTTP/1."))?;
        answer.split([' ', '\r', '\n']).nth(1)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.answer, self.status()) {
            (Err(error), _) => write!(f, "nothing answers on {}: {error}", self.place),
            (Ok(_), Some(status)) => write!(f, "{} answers {status}", self.place),
            (Ok(_), None) => write!(f, "{} answers with no HTTP", self.place),
        }
    }
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
            assert_eq!(asked(wrong).unwrap_err().kind, Kind::Refused, "{wrong}");
        }
    }

    fn asked(answer: io::Result<&str>) -> Asked {
        Asked { place: "x".to_owned(), answer: answer.map(ToOwned::to_owned) }
    }

    #[test]
    fn only_a_good_answer_is_good() {
        assert!(judge(&[asked(Ok("HTTP/1.1 200 OK\r\n\r\n"))], "").is_ok());
        for bad in ["HTTP/1.1 503 Service Unavailable\r\n\r\n", "SSH-2.0 200\r\n", "", "HTTP/1.1 2000 x"] {
            assert_eq!(judge(&[asked(Ok(bad))], "").unwrap_err().kind, Kind::Refused, "{bad}");
        }
    }

    #[test]
    fn whoever_is_there_must_be_well_and_every_place_is_named() {
        let nobody = || asked(Err(io::ErrorKind::ConnectionRefused.into()));
        let silent = || asked(Err(io::ErrorKind::TimedOut.into()));
        let well = || asked(Ok("HTTP/1.1 204 No Content\r\n\r\n"));
        assert!(judge(&[nobody(), well()], "").is_ok());
        assert!(judge(&[], "").is_err());
        let said = judge(&[well(), nobody(), silent()], "; and so on").unwrap_err().message;
        for part in ["x answers 204; ", "x: connection refused; ", "x: timed out; and so on"] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_server_without_a_door_is_asked_where_its_file_and_its_variables_say() {
        let places = |text: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let config = crate::config::parse(text).unwrap();
            let places = usual_places(&Environment::of(variables), &config).into_iter();
            places.map(|(address, path)| format!("{address}{path}")).collect::<Vec<_>>()
        };
        let usual = ["127.0.0.1:9910/livez", "127.0.0.1:9000/healthz", "127.0.0.1:8000/health"];
        assert_eq!(places("", &[]), usual);
        let variables = [("PROXY_PORT", "9001"), ("API_PORT", "8001")];
        assert_eq!(places("", &variables)[1..], ["127.0.0.1:9001/healthz", "127.0.0.1:8001/health"]);
        let file = "[daemon]\nlisten = \"127.0.0.1:1\"\n[vpn]\napi = \"0.0.0.0:2\"\n[artifacts]\nlisten = \"0.0.0.0:3\"\n\
                    access = \"open\"\n[[artifacts.repository]]\nfrom = \"s3://maven\"\n";
        assert_eq!(places(file, &variables), ["127.0.0.1:1/livez", "127.0.0.1:3/healthz", "127.0.0.1:2/health"]);
    }
}
