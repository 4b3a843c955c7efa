//! Modes and owners: what holds a secret belongs to this user, and nobody else reads it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bowline_base::shell::quoted_path;
use bowline_host::Check;

use super::{Patient, ids, remedy::Remedy, verdict::*};
use crate::{
    commands::{
        audit,
        service_user::{self, ServiceUser},
    },
    config::{Config, Content, NamedFile, StorePlace, of_identity},
    daemon::vpn as wiring,
};

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let places = places(patient);
    let mut wrong: Vec<Check> = places.iter().filter_map(|place| Some(judge(place, patient.owner(place))?.0)).collect();
    wrong.extend(kept_from_the_service(patient));
    let seen = places.iter().filter(|place| place.facts.is_some()).count();
    let mut checks = or_ok(wrong, ids::FILES_MODE, || format!("{seen} files and directories with secrets are private"));
    checks.extend(directories(patient).iter().map(|directory| judge_directory(directory).0));
    checks
}

/// What `--fix` does.
pub(super) fn remedies(patient: &Patient) -> Vec<Remedy> {
    let modes = places(patient).into_iter().filter_map(|place| judge(&place, patient.owner(&place))?.1);
    let missing = directories(patient).into_iter().filter_map(|directory| judge_directory(&directory).1);
    modes.chain(missing).collect()
}

impl Patient {
    pub(super) fn me(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// To root, what is of the machine's service is as its own.
    fn owner(&self, place: &Place) -> u32 {
        let service = self.service().filter(|_| self.me() == 0).map(|user| user.uid);
        let held = place.facts.map(|facts| facts.owner);
        service.filter(|uid| held == Some(*uid)).unwrap_or_else(|| self.me())
    }

    fn service(&self) -> Option<ServiceUser> {
        self.file.as_deref().and_then(service_user::of)
    }
}

/// What root can read, and the service whose file this is cannot.
fn kept_from_the_service(patient: &Patient) -> Vec<Check> {
    let (Some(user), Some(file)) = (patient.service(), &patient.file) else { return Vec::new() };
    let mut checks: Vec<Check> = Vec::new();
    for (_, fault) in user.kept_from(file, &patient.settings()) {
        // Two keys may name one file.
        if !checks.iter().any(|check| check.why == fault.chain()) {
            checks.push(from_fault(ids::FILES_MODE, &fault));
        }
    }
    checks
}

/// Something that holds secrets, and what the file system says of it.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    holds: &'static str,
    /// `None`: it is not there.
    facts: Option<Facts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    directory: bool,
    mode: u32,
    owner: u32,
    /// Of a group that is not this user's own: somebody has given it to that group.
    lent: bool,
}

/// What root keeps for this user, through a group perhaps, is as safe. Who can list a directory reads no secret yet.
fn judge(place: &Place, me: u32) -> Option<(Check, Option<Remedy>)> {
    let facts = place.facts?;
    let (path, holds) = (&place.path, place.holds);
    let of_root = facts.owner == 0 && me != 0;
    if of_root && facts.mode & 0o007 == 0 {
        return None;
    }
    if facts.owner != me && !of_root {
        let why = format!("`{}` ({holds}) belongs to user {}", path.display(), facts.owner);
        let fix = format!("sudo chown \"$(id -u)\" {}", quoted_path(path));
        return Some((failed(ids::FILES_MODE, why, Some(fix)), None));
    }
    if facts.mode & 0o077 == 0 {
        return None;
    }
    let open = match (facts.mode & 0o007, facts.mode & 0o070) {
        (0, _) => "its group",
        _ => "everybody",
    };
    let why = format!("`{}` ({holds}) has mode {:o}: it is open to {open}", path.display(), facts.mode);
    let private = if facts.directory { 0o700 } else { 0o600 };
    let remedy = Remedy::Mode(path.clone(), private);
    let check = if facts.directory && facts.mode & 0o022 == 0 {
        degraded(ids::FILES_MODE, why, remedy.command())
    } else {
        failed(ids::FILES_MODE, why, Some(remedy.command()))
    };
    // Another service may read it through that group, a TLS key for example: who is to lose it is for a person to say.
    let lent = if facts.lent { facts.mode & 0o070 } else { 0 };
    let gentle = Remedy::Mode(path.clone(), private | lent);
    Some((check, (facts.owner == me && facts.mode != private | lent).then_some(gentle)))
}

