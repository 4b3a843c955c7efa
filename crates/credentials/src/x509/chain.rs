//! Which of many certificates is the key's, and the order of those between it and the trust anchor.

use bowline_base::Timestamp;

use super::{
    certificate::Certificate,
    flaw::Flaw,
    key::{PrivateKey, SigningKey},
};

/// AWS takes no more.
const LONGEST: usize = 5;

/// The certificate of one of `keys`, with that key. `None`: no key belongs to any of them.
pub(super) fn leaf<'a>(
    keys: &[PrivateKey],
    certificates: &'a [Certificate],
    now: Timestamp,
) -> Result<Option<(SigningKey, &'a Certificate)>, Flaw> {
    let mut found: Option<(SigningKey, &Certificate)> = None;
    for key in keys {
        for certificate in certificates {
            let Some(pair) = SigningKey::of(key, &certificate.public_key)? else { continue };
            // A renewed certificate may stand before or after the one that it replaces.
            let better = |held: &Certificate| {
                let rank = |one: &Certificate| (one.is_valid(now), one.not_after);
                rank(certificate) > rank(held)
            };
            if found.as_ref().is_none_or(|(_, held)| better(held)) {
                found = Some((pair, certificate));
            }
        }
    }
    Ok(found)
}

/// The certificates above `leaf`, its issuer first, without the root: whatever order they stood in.
pub(super) fn above(leaf: &Certificate, certificates: &[Certificate], now: Timestamp) -> Vec<Vec<u8>> {
    let mut chain: Vec<&Certificate> = Vec::new();
    let mut at = leaf;
    while chain.len() < LONGEST {
        let issuers = certificates.iter().filter(|one| {
            one.subject == at.issuer && !one.is_root() && !chain.iter().any(|taken| taken.subject == one.subject)
        });
        let Some(next) = issuers.max_by_key(|one| (one.is_valid(now), one.not_after)) else { break };
        chain.push(next);
        at = next;
    }
    chain.into_iter().map(|certificate| certificate.der.clone()).collect()
}
