//! The user of the machine's service, and whether it can read its configuration and what that names: root, who checks the
//! file, can read everything.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, shell::quoted_path};

use super::service;
use crate::{
    config::{Config, Content, NamedFile},
    environment::SERVICE_HOME,
};

/// As the unit and the package call it.
pub(super) const NAME: &str = "bowline";
/// Where its configuration lies.
const PLACE: &str = "/etc/bowline";

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceUser {
    pub(super) uid: u32,
    groups: Vec<u32>,
}

/// The user that reads `file`, where that is the service's and the user is there.
pub(super) fn of(file: &Path) -> Option<ServiceUser> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let file = std::path::absolute(file).ok()?;
    let is_its = file.starts_with(PLACE) || service::is_of_the_machine(&file);
    // Asked of the file itself: while a unit with `DynamicUser=` runs, everybody else finds a user of that name.
    is_its.then(|| known(&read("/etc/passwd"), &read("/etc/group"))).flatten()
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

impl ServiceUser {
    /// Everything that it needs and cannot read, with what lets it: `file` itself first, AWS's files in its home, then what
    /// `config` names, at the key that does.
    pub(super) fn kept_from(&self, file: &Path, config: &Config) -> Vec<(NamedFile, Fault)> {
        let own = |path: PathBuf, content| NamedFile { key: &[], path, content };
        let aws =
            [".aws/config", ".aws/credentials"].map(|name| own(Path::new(SERVICE_HOME).join(name), Content::Secret));
        let needed = std::iter::once(own(file.to_owned(), Content::Certificate)).chain(aws).chain(config.files());
        needed.filter_map(|needed| self.is_kept_from(&needed).map(|fault| (needed, fault))).collect()
    }

    /// What is not there is told by whoever opens it.
    fn is_kept_from(&self, NamedFile { path, content, .. }: &NamedFile) -> Option<Fault> {
        if !service::is_hidden(path) {
            return self.is_kept_from_below(Path::new("/"), path, *content);
        }
        let why = format!("`{}` is hidden from the machine's service", path.display());
        let elsewhere = match content {
            Content::Directory => format!("keep it elsewhere: sudo mv {} /srv/", quoted_path(path)),
            _ => format!("sudo install -o {NAME} -g {NAME} -m 600 {} {PLACE}/", quoted_path(path)),
        };
        Some(Fault::new(Kind::Config, "service", why).hint(elsewhere))
    }

    /// As modes say, where `top` is open.
    fn is_kept_from_below(&self, top: &Path, path: &Path, content: Content) -> Option<Fault> {
        let refused = |why: String, hint: String| Some(Fault::new(Kind::Config, "service", why).hint(hint));
        let mut folders = path.ancestors().skip(1).take_while(|folder| *folder != top);
        if let Some(folder) = folders.find(|folder| !self.may(folder, 0o1)) {
            let why = format!("`{}` is closed to user `{NAME}` of the machine's service", folder.display());
            return refused(why, format!("sudo chgrp {NAME} {0} && sudo chmod g+x {0}", quoted_path(folder)));
        }
        let (bits, let_in) = match content {
            Content::Certificate => (0o4, "chmod a+r"),
            Content::Directory => (0o5, "chmod a+rx"),
            _ => (0o4, "chown bowline"),
        };
        if self.may(path, bits) {
            return None;
        }
        let why = format!("user `{NAME}` of the machine's service cannot read `{}`", path.display());
        refused(why, format!("sudo {let_in} {}", quoted_path(path)))
    }

    /// Whether the mode of `path` grants it `bits`. Of what cannot be looked at nothing is said, nor of what has a list of
    /// its own besides (`setfacl`).
    fn may(&self, path: &Path, bits: u32) -> bool {
        let Ok(facts) = fs::metadata(path) else { return true };
        self.is_granted((facts.uid(), facts.gid(), facts.mode()), bits) || has_access_list(path)
    }

    fn is_granted(&self, (owner, group, mode): (u32, u32, u32), bits: u32) -> bool {
        let shift = match (owner == self.uid, self.groups.contains(&group)) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        mode >> shift & bits == bits
    }

    /// One to whom nothing belongs.
    #[cfg(test)]
    pub(super) fn nobody() -> Self {
        Self { uid: u32::MAX - 7, groups: Vec::new() }
    }
}

fn has_access_list(path: &Path) -> bool {
    rustix::fs::getxattr_query(path, "system.posix_acl_access").is_ok_and(|length| length > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use bowline_base::atomic;

    use super::*;
    use crate::config;

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
        let nobody = ServiceUser::nobody();
        let top = tempfile::tempdir().unwrap();
        let (folder, key) = (top.path().join("bowline"), top.path().join("bowline/site.key"));
        fs::create_dir(&folder).unwrap();
        atomic::write(&key, b"key", 0o600).unwrap();
        let hint = |content| {
            let kept = nobody.is_kept_from_below(top.path(), &key, content);
            kept.and_then(|fault| fault.hint).unwrap_or_default()
        };
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&folder, 0o700);
        assert!(hint(Content::PrivateKey).starts_with("sudo chgrp bowline "), "{}", hint(Content::PrivateKey));
        mode(&folder, 0o755);
        assert_eq!(hint(Content::PrivateKey), format!("sudo chown bowline {}", key.display()));
        assert_eq!(hint(Content::Certificate), format!("sudo chmod a+r {}", key.display()), "it is public");
        mode(&key, 0o644);
        assert_eq!(hint(Content::PrivateKey), "");
        assert_eq!(hint(Content::Directory), format!("sudo chmod a+rx {}", key.display()));
    }

    #[test]
    fn its_own_file_comes_first_and_the_rest_with_the_keys_that_name_it() {
        let config = config::parse("[vpn]\nmaster-key = { file = \"/root/master\" }\n").unwrap();
        let kept = ServiceUser::nobody().kept_from(Path::new("/tmp/bowline.toml"), &config);
        let kept: Vec<_> = kept.iter().map(|(file, _)| (file.key, file.path.to_str().unwrap())).collect();
        assert_eq!(kept, [(&[][..], "/tmp/bowline.toml"), (&["vpn", "master-key"][..], "/root/master")]);
        let there = config::parse("[vpn]\nmaster-key = { file = \"/etc/bowline/not-there\" }\n").unwrap();
        assert!(ServiceUser::nobody().kept_from(Path::new("/etc/bowline/not-there.toml"), &there).is_empty());
    }

    /// An entry for one user, as `setfacl -m u:12345678:r` makes it.
    #[test]
    fn of_a_file_with_an_access_list_nothing_is_said() {
        let top = tempfile::tempdir().unwrap();
        let key = top.path().join("site.key");
        atomic::write(&key, b"key", 0o600).unwrap();
        assert!(!ServiceUser::nobody().may(&key, 0o4));
        let entry = |kind: u16, rights: u16, id: u32| {
            [&kind.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
        };
        let (none, user) = (u32::MAX, 12_345_678);
        let entries = [(1, 6, none), (2, 4, user), (4, 0, none), (16, 4, none), (32, 0, none)];
        let list =
            [2_u32.to_le_bytes().to_vec(), entries.map(|(kind, rights, id)| entry(kind, rights, id)).concat()].concat();
        let set = rustix::fs::setxattr(&key, "system.posix_acl_access", &list, rustix::fs::XattrFlags::empty());
        match set {
            Ok(()) => assert!(ServiceUser::nobody().may(&key, 0o4)),
            Err(error) => eprintln!("skipped: this file system has no access lists: {error}"),
        }
    }
}
