//! Who is told of what needs a person: whether each channel of `[notify]` would bring a message. Nothing is sent; that is
//! `bowline notify test`.

use std::{io, path::Path};

use bowline_base::shell::quoted_path;
use bowline_host::{
    Check,
    notify::{Channels, Desktop, Hook, Webhook},
    obstacle::Obstacle,
};
use rustix::fs::Access;

use super::{Patient, files::is_program, ids, network, verdict::*};
use crate::{
    daemon::notify::{channels, describe},
    world::small_runtime,
};

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let channels = match channels(&patient.world, &patient.settings().notify) {
        Ok(channels) => channels,
        Err(fault) => return vec![from_fault(ids::NOTIFY_CHANNELS, &fault)],
    };
    let path = patient.world.environment.var("PATH").unwrap_or_default();
    let there = |program: &str| is_program(program, path);
    let mut checks = vec![set_up(&channels)];
    checks.extend(channels.desktop.as_ref().map(|_| desktop(&Desktop::program(), there)));
    checks.extend(channels.webhook.as_ref().map(|webhook| of_webhook(patient, webhook)));
    checks.extend(channels.command.as_ref().map(|hook| command(hook, there)));
    checks.extend(channels.file.as_deref().map(|path| file(path, may_write(path))));
    checks
}

/// A repository alone may well tell nobody; a sign-in that ends is in the log and in the login-needed file all the same.
fn set_up(channels: &Channels) -> Check {
    let told = describe(channels);
    let why = if told.is_empty() {
        "nobody is told but the log: no [notify], no desktop".to_owned()
    } else {
        told.join(", ")
    };
    ok(ids::NOTIFY_CHANNELS, why)
}

fn desktop(program: &str, there: impl Fn(&str) -> bool) -> Check {
    let id = ids::NOTIFY_DESKTOP;
    if there(program) {
        return ok(id, format!("`{program}` is there"));
    }
    let fix = format!("sudo apt install libnotify-bin   # brings `{program}`; or `desktop = false` in [notify]");
    degraded(id, format!("this is a session with a desktop, and `{program}` is not on PATH"), fix)
}

/// The secret, and whether anybody answers at its host. The path may be one that acts on a GET: it is not asked for.
fn of_webhook(patient: &Patient, webhook: &Webhook) -> Check {
    if let Err(fault) = webhook.check() {
        return from_fault(ids::NOTIFY_WEBHOOK, &fault);
    }
    let runtime = match small_runtime() {
        Ok(runtime) => runtime,
        Err(fault) => return from_fault(ids::NOTIFY_WEBHOOK, &fault),
    };
    let met = runtime.block_on(network::ask(&*patient.world.wire, &webhook.origin()));
    runtime.shutdown_background();
    reached(&webhook.origin(), met.map(drop).map_err(|error| Obstacle::of(&error)))
}

fn reached(origin: &str, met: Result<(), Obstacle>) -> Check {
    let id = ids::NOTIFY_WEBHOOK;
    match met {
        Ok(()) => ok(id, format!("{origin} answers; `bowline notify test` sends a message there")),
        Err(obstacle) => failed(
            id,
            format!("{origin}: {obstacle}; messages wait for it up to three days"),
            Some(format!("curl -v {origin}   # then: `webhook` in [notify], a firewall, HTTPS_PROXY")),
        ),
    }
}

fn command(hook: &Hook, there: impl Fn(&str) -> bool) -> Check {
    let id = ids::NOTIFY_COMMAND;
    let program = hook.argv.first().map(String::as_str).unwrap_or_default();
    if there(program) {
        return ok(id, format!("`{program}` is there; `bowline notify test` runs it"));
    }
    let fix = format!("install `{program}`, make it executable, or write its whole path into `command` of [notify]");
    failed(id, format!("`{program}` is not there, or cannot be run"), Some(fix))
}

fn file(path: &Path, allowed: io::Result<()>) -> Check {
    let id = ids::NOTIFY_FILE;
    match allowed {
        Ok(()) => ok(id, format!("`{}` can be written", path.display())),
        Err(error) => {
            let why = format!("`{}` cannot be written: {error}", path.display());
            failed(id, why, Some(format!("ls -ld {}", quoted_path(path.parent().unwrap_or(path)))))
        }
    }
}

/// The file is replaced whole, so that its folder is what counts; one that is missing is made by the daemon.
fn may_write(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(rustix::fs::access(there, Access::WRITE_OK)?)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use bowline_host::Verdict;

    use super::*;

    #[test]
    fn what_is_missing_has_a_fix_and_what_is_there_is_good() {
        let hook = Hook { argv: vec!["page".to_owned()], environment: BTreeMap::new(), limit: Duration::ZERO };
        let bad = [
            desktop("notify-send", |_| false),
            command(&hook, |_| false),
            reached("https://h/", Err(Obstacle::Refused)),
            file(Path::new("/run/x/needs.txt"), Err(io::ErrorKind::PermissionDenied.into())),
        ];
        for check in bad {
            assert!(check.verdict != Verdict::Ok && check.fix.is_some(), "{check:?}");
        }
        let good = [
            desktop("notify-send", |program| program == "notify-send"),
            command(&hook, |program| program == "page"),
            reached("https://h/", Ok(())),
            file(Path::new("/run/x/needs.txt"), Ok(())),
            set_up(&Channels::default()),
        ];
        assert!(good.iter().all(|check| check.verdict == Verdict::Ok), "{good:?}");
    }
}