/// A directory of ours and whether it is there.
struct Directory {
    path: PathBuf,
    holds: &'static str,
    found: io::Result<bool>,
}

fn judge_directory(directory: &Directory) -> (Check, Option<Remedy>) {
    let Directory { path, holds, found } = directory;
    let id = ids::FILES_DIRECTORY;
    match found {
        Ok(true) => (ok(id, format!("`{}` ({holds}) is there", path.display())), None),
        Ok(false) => {
            let why = format!("`{}` ({holds}) is no directory", path.display());
            (failed(id, why, Some(format!("ls -ld {}", quoted_path(path)))), None)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let remedy = Remedy::Directory(path.clone());
            let why = format!("`{}` ({holds}) is not there yet", path.display());
            (degraded(id, why, remedy.command()), Some(remedy))
        }
        Err(error) => {
            let why = format!("`{}` ({holds}) cannot be looked at: {error}", path.display());
            (failed(id, why, Some(format!("ls -ld {}", quoted_path(path)))), None)
        }
    }
}

fn directories(patient: &Patient) -> Vec<Directory> {
    let setup = &patient.world.setup;
    let look = |path: &Path, holds| Directory {
        path: path.to_owned(),
        holds,
        found: fs::metadata(path).map(|found| found.is_dir()),
    };
    vec![look(&setup.lease_directory, "leases"), look(&setup.locations.sso_cache, "sign-ins")]
}

/// Everything that holds secrets, once.
fn places(patient: &Patient) -> Vec<Place> {
    let setup = &patient.world.setup;
    let mut paths: Vec<(PathBuf, &'static str)> = vec![(setup.locations.credentials.clone(), "access keys")];
    for (directory, holds) in [(&setup.locations.sso_cache, "sign-ins"), (&setup.lease_directory, "leases")] {
        paths.push((directory.clone(), holds));
        paths.extend(files_in(directory).map(|path| (path, holds)));
    }
    paths.extend(setup.identities.iter().flat_map(of_identity).filter_map(secret_in));
    // Sealed, and nobody else's business all the same: whoever may write here can put back an older store.
    for name in ["", "vault.age", "vault.age.bak", "passphrase.age", "inbox"] {
        paths.push((setup.vault.directory.join(name), "sealed keys"));
    }
    paths.push((setup.vault.ssh_key.clone(), "a private key"));
    let settings = patient.settings();
    // A grant opens it on purpose; what is wrong then is told by `daemon.socket`.
    let runtime = setup.lease_directory.parent().filter(|_| settings.grants.is_empty());
    paths.extend(runtime.map(|directory| (directory.to_owned(), "the socket and leases")));
    paths.push((patient.world.environment.runtime_directory().join("endpoint/token"), "a token"));
    paths.extend(settings.files().into_iter().filter_map(secret_in));
    paths.extend(of_jobs(patient, &settings));
    paths.sort();
    paths.dedup_by(|one, other| one.0 == other.0);
    paths.into_iter().map(|(path, holds)| Place { facts: facts(&path), path, holds }).collect()
}

/// What the jobs of `bowline.toml` keep.
fn of_jobs(patient: &Patient, settings: &Config) -> Vec<(PathBuf, &'static str)> {
    let environment = &patient.world.environment;
    let log = audit::places(environment, &settings.audit).directory;
    let mut paths = vec![(log, "the audit log and its key"), (environment.state_directory(), "what the jobs remember")];
    let stores = settings.vpn.iter().map(|section| wiring::store_place(&patient.world, section));
    paths.extend(stores.filter_map(|place| match place {
        StorePlace::File(path) => Some((path, "the VPN's users")),
        StorePlace::Ssm(_) => None,
    }));
    paths
}

/// What is public is open to everybody.
fn secret_in(file: NamedFile) -> Option<(PathBuf, &'static str)> {
    let holds = match file.content {
        Content::Certificate | Content::Directory => return None,
        Content::PrivateKey | Content::VaultKey => "a private key",
        Content::Password => "a password",
        Content::Secret => "a secret of bowline.toml",
        Content::Token => "a token",
    };
    Some((file.path, holds))
}

fn files_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path())
}

