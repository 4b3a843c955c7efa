//! Which algorithms are proposed: what AWS takes for a tunnel, the strongest first, in strongSwan's words.
//!
//! Where AWS takes whatever it knows, SHA-1 and the short groups are not offered: it takes better ones.

use bowline_aws::ec2::Phase;

/// AWS's name, strongSwan's name, and whether it needs no integrity besides.
const ENCRYPTION: [(&str, &str, bool); 4] = [
    ("AES256-GCM-16", "aes256gcm16", true),
    ("AES128-GCM-16", "aes128gcm16", true),
    ("AES256", "aes256", false),
    ("AES128", "aes128", false),
];
/// AWS's name, the hash in strongSwan's words, and whether it is offered unasked.
const INTEGRITY: [(&str, &str, bool); 4] =
    [("SHA2-512", "sha512", true), ("SHA2-384", "sha384", true), ("SHA2-256", "sha256", true), ("SHA1", "sha1", false)];
/// The number of the group, strongSwan's name, and whether it is offered unasked.
const GROUPS: [(u32, &str, bool); 12] = [
    (20, "ecp384", true),
    (19, "ecp256", true),
    (21, "ecp521", true),
    (16, "modp4096", true),
    (15, "modp3072", true),
    (14, "modp2048", true),
    (18, "modp8192", false),
    (17, "modp6144", false),
    (24, "modp2048s256", false),
    (23, "modp2048s224", false),
    (5, "modp1536", false),
    (2, "modp1024", false),
];

/// For IKE itself: an encryption that proves integrity needs a function to make keys with.
pub(super) fn of_ike(phase: &Phase) -> String {
    proposals(phase, "prf")
}

/// For what IKE protects.
pub(super) fn of_esp(phase: &Phase) -> String {
    proposals(phase, "")
}

/// Two at most: with integrity of its own, and without. What nobody here knows is left out; where nothing is left,
/// strongSwan proposes what it thinks right.
fn proposals(phase: &Phase, prf: &str) -> String {
    let groups: Vec<&str> = chosen(&GROUPS, |number| phase.groups.contains(&number), phase.groups.is_empty());
    let named = |list: &'static [(&str, &'static str, bool)], wanted: &[String], all: bool| {
        chosen(list, |name| wanted.iter().any(|one| one == name), all)
    };
    let hashes = named(&INTEGRITY, &phase.integrity, phase.integrity.is_empty());
    let ciphers = |is_aead: bool| {
        let known = ENCRYPTION.iter().filter(move |(.., aead)| *aead == is_aead);
        let taken =
            known.filter(|(name, ..)| phase.encryption.is_empty() || phase.encryption.iter().any(|one| one == name));
        taken.map(|(_, name, _)| (*name).to_owned()).collect::<Vec<_>>()
    };
    let functions: Vec<String> = match prf {
        "" => Vec::new(),
        _ if hashes.is_empty() => vec!["prfsha256".to_owned()],
        _ => hashes.iter().map(|hash| format!("{prf}{hash}")).collect(),
    };
    let proofs: Vec<String> = hashes.iter().map(|hash| (*hash).to_owned()).collect();
    let proposal = |ciphers: Vec<String>, with: &[String]| {
        let is_whole = !ciphers.is_empty() && !groups.is_empty();
        is_whole.then(|| {
            [&ciphers[..], with, &groups.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>()].concat().join("-")
        })
    };
    let plain = if proofs.is_empty() { None } else { proposal(ciphers(false), &proofs) };
    let all: Vec<String> = [proposal(ciphers(true), &functions), plain].into_iter().flatten().collect();
    if all.is_empty() { "default".to_owned() } else { all.join(", ") }
}

/// strongSwan's names of what is wanted; of what is offered unasked where `unasked`.
fn chosen<K: Copy>(
    list: &[(K, &'static str, bool)],
    is_wanted: impl Fn(K) -> bool,
    unasked: bool,
) -> Vec<&'static str> {
    let taken = list.iter().filter(|(key, _, offered)| if unasked { *offered } else { is_wanted(*key) });
    taken.map(|(_, name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(encryption: &str, integrity: &str, groups: &[u32]) -> Phase {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Phase { encryption: words(encryption), integrity: words(integrity), groups: groups.to_vec() }
    }

    #[test]
    fn what_aws_takes_is_proposed_strongest_first() {
        let strict = phase("AES256", "SHA2-256", &[14]);
        assert_eq!(
            (of_ike(&strict), of_esp(&strict)),
            ("aes256-sha256-modp2048".into(), "aes256-sha256-modp2048".into())
        );
        let mixed = phase("AES128 AES256-GCM-16", "SHA2-256 SHA2-384", &[2, 20]);
        assert_eq!(
            of_ike(&mixed),
            "aes256gcm16-prfsha384-prfsha256-ecp384-modp1024, aes128-sha384-sha256-ecp384-modp1024"
        );
        assert_eq!(of_esp(&mixed), "aes256gcm16-ecp384-modp1024, aes128-sha384-sha256-ecp384-modp1024");
    }

    #[test]
    fn what_is_weak_is_proposed_only_where_it_was_chosen() {
        let all = phase("", "", &[]);
        assert!(!of_ike(&all).contains("sha1") && !of_ike(&all).contains("modp1024"));
        assert!(of_esp(&all).starts_with("aes256gcm16-aes128gcm16-ecp384-ecp256-"), "{}", of_esp(&all));
        assert_eq!(of_ike(&phase("AES128", "SHA1", &[2])), "aes128-sha1-modp1024");
    }

    #[test]
    fn words_that_came_later_are_left_out() {
        assert_eq!(of_esp(&phase("AES256 ML-KEM;}", "SHA2-256 SHA3", &[14, 99])), "aes256-sha256-modp2048");
        assert_eq!(of_ike(&phase("CHACHA", "", &[])), "default");
        assert_eq!(of_ike(&phase("AES256", "", &[99])), "default");
    }
}
