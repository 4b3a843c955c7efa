//! The user of the machine's service, and whether it can read what `/etc/bowline/bowline.toml` names: root, who checks
//! the file, can read everything.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bowline_awsfiles::{Password, RolesAnywhere};
use bowline_base::{Fault, Kind};

use super::doctor::quoted;
use crate::config::{Config, TlsSection};

/// As the unit and the package call it.
pub(super) const NAME: &str = "bowline";
/// Where its configuration lies.
const PLACE: &str = "/etc/bowline";
/// What its unit hides from it (`ProtectHome=`, `PrivateTmp=`).
pub(super) const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

pub(super) fn is_hidden(path: &Path) -> bool {
    HIDDEN.iter().any(|hidden| path.starts_with(hidden))
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceUser {
    pub(super) uid: u32,
    groups: Vec<u32>,
}

/// The user that reads `file`, where that is the service's and the user is there.
pub(super) fn of(file: &Path) -> Option<ServiceUser> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    file.starts_with(PLACE).then(|| known(&read("/etc/passwd"), &read("/etc/group"))).flatten()
}

/// From the text of `/etc/passwd` and `/etc/group`.
fn known(users: &str, groups: &str) -> Option<ServiceUser> {
    let fields = |line: &str| line.split(':').map(ToOwned::to_owned).collect::<Vec<_>>();
    let user = users.lines().map(fields).find(|user| user.first().is_some_and(|name| name == NAME))?;
    let number = |at: usize| user.get(at).and_then(|number| number.parse().ok());
    let member = |group: &Vec<String>| group.get(3).is_some_and(|members| members.split(',').any(|one| one == NAME));
    let others = groups.lines().map(fields).filter(member).filter_map(|group| group.get(2)?.parse().ok());
    Some(ServiceUser { uid: number(2)?, groups: number(3).into_iter().chain(others).collect() })
}

/// Every file that it needs and cannot read, with what lets it.
pub(super) fn kept_from(user: &ServiceUser, config: &Config) -> Vec<(PathBuf, Fault)> {
    let unreadable = |path: PathBuf| user.kept_from(&path).map(|fault| (path, fault));
    needed(config).into_iter().filter_map(unreadable).collect()
}

/// Secrets, certificates and keys.
fn needed(config: &Config) -> Vec<PathBuf> {
    let tls = config.artifacts.iter().filter_map(|section| section.tls.as_ref());
    let tls = tls.chain(config.vpn.iter().filter_map(|section| section.tls.as_ref()));
    let tls = tls.flat_map(|TlsSection { certificate, private_key }| [certificate.clone(), private_key.clone()]);
    let mut files: Vec<PathBuf> = config.secret_files().into_iter().chain(tls).collect();
    files.extend(config.identities.iter().flat_map(of_identity));
    files.sort();
    files.dedup();
    files
}

fn of_identity(identity: &RolesAnywhere) -> Vec<PathBuf> {
    let password = match &identity.password {
        Some(Password::File(path)) => Some(path.clone()),
        Some(Password::Variable(_) | Password::Given(_)) | None => None,
    };
    let optional = [identity.intermediates.clone(), identity.private_key.clone(), password];
    std::iter::once(identity.certificate.clone()).chain(optional.into_iter().flatten()).collect()
}

impl ServiceUser {
    /// What is not there is told by whoever opens it.
    fn kept_from(&self, path: &Path) -> Option<Fault> {
        let refused = |why: String, hint: String| Some(Fault::new(Kind::Config, "service", why).hint(hint));
        if is_hidden(path) {
            let why = format!("`{}` is hidden from the machine's service", path.display());
            return refused(why, format!("sudo install -o {NAME} -g {NAME} -m 600 {} {PLACE}/", quoted(path)));
        }
        self.kept_from_below(Path::new("/"), path)
    }

    /// As modes say, where `top` is open.
    fn kept_from_below(&self, top: &Path, path: &Path) -> Option<Fault> {
        let refused = |why: String, hint: String| Some(Fault::new(Kind::Config, "service", why).hint(hint));
        let mut folders = path.ancestors().skip(1).take_while(|folder| *folder != top);
        if let Some(folder) = folders.find(|folder| !self.may(folder, 0o1)) {
            let why = format!("`{}` is closed to user `{NAME}` of the machine's service", folder.display());
            return refused(why, format!("sudo chgrp {NAME} {0} && sudo chmod g+x {0}", quoted(folder)));
        }
        if self.may(path, 0o4) {
            return None;
        }
        let why = format!("user `{NAME}` of the machine's service cannot read `{}`", path.display());
        refused(why, format!("sudo chown {NAME} {}", quoted(path)))
    }

    /// Whether the mode of `path` grants it `bit`; of what cannot be looked at nothing is said.
    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(facts) = fs::metadata(path) else { return true };
        self.is_granted((facts.uid(), facts.gid(), facts.mode()), bit)
    }

    fn is_granted(&self, (owner, group, mode): (u32, u32, u32), bit: u32) -> bool {
        let shift = match (owner == self.uid, self.groups.contains(&group)) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        mode >> shift & bit == bit
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bowline_base::atomic;

    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbowline:x:998:997::/var/lib/bowline:/usr/sbin/nologin\n";
    const GROUPS: &str = "ssl-cert:x:104:me,bowline\nother:x:105:bowliner\n";

    #[test]
    fn a_user_is_known_by_its_number_and_its_groups() {
        let user = known(USERS, GROUPS).unwrap();
        assert_eq!(user, ServiceUser { uid: 998, groups: vec![997, 104] });
        assert_eq!(known("bowliner:x:1:1::/:/bin/sh\n", GROUPS), None);
        for (facts, can) in [
            ((0, 0, 0o600), false),
            ((0, 0, 0o644), true),
            ((0, 104, 0o640), true),
            ((0, 105, 0o640), false),
            ((998, 0, 0o400), true),
            ((998, 0, 0o044), false),
        ] {
            assert_eq!(user.is_granted(facts, 0o4), can, "{facts:?}");
        }
    }

    #[test]
    fn a_key_that_root_keeps_to_itself_is_told_with_the_command_that_gives_it_away() {
        let nobody = ServiceUser { uid: u32::MAX - 7, groups: Vec::new() };
        let top = tempfile::tempdir().unwrap();
        let (folder, key) = (top.path().join("bowline"), top.path().join("bowline/site.key"));
        fs::create_dir(&folder).unwrap();
        atomic::write(&key, b"key", 0o600).unwrap();
        let hint = || nobody.kept_from_below(top.path(), &key).and_then(|fault| fault.hint).unwrap_or_default();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&folder, 0o700);
        mode(&key, 0o600);
        assert!(hint().starts_with("sudo chgrp bowline "), "{}", hint());
        mode(&folder, 0o755);
        assert_eq!(hint(), format!("sudo chown bowline {}", key.display()));
        assert!(nobody.kept_from(Path::new("/root/site.key")).is_some());
        assert!(nobody.kept_from(Path::new("/etc/bowline/not-there")).is_none());
    }
}
