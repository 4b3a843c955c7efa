//! How the AWS files stood at a moment: told from a later moment, it shows which of them somebody has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::setup::Setup;

/// Modification time, length and inode of a file.
pub(crate) type Stamp = (SystemTime, u64, u64);

/// The stamps of every file that a source may read: config, credentials, what lies in the SSO cache as JSON, certificates
/// and keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps(BTreeMap<PathBuf, Stamp>);

/// The stamp of one file; a link is followed.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}

impl Stamps {
    pub(crate) fn take(setup: &Setup) -> Self {
        let locations = &setup.locations;
        let cached = fs::read_dir(&locations.sso_cache).into_iter().flatten().flatten().map(|entry| entry.path());
        let named = [locations.config.clone(), locations.credentials.clone()];
        let relevant = cached.filter(|path| is_token(path)).chain(named).chain(setup.files_of_identities());
        Self(relevant.filter_map(|path| stamp(&path).map(|stamp| (path, stamp))).collect())
    }

    /// Whether anything has changed since `before`, besides files that still stand as `own` left them.
    pub(crate) fn were_changed_since(&self, before: &Self, own: &BTreeMap<PathBuf, Stamp>) -> bool {
        let news =
            |(path, stamp): (&PathBuf, &Stamp)| before.0.get(path) != Some(stamp) && own.get(path) != Some(stamp);
        self.0.iter().any(news) || !self.gone_since(before).is_empty()
    }

    /// What was there `before` and is not any more.
    pub(crate) fn gone_since(&self, before: &Self) -> BTreeSet<PathBuf> {
        before.0.keys().filter(|path| !self.0.contains_key(*path)).cloned().collect()
    }
}

/// Not a lock, not a copy of a broken file, and not a file that is being written.
fn is_token(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "json")
}

#[cfg(test)]
mod tests {
    use bowline_awsfiles::{Locations, RolesAnywhere};
    use bowline_base::atomic;

    use super::*;

    #[test]
    fn only_a_relevant_file_that_somebody_else_wrote_is_a_change() {
        let home = tempfile::tempdir().unwrap();
        let cache = home.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let at = |name: &str| home.path().join(name);
        let locations = Locations { config: at("config"), credentials: at("credentials"), sso_cache: cache.clone() };
        let setup = Setup { locations, identities: vec![identity(&at("site.pem"))], ..crate::setup::tests::setup() };
        let before = Stamps::take(&setup);
        for name in ["x.lock", "x.json.bad", ".x.json.00112233445566aa.tmp", "../notes"] {
            atomic::write_private(&cache.join(name), b"x").unwrap();
        }
        assert_eq!(Stamps::take(&setup), before);
        let token = cache.join("x.json");
        atomic::write_private(&token, b"ours").unwrap();
        let (after, own) = (Stamps::take(&setup), BTreeMap::from([(token.clone(), stamp(&token).unwrap())]));
        assert!(!after.were_changed_since(&before, &own) && after.were_changed_since(&before, &BTreeMap::new()));
        atomic::write_private(&token, b"somebody's").unwrap();
        assert!(Stamps::take(&setup).were_changed_since(&after, &own));
        fs::remove_file(&token).unwrap();
        let gone = Stamps::take(&setup);
        assert!(gone.were_changed_since(&after, &own));
        assert_eq!(gone.gone_since(&after), BTreeSet::from([token]));
        atomic::write_private(&setup.locations.config, b"[default]").unwrap();
        assert!(Stamps::take(&setup).were_changed_since(&gone, &own));
        let before = Stamps::take(&setup);
        atomic::write_private(&at("site.pem"), b"a new certificate").unwrap();
        assert!(Stamps::take(&setup).were_changed_since(&before, &own));
    }

    fn identity(certificate: &Path) -> RolesAnywhere {
        RolesAnywhere {
            name: "site".to_owned(),
            certificate: certificate.to_path_buf(),
            intermediates: None,
            private_key: None,
            password: None,
            trust_anchor: String::new(),
            profile: String::new(),
            role: String::new(),
            session_name: None,
            duration: None,
            region: None,
            edition: None,
        }
    }
}
