//! Who besides the daemon's own user may ask, and for which profiles: `[[grant]]`.
//!
//! Pure but for the token files, which are re-read when they change. Knows nothing of HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use bowline_base::Now;
use bowline_host::peers::Owner;

use crate::endpoint::TokenFile;

/// What happens to an answer that cannot be written to the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditDuty {
    /// It is refused.
    Deny,
    /// It is given, with a warning.
    #[default]
    Warn,
}

/// One grant: everything that it names must hold for the asker.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The user of the asking process, as the kernel names it.
    pub uid: Option<u32>,
    /// The token that the asker shows. Each client has its own, so that each can be revoked.
    pub token: Option<Arc<TokenFile>>,
    /// The control group (v2) that the asker is in or below; told for Unix sockets only.
    pub cgroup: Option<String>,
    /// What it may have.
    pub profiles: Vec<String>,
    /// What its answers owe the audit log.
    pub audit: AuditDuty,
}

/// What is known of somebody who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// As the kernel names its user.
    pub owner: Owner,
    /// Its control group, where a process id is known.
    pub cgroup: Option<String>,
    /// What it showed.
    pub token: Option<Vec<u8>>,
}

impl Asker {
    /// Whether it is the user `owner` or root, who can read everything of ours anyway.
    #[must_use]
    pub fn is(&self, owner: u32) -> bool {
        matches!(self.owner, Owner::Uid(uid) if uid == owner || uid == 0)
    }
}

impl Grant {
    /// Whether the asker is whom this grant is for.
    #[must_use]
    pub fn is_for(&self, asker: &Asker, now: Now) -> bool {
        // A grant that names nobody is for nobody.
        let names_somebody = self.uid.is_some() || self.token.is_some() || self.cgroup.is_some();
        names_somebody
            && self.uid.is_none_or(|uid| asker.owner == Owner::Uid(uid))
            && self.cgroup.as_deref().is_none_or(|group| asker.cgroup.as_deref().is_some_and(|own| below(own, group)))
            && self
                .token
                .as_ref()
                .is_none_or(|token| asker.token.as_deref().is_some_and(|given| token.accepts(given, now)))
    }
}

/// The grants of this moment; clones share them, and a reload replaces them for all.
#[derive(Clone, Debug, Default)]
pub struct Grants(Arc<Mutex<Arc<[Grant]>>>);

impl Grants {
    /// These grants.
    #[must_use]
    pub fn new(grants: Vec<Grant>) -> Self {
        Self(Arc::new(Mutex::new(grants.into())))
    }

    /// From now on these.
    pub fn replace(&self, grants: Vec<Grant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = grants.into();
    }

    /// The grants as they are now.
    #[must_use]
    pub fn all(&self) -> Arc<[Grant]> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The duty of the first grant that gives `profile` to `asker`; `None` when there is none.
    #[must_use]
    pub fn gives(&self, asker: &Asker, profile: &str, now: Now) -> Option<AuditDuty> {
        let all = self.all();
        let mut fitting = all.iter().filter(|grant| grant.profiles.iter().any(|known| known == profile));
        fitting.find(|grant| grant.is_for(asker, now)).map(|grant| grant.audit)
    }

    /// Whether any grant gives `profile` to anybody: then its name is ours, and not made up by who asks.
    #[must_use]
    pub fn name(&self, profile: &str) -> bool {
        self.all().iter().any(|grant| grant.profiles.iter().any(|known| known == profile))
    }

    /// Whether any grant is for `asker`, whatever it gives.
    #[must_use]
    pub fn know(&self, asker: &Asker, now: Now) -> bool {
        self.all().iter().any(|grant| grant.is_for(asker, now))
    }

    /// Whether processes of other users are to reach the Unix socket.
    #[must_use]
    pub fn admit_other_users(&self) -> bool {
        self.all().iter().any(|grant| grant.uid.is_some() || grant.cgroup.is_some())
    }
}

/// `/a/b` is in `/a/b` and in `/a`, not in `/a/bc`.
fn below(own: &str, group: &str) -> bool {
    let group = group.trim_end_matches('/');
    own.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn now() -> Now {
        Now { boot: Duration::from_secs(1), wall: bowline_base::Timestamp::UNIX_EPOCH }
    }

    fn asker(owner: Owner, cgroup: Option<&str>) -> Asker {
        Asker { owner, cgroup: cgroup.map(ToOwned::to_owned), token: None }
    }

    fn grant(uid: Option<u32>, cgroup: Option<&str>) -> Grant {
        let cgroup = cgroup.map(ToOwned::to_owned);
        Grant { uid, token: None, cgroup, profiles: vec!["build".to_owned()], audit: AuditDuty::Deny }
    }

    #[test]
    fn a_grant_is_for_whom_it_names_and_gives_what_it_names() {
        let grants = Grants::new(vec![grant(Some(7), None)]);
        assert_eq!(grants.gives(&asker(Owner::Uid(7), None), "build", now()), Some(AuditDuty::Deny));
        assert_eq!(grants.gives(&asker(Owner::Uid(7), None), "site", now()), None);
        for owner in [Owner::Uid(8), Owner::NotHere, Owner::Untold] {
            assert_eq!(grants.gives(&asker(owner, None), "build", now()), None, "{owner:?}");
        }
    }

    #[test]
    fn all_that_a_grant_names_must_hold_and_naming_nobody_is_for_nobody() {
        let both = grant(Some(7), Some("/ci.slice"));
        assert!(both.is_for(&asker(Owner::Uid(7), Some("/ci.slice/job.scope")), now()));
        assert!(!both.is_for(&asker(Owner::Uid(7), Some("/ci.slices")), now()));
        assert!(!both.is_for(&asker(Owner::Uid(7), None), now()));
        assert!(!grant(None, None).is_for(&asker(Owner::Uid(7), Some("/x")), now()));
    }

    #[test]
    fn a_token_opens_what_its_grant_names_wherever_it_comes_from() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ci/token");
        let token = Arc::new(TokenFile::open(&path).unwrap());
        let shown = std::fs::read(&path).unwrap();
        let grants = Grants::new(vec![Grant { token: Some(token), ..grant(None, None) }]);
        let with = |token| Asker { token, ..asker(Owner::NotHere, None) };
        assert!(grants.gives(&with(Some(shown)), "build", now()).is_some());
        assert!(grants.gives(&with(Some(b"guess".to_vec())), "build", now()).is_none());
        assert!(!grants.know(&with(None), now()));
    }

    #[test]
    fn replaced_grants_are_replaced_for_all() {
        let grants = Grants::new(vec![grant(Some(7), None)]);
        let other = grants.clone();
        other.replace(Vec::new());
        assert!(!grants.know(&asker(Owner::Uid(7), None), now()));
    }
}