fn facts(path: &Path) -> Option<Facts> {
    let found = fs::metadata(path).ok()?;
    let directory = found.is_dir();
    (directory || found.is_file()).then(|| Facts {
        directory,
        mode: found.mode() & 0o7777,
        owner: found.uid(),
        lent: found.gid() != rustix::process::getegid().as_raw(),
    })
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    fn place(directory: bool, mode: u32, owner: u32) -> Place {
        Place { path: "/h/x".into(), holds: "keys", facts: Some(Facts { directory, mode, owner, lent: false }) }
    }

    #[test]
    fn what_others_may_read_is_closed_by_chmod() {
        for (mode, who) in [(0o644, "everybody"), (0o640, "its group"), (0o604, "everybody"), (0o660, "its group")] {
            let (check, remedy) = judge(&place(false, mode, 1000), 1000).unwrap();
            assert!(check.why.ends_with(who), "{mode:o}: {}", check.why);
            assert_eq!(check.fix.as_deref(), Some("chmod 600 /h/x"));
            assert_eq!(remedy, Some(Remedy::Mode("/h/x".into(), 0o600)));
        }
        let (listed, _) = judge(&place(true, 0o755, 1000), 1000).unwrap();
        assert_eq!((listed.verdict, listed.fix.as_deref()), (Verdict::Degraded, Some("chmod 700 /h/x")));
        assert_eq!(judge(&place(true, 0o775, 1000), 1000).unwrap().0.verdict, Verdict::Failed);
        for mode in [0o600, 0o400, 0o700] {
            assert!(judge(&place(false, mode, 1000), 1000).is_none());
        }
    }

    #[test]
    fn what_was_lent_to_a_group_is_told_and_closed_to_everybody_else_alone() {
        let lent = |mode| {
            let place = place(false, mode, 0);
            let facts = place.facts.map(|facts| Facts { lent: true, ..facts });
            judge(&Place { facts, ..place }, 0).unwrap()
        };
        let (check, remedy) = lent(0o640);
        assert_eq!((check.verdict, check.fix.as_deref(), remedy), (Verdict::Failed, Some("chmod 600 /h/x"), None));
        assert_eq!(lent(0o644).1, Some(Remedy::Mode("/h/x".into(), 0o640)));
    }

    #[test]
    fn another_user_s_file_is_named_and_never_touched() {
        let (check, remedy) = judge(&place(false, 0o600, 1001), 1000).unwrap();
        assert!(check.why.contains("user 1001") && check.fix.unwrap().starts_with("sudo chown"));
        assert_eq!(remedy, None);
        for kept_by_root in [0o600, 0o640] {
            assert!(judge(&place(false, kept_by_root, 0), 1000).is_none());
        }
        assert_eq!(judge(&place(false, 0o644, 0), 1000).unwrap().1, None);
        assert!(judge(&place(false, 0o640, 0), 0).is_some());
    }

    #[test]
    fn a_missing_directory_is_made_and_a_file_in_its_place_is_not_touched() {
        let directory = |found| Directory { path: "/run/x".into(), holds: "leases", found };
        let (check, remedy) = judge_directory(&directory(Err(io::ErrorKind::NotFound.into())));
        assert_eq!((check.fix.as_deref(), remedy.is_some()), (Some("mkdir -p -m 700 /run/x"), true));
        assert!(judge_directory(&directory(Ok(false))).1.is_none());
        assert!(judge_directory(&directory(Ok(true))).0.fix.is_none());
    }
}
