//! Which predecessor each set of variables belongs to. Pure.

use super::found::{Found, Variables};

/// The five variables of Roles Anywhere, and the keys that they become.
pub(super) const CERTIFICATE: [(&str, &str); 5] = [
    ("certificate", "ROLESANYWHERE_CERTIFICATE_PATH"),
    ("private-key", "ROLESANYWHERE_PRIVATE_KEY_PATH"),
    ("trust-anchor", "ROLESANYWHERE_TRUST_ANCHOR_ARN"),
    ("profile", "ROLESANYWHERE_PROFILE_ARN"),
    ("role", "ROLESANYWHERE_ROLE_ARN"),
];
/// Variables of the VPN alone.
const VPN: [&str; 4] = ["SSM_PREFIX", "API_PORT", "VPN_PROXY_HOST", "VPN_PROXY_PORT"];
/// Variables of the artifact proxy alone.
const ARTIFACTS: [&str; 4] = ["S3_BUCKET_NAME", "REFRESH_INTERVAL", "CHECK_INTERVAL", "RENEWAL_THRESHOLD"];

/// The first set of variables for each job.
#[derive(Debug, Default)]
pub(super) struct Roles<'a> {
    pub(super) repository: Option<&'a Variables>,
    pub(super) gateway: Option<&'a Variables>,
    pub(super) vpn: Option<&'a Variables>,
    /// All of what is said of a certificate, from one set if that says all of it.
    pub(super) certificate: Variables,
}

impl<'a> Roles<'a> {
    pub(super) fn of(found: &'a Found) -> Self {
        let with = |name: &str| found.files.iter().find(|file| file.contains_key(name));
        let repository = with("S3_BUCKET_NAME");
        // Both the artifact proxy and the VPN know it.
        let port_alone = || {
            found
                .files
                .iter()
                .find(|file| file.contains_key("PROXY_PORT") && !ARTIFACTS.iter().any(|name| file.contains_key(name)))
        };
        Self {
            repository,
            gateway: with("CGW_NAME"),
            vpn: VPN.into_iter().find_map(with).or_else(port_alone),
            certificate: certificate(found),
        }
    }

    pub(super) fn has_certificate(&self) -> bool {
        self.missing().is_empty()
    }

    /// Which of the five variables nobody says.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        CERTIFICATE.iter().map(|(_, variable)| *variable).filter(|name| !self.certificate.contains_key(name)).collect()
    }

    /// One set of variables is both: its `PROXY_PORT` is the repository's.
    pub(super) fn share_a_port(&self) -> bool {
        let both = self.repository.zip(self.vpn).filter(|(repository, vpn)| std::ptr::eq(*repository, *vpn));
        both.is_some_and(|(file, _)| file.contains_key("PROXY_PORT"))
    }
}

fn certificate(found: &Found) -> Variables {
    let of = |file: &Variables| -> Variables {
        let is = |name: &str| CERTIFICATE.iter().any(|(_, variable)| *variable == name);
        file.iter().filter(|(name, _)| is(name)).map(|(name, value)| (*name, value.clone())).collect()
    };
    let sets: Vec<Variables> = found.files.iter().map(of).collect();
    let whole = sets.iter().find(|set| set.len() == CERTIFICATE.len()).cloned();
    whole.unwrap_or_else(|| sets.into_iter().rev().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::{
        super::found::{Surroundings, read},
        *,
    };

    fn found(files: &[&str]) -> Found {
        Found {
            files: files.iter().flat_map(|text| read(text, &Surroundings::new()).services).collect(),
            ..Found::default()
        }
    }

    #[test]
    fn a_vpn_is_known_without_its_prefix() {
        for (text, vpn) in [
            ("API_PORT=8000\n", true),
            ("PROXY_PORT=3128\n", true),
            ("VPN_PROXY_HOST=vpn.corp\n", true),
            ("S3_BUCKET_NAME=b\nPROXY_PORT=9000\n", false),
            ("AWS_PROFILE=p\nPROXY_PORT=9000\nREFRESH_INTERVAL=60000\n", false),
            ("CGW_NAME=hut\n", false),
        ] {
            assert_eq!(Roles::of(&found(&[text])).vpn.is_some(), vpn, "{text}");
        }
    }

    #[test]
    fn a_certificate_is_put_together_from_halves_and_the_rest_is_named() {
        let half = "ROLESANYWHERE_CERTIFICATE_PATH=/c\nROLESANYWHERE_PRIVATE_KEY_PATH=/k\n";
        let found = found(&[half, "ROLESANYWHERE_ROLE_ARN=r\nROLESANYWHERE_PROFILE_ARN=p\n"]);
        let roles = Roles::of(&found);
        assert_eq!((roles.missing(), roles.has_certificate()), (vec!["ROLESANYWHERE_TRUST_ANCHOR_ARN"], false));
    }
}
