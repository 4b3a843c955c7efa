//! The ECS-style endpoint, `/v1/role/PROFILE`: who may have which profile. Pure but for the token files.

use bowline_base::Now;
use http::{HeaderMap, header};

use super::{TokenFile, answer::Refusal};
use crate::{
    grant::{Asker, AuditDuty, Grants},
    socket::decode,
};
use bowline_host::peers::Owner;

/// The path of `profile`, as [`profile`] reads it.
#[must_use]
pub fn path(profile: &str) -> String {
    format!("/v1/role/{}", crate::client::encode(profile))
}

/// The profile that a path names, with or without a slash at its end.
pub(super) fn profile(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/v1/role/")?;
    decode(rest.strip_suffix('/').unwrap_or(rest))
}

/// What the client showed: the token alone, without `Bearer`, as SDKs send it.
pub(super) fn token(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec())
}

/// Whether `asker` may have `profile`, and what a grant then says of the audit log.
///
/// Our own user and root need the endpoint's token; everybody else a grant. Where the kernel does not say who asks, the
/// token alone decides: only our own user can read its file.
pub(super) fn admitted(
    asker: &Asker,
    owner: u32,
    token: &TokenFile,
    grants: &Grants,
    profile: &str,
    now: Now,
) -> Result<Option<AuditDuty>, Refusal> {
    let ours = asker.is(owner) || asker.owner == Owner::Untold;
    let shown = asker.token.as_deref().is_some_and(|given| token.accepts(given, now));
    if ours && shown {
        return Ok(None);
    }
    if let Some(duty) = grants.gives(asker, profile, now) {
        return Ok(Some(duty));
    }
    Err(if grants.know(asker, now) {
        Refusal::new(403, "AccessDenied", format!("no grant gives `{profile}` to this client"))
    } else if ours || asker.token.is_none() {
        Refusal::new(401, "InvalidToken", "show the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    } else {
        Refusal::new(403, "AccessDenied", "this endpoint answers its own user only; others need a [[grant]]")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::grant::Grant;

    #[test]
    fn a_profile_s_path_is_read_back_with_or_without_a_slash() {
        for name in ["build", "a b/ü", "x@y"] {
            assert_eq!(profile(&path(name)).as_deref(), Some(name));
            assert_eq!(profile(&format!("{}/", path(name))).as_deref(), Some(name));
        }
        for bad in ["/", "/v1/role/", "/v1/role/a/b", "/v2/role/a", "/latest/meta-data"] {
            assert_eq!(profile(bad), None, "{bad}");
        }
    }

    #[test]
    fn our_user_needs_the_token_and_others_a_grant() {
        let home = tempfile::tempdir().unwrap();
        let token = TokenFile::open(&home.path().join("token")).unwrap();
        let good = std::fs::read(token.path()).unwrap();
        let grant = Grant {
            uid: Some(9),
            token: None,
            cgroup: None,
            profiles: vec!["build".to_owned()],
            audit: AuditDuty::Warn,
        };
        let grants = Grants::new(vec![grant]);
        let now = Now { boot: Duration::ZERO, wall: bowline_base::Timestamp::UNIX_EPOCH };
        let status = |owner, token_shown: Option<&[u8]>, profile: &str| {
            let asker = Asker { owner, cgroup: None, token: token_shown.map(<[u8]>::to_vec) };
            admitted(&asker, 7, &token, &grants, profile, now).err().map(|refusal| refusal.status())
        };
        assert_eq!(status(Owner::Uid(7), Some(&good), "build"), None);
        assert_eq!(status(Owner::Uid(0), Some(&good), "build"), None);
        assert_eq!(status(Owner::Untold, Some(&good), "build"), None);
        assert_eq!(status(Owner::Uid(7), None, "build"), Some(401));
        assert_eq!(status(Owner::Uid(7), Some(b"guess"), "build"), Some(401));
        assert_eq!(status(Owner::Uid(8), Some(&good), "build"), Some(403));
        assert_eq!(status(Owner::NotHere, Some(&good), "build"), Some(403));
        assert_eq!(status(Owner::Uid(9), None, "build"), None);
        assert_eq!(status(Owner::Uid(9), None, "site"), Some(403));
    }
}
