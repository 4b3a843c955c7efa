//! `vpn connect`, `disconnect`, `restore`.

use std::{fs, process::Stdio, time::Duration};

use bowline_base::{Fault, Kind, Secret};
use bowline_host::clock;
use bowline_vpn::client::{Client, Routing, Surroundings, Via, Wanted};
use http::{Method, Uri};
use tokio::signal::unix::{SignalKind, signal};

use super::{account, users};
use crate::{cli::VpnConnect, environment::Environment, output, world::small_runtime};

/// A link that needs a process is held by a child that we leave behind; it is up, or has ended, by then.
const LONGEST_START: Duration = Duration::from_secs(60);
/// How a line of that child's begins that is for people, and the one behind those.
const REMARK: &str = "note: ";
const CONNECTED: &str = "connected: ";

pub(super) fn connect(environment: &Environment, arguments: &VpnConnect) -> Result<(), Fault> {
    if !rustix::process::geteuid().is_root() {
        return Err(Fault::new(Kind::Refused, "vpn", "only root changes routes").hint("sudo -E bowline vpn connect …"));
    }
    if arguments.proxy.is_some() && !arguments.foreground {
        return small_runtime()?.block_on(leave_behind(environment));
    }
    small_runtime()?.block_on(bring_up(environment, arguments))
}

pub(super) fn disconnect(environment: &Environment, name: Option<&str>) -> Result<(), Fault> {
    let client = Client::new(surroundings(environment))?;
    let record = small_runtime()?.block_on(client.disconnect(name))?;
    output::say(&format!("disconnected: {}", record.name));
    Ok(())
}

pub(super) fn restore(environment: &Environment) -> Result<(), Fault> {
    let client = Client::new(surroundings(environment))?;
    let restored = small_runtime()?.block_on(client.restore())?;
    output::say(if restored { "routes and DNS are as they were" } else { "nothing was left to put back" });
    Ok(())
}

pub(super) fn surroundings(environment: &Environment) -> Surroundings {
    let passed = ["PATH", "WG_QUICK_USERSPACE_IMPLEMENTATION"];
    let variables = environment.all().iter().filter(|(name, _)| passed.contains(&name.as_str()));
    Surroundings {
        state: account::folder(environment),
        environment: variables.map(|(name, value)| (name.clone(), value.clone())).collect(),
        resolver_file: "/etc/resolv.conf".into(),
        resolved: "/run/systemd/resolve/stub-resolv.conf".into(),
    }
}

async fn bring_up(environment: &Environment, arguments: &VpnConnect) -> Result<(), Fault> {
    let wanted = wanted(environment, arguments).await?;
    let client = Client::new(surroundings(environment))?;
    let stopping = stopping()?;
    let connected = client.connect(&wanted, clock::now().wall).await?;
    connected.remarks.iter().for_each(|remark| output::say(&format!("{REMARK}{remark}")));
    output::say(&format!("{CONNECTED}{} by {}", connected.record.name, connected.record.interface));
    if arguments.foreground || connected.needs_us() {
        connected.hold(&client, stopping).await?;
        output::say("routes and DNS are as they were");
    }
    Ok(())
}

async fn wanted(environment: &Environment, arguments: &VpnConnect) -> Result<Wanted, Fault> {
    let (name, conf) = match (&arguments.conf, &arguments.name) {
        (Some(path), _) => {
            let read = fs::read_to_string(path).map(Secret::new);
            let conf = read.map_err(|cause| {
                Fault::new(Kind::Config, "vpn", format!("cannot read `{}`", path.display())).cause(cause)
            })?;
            (path.display().to_string(), conf)
        }
        (None, name) => {
            let name = name.clone().unwrap_or_default();
            let path = format!("{}/config", users::path(&name)?);
            (name, account::api(environment)?.text(Method::GET, &path, None).await?)
        }
    };
    let routing = (!arguments.split.is_empty()).then(|| Routing::Split(arguments.split.clone()));
    let via = match arguments.proxy.as_deref() {
        None => None,
        Some("") => Some(via(environment, &usual_proxy(environment, arguments.name.as_deref()).await)?),
        Some(place) => Some(via(environment, place)?),
    };
    Ok(Wanted { name, interface: arguments.interface.clone(), conf, routing, via })
}

/// Where `VPN_PROXY_HOST` and `VPN_PROXY_PORT` say, else where the server says that its proxy is.
async fn usual_proxy(environment: &Environment, name: Option<&str>) -> String {
    let (host, port) = (environment.var("VPN_PROXY_HOST"), environment.var("VPN_PROXY_PORT"));
    if host.is_none()
        && port.is_none()
        && let Some(told) = told_proxy(environment, name).await
    {
        return told;
    }
    format!("http://{}:{}", host.unwrap_or("localhost"), port.unwrap_or("3128"))
}

/// What the API says in the user's record. The key goes there by TLS wherever the API has it: it is the same certificate.
async fn told_proxy(environment: &Environment, name: Option<&str>) -> Option<String> {
    let (api, path) = (account::api(environment).ok()?, users::path(name?).ok()?);
    let record = api.json(Method::GET, &path, None).await.ok()?;
    let scheme = if account::account(environment).ok()?.url.starts_with("https:") { "https" } else { "http" };
    record["proxy"].as_str().map(|told| format!("{scheme}://{told}"))
}

/// The proxy of a URL.
fn via(environment: &Environment, text: &str) -> Result<Via, Fault> {
    let wrong = || {
        Fault::new(Kind::Config, "vpn", format!("`{text}` is no proxy"))
            .hint("--proxy http://HOST:3128, or https:// for TLS")
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let pin = account::account(environment).ok().and_then(|account| account.pin);
    let tls = match uri.scheme_str() {
        Some("http") => None,
        Some("https") => Some(pin),
        _ => return Err(wrong()),
    };
    let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(3128);
    let through = environment.outside().proxy_for(&host, port);
    Ok(Via { host, port, tls, key: account::kept_key(environment)?, through })
}

/// Starts this very command once more in the foreground, and stays until it is up.
async fn leave_behind(environment: &Environment) -> Result<(), Fault> {
    let client = Client::new(surroundings(environment))?;
    let failed = |what: &str| Fault::new(Kind::Refused, "vpn", what.to_owned());
    let log = account::folder(environment).join("connect.log");
    let output = fs::File::create(&log).map_err(|cause| failed("cannot write the log").cause(cause))?;
    let errors = output.try_clone().map_err(|cause| failed("cannot write the log").cause(cause))?;
    let mut command = tokio::process::Command::new(environment.program_file());
    command.args(std::env::args_os().skip(1)).arg("--foreground").stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = command.process_group(0).spawn().map_err(|cause| failed("cannot start").cause(cause))?;
    let said = || fs::read_to_string(&log).unwrap_or_default();
    let up = async {
        while !(client.record()?.is_some_and(|record| record.up) && said().contains(CONNECTED)) {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                let said = said();
                return Err(failed("the link did not come up").cause(said.trim().to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    tokio::time::timeout(LONGEST_START, up).await.unwrap_or_else(|_| Err(failed("the link does not come up")))?;
    said().lines().filter(|line| line.starts_with(REMARK)).for_each(output::say);
    output::say("connected; bowline vpn disconnect ends it");
    Ok(())
}

/// Resolves at Ctrl+C and SIGTERM, from now on.
fn stopping() -> Result<impl Future<Output = ()>, Fault> {
    let no_signals = |cause| Fault::new(Kind::Bug, "signals", "cannot listen for signals").cause(cause);
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
