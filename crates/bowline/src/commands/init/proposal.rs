//! From what was found to what is proposed: one part for each job, with its question and its text. Pure.

use std::num::NonZeroU16;

use super::{
    found::{Found, Variables},
    roles::{CERTIFICATE, Roles},
};
use crate::config;

/// What may go into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Asked where somebody can be asked.
    pub(super) question: String,
    /// The section with its comments.
    pub(super) text: String,
}

/// What is proposed, in the order of the file.
pub(super) fn parts(found: &Found) -> Vec<Part> {
    let (profile, roles) = (profile(found), Roles::of(found));
    let signs_in = |profile: &&str| found.sso_profiles.iter().any(|sso| sso == profile);
    let site = roles.has_certificate();
    let gateway = roles.gateway.or(Some(&roles.certificate).filter(|_| site));
    let parts = [
        profile.as_deref().filter(signs_in).map(keep_fresh),
        site.then(|| identity(&roles.certificate)),
        profile.as_deref().map(endpoint),
        roles.repository.map(|file| artifacts(file, profile.as_deref())),
        gateway.map(|file| follow(file, found, &roles)),
        roles.vpn.map(|file| vpn(file, roles.share_a_port())),
    ];
    parts.into_iter().flatten().collect()
}

/// The whole file.
pub(super) fn file(parts: &[Part]) -> String {
    let mut text =
        "# Written by `bowline init`. Every key: `bowline explain`; what is wrong with it: `bowline check`.\n"
            .to_owned();
    if parts.is_empty() {
        text.push_str(
            "# Nothing was found to start from. Sign in with `aws configure sso`, or name a predecessor's file: `bowline init --from .env`.\n",
        );
    }
    for part in parts {
        text.push('\n');
        text.push_str(&part.text);
    }
    text
}

/// The profile that a predecessor used, there or not: another could be of another account. Else one that signs in, else any.
fn profile(found: &Found) -> Option<String> {
    let named = found.files.iter().find_map(|file| file.get("AWS_PROFILE").cloned());
    // A section without a name is a mistake of the file, which `bowline doctor files` tells.
    let mut all = found.sso_profiles.iter().chain(&found.other_profiles).filter(|name| !name.trim().is_empty());
    named.or_else(|| all.next().cloned())
}

/// The profile that this very service used.
fn own(file: &Variables) -> Option<&str> {
    file.get("AWS_PROFILE").map(String::as_str)
}

fn keep_fresh(profile: &str) -> Part {
    let text = format!(
        "[daemon]\nlisten = \"127.0.0.1:9910\"          # status page, /livez, /readyz, /metrics\nkeep-fresh = [{}]            # renewed from the start, asked for or not\n",
        quoted(profile)
    );
    Part { question: format!("Keep `{profile}` signed in and its credentials fresh?"), text }
}

fn identity(file: &Variables) -> Part {
    let value = |variable: &str| quoted(file.get(variable).map_or("", String::as_str));
    let key = |(key, variable): (&str, &str)| match key {
        "private-key" => format!("private-key = {{ file = {} }}\n", value(variable)),
        _ => format!("{key} = {}\n", value(variable)),
    };
    let keys: String = CERTIFICATE.into_iter().map(key).collect();
    Part {
        question: "Use the certificate of the old set-up (IAM Roles Anywhere) as identity `site`?".to_owned(),
        text: format!(
            "[identity.site.roles-anywhere]     # AWS by an X.509 certificate; both files are read anew when they change\n{keys}"
        ),
    }
}

fn endpoint(profile: &str) -> Part {
    let text = format!(
        "[endpoint]                         # hands credentials to anything that speaks AWS\nlisten = \"127.0.0.1:9911\"\nserve  = [{}]\n",
        quoted(profile)
    );
    Part { question: format!("Hand out the credentials of `{profile}` on 127.0.0.1:9911?"), text }
}

fn artifacts(file: &Variables, profile: Option<&str>) -> Part {
    let bucket = file.get("S3_BUCKET_NAME").map_or("", String::as_str).trim_start_matches("s3://");
    let port = port(file, "PROXY_PORT").unwrap_or(9000);
    let text = format!(
        "[artifacts]                        # Maven repositories in S3 through a cache\n{}{}listen   = \"127.0.0.1:{port}\"\n\
         cache    = {{ max-size = \"20 GiB\" }}\n\n[[artifacts.repository]]\npath = \"/\"\nfrom = {}\n",
        line("identity", own(file).or(profile)),
        line("region  ", region(file)),
        quoted(&format!("s3://{bucket}"))
    );
    Part { question: format!("Serve Maven artifacts from s3://{bucket} on 127.0.0.1:{port}?"), text }
}

fn follow(file: &Variables, found: &Found, roles: &Roles<'_>) -> Part {
    let with_certificate = || found.files.iter().find(|file| file.contains_key("ROLESANYWHERE_ROLE_ARN"));
    let region = region(file).or_else(|| with_certificate().and_then(region));
    let half = if roles.has_certificate() || roles.certificate.is_empty() {
        String::new()
    } else {
        format!("# identity = \"site\"                # {} is not said\n", roles.missing().join(", "))
    };
    let text = format!(
        "[gateway]                          # Site-to-Site VPN follows this site's public address\n{half}{}{}{}interval = \"5m\"\n\
         # vpn-connections = [\"vpn-0a1b2c3d\"]   # default: the only one of the region\n",
        line("identity", roles.has_certificate().then_some("site").or(own(file))),
        line("region  ", region),
        line("name    ", file.get("CGW_NAME").map(String::as_str)),
    );
    Part { question: "Let the Site-to-Site VPN follow this site's address?".to_owned(), text }
}

/// `port_is_taken`: `PROXY_PORT` is the repository's.
fn vpn(file: &Variables, port_is_taken: bool) -> Part {
    let prefix = file.get("SSM_PREFIX").map(|prefix| prefix.trim_matches('/'));
    let api = port(file, "API_PORT").unwrap_or(8000);
    let told = proxy_endpoint(file).and_then(Result::ok);
    let own_port = port(file, "PROXY_PORT").filter(|_| !port_is_taken);
    let has_proxy = told.is_some() || (file.contains_key("PROXY_PORT") && !port_is_taken);
    let proxy = has_proxy.then(|| format!("127.0.0.1:{}", own_port.unwrap_or(PROXY_PORT)));
    let text = format!(
        "[vpn]                              # WireGuard without TUN, root or a capability\nlisten   = \"0.0.0.0:51820\"\n\
         api      = \"127.0.0.1:{api}\"         # 0.0.0.0 here and for `proxy`: for other machines, as the variables did\n{}{}{}{}{}store    = {}{}\n",
        line("proxy   ", proxy.as_deref()),
        line("proxy-endpoint", told.as_deref()),
        endpoint_of(told.as_deref()),
        line("identity", own(file)),
        line("region  ", region(file)),
        quoted(&format!("ssm:/{}", prefix.unwrap_or(PREFIX))),
        if prefix.is_some() { "" } else { "   # where nobody says SSM_PREFIX" },
    );
    Part { question: format!("Serve a WireGuard VPN with its users in SSM below /{}?", prefix.unwrap_or(PREFIX)), text }
}

/// The predecessor's defaults.
const PREFIX: &str = "ephem-vpn";
const PROXY_PORT: u16 = 3128;

/// What the predecessor told clients of its proxy, where it was told to; or why that is none.
pub(super) fn proxy_endpoint(file: &Variables) -> Option<Result<String, String>> {
    let host = file.get("VPN_PROXY_HOST");
    let port = port(file, "VPN_PROXY_PORT");
    (host.is_some() || port.is_some()).then(|| {
        let host = host.map_or("localhost", String::as_str);
        config::vpn_endpoint(&format!("{host}:{}", port.unwrap_or(PROXY_PORT)))
    })
}

/// WireGuard is most likely where the proxy is.
fn endpoint_of(proxy: Option<&str>) -> String {
    let host = proxy.and_then(|proxy| proxy.rsplit_once(':')).map(|(host, _)| host).filter(|host| *host != "localhost");
    match host {
        Some(host) => {
            format!("endpoint = {}   # what clients are told: where the proxy is\n", quoted(&format!("{host}:51820")))
        }
        None => {
            "# endpoint = \"vpn.example.net:51820\"   # what clients are told; default: an address of this machine\n"
                .to_owned()
        }
    }
}

/// `KEY = "value"`, where there is a value.
fn line(key: &str, value: Option<&str>) -> String {
    value.map(|value| format!("{key} = {}\n", quoted(value))).unwrap_or_default()
}

fn port(file: &Variables, name: &str) -> Option<u16> {
    file.get(name)?.parse::<NonZeroU16>().ok().map(NonZeroU16::get)
}

fn region(file: &Variables) -> Option<&str> {
    file.get("AWS_REGION").or_else(|| file.get("AWS_DEFAULT_REGION")).map(String::as_str)
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            found::{Surroundings, read},
            notes,
        },
        *,
    };

    fn found(files: &[&str]) -> Found {
        Found {
            sso_profiles: vec!["build".to_owned(), "deploy".to_owned()],
            other_profiles: vec!["keys".to_owned()],
            files: files.iter().flat_map(|text| read(text, &Surroundings::new()).services).collect(),
        }
    }

    const CERTIFICATES: &str = "CGW_NAME=hut\nAWS_REGION=eu-central-1\nROLESANYWHERE_CERTIFICATE_PATH=/certs/app-cert.pem\n\
        ROLESANYWHERE_PRIVATE_KEY_PATH=/certs/app-key.pem\nROLESANYWHERE_TRUST_ANCHOR_ARN=arn:aws:rolesanywhere:eu-central-1:1:trust-anchor/a\n\
        ROLESANYWHERE_PROFILE_ARN=arn:aws:rolesanywhere:eu-central-1:1:profile/p\nROLESANYWHERE_ROLE_ARN=arn:aws:iam::1:role/r\n";

    #[test]
    fn what_is_proposed_is_what_the_parser_takes() {
        let whole = file(&parts(&found(&[
            "S3_BUCKET_NAME=corp-maven/releases\nPROXY_PORT=9100\nAWS_PROFILE=deploy\n",
            CERTIFICATES,
        ])));
        let config = config::parse(&whole).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{whole}"));
        assert_eq!(config.daemon.keep_fresh, ["deploy"]);
        let artifacts = config.artifacts.unwrap();
        assert_eq!((artifacts.identity.as_deref(), artifacts.listen[0].port()), (Some("deploy"), 9100));
        let gateway = config.gateway.unwrap();
        assert_eq!((gateway.identity.as_deref(), gateway.name.as_deref()), (Some("site"), Some("hut")));
        assert_eq!(config.identities[0].name, "site");
    }

    /// Each is either in the file or named with a reason; nothing goes without a word.
    #[test]
    fn what_goes_into_no_key_is_told() {
        let known = "AWS_PROFILE=deploy\n";
        for (text, words) in [
            ("PROXY_PORT=abc\n", "PROXY_PORT=abc is no port"),
            ("PROXY_PORT=0\n", "PROXY_PORT=0 is no port"),
            ("VPN_PROXY_PORT=70000\n", "VPN_PROXY_PORT=70000 is no port"),
            ("RENEWAL_THRESHOLD=3600\n", "RENEWAL_THRESHOLD=3600 is no key of bowline.toml"),
            ("AWS_ROLE_ARN=arn:aws:iam::1:role/r\n", "AWS_ROLE_ARN=arn:aws:iam::1:role/r is no key of bowline.toml"),
            ("LOG_LEVEL=debug\n", "LOG_LEVEL=debug is no key of bowline.toml"),
            ("REFRESH_INTERVAL=60000\nCHECK_INTERVAL=900\n", "CHECK_INTERVAL is left out"),
            ("VPN_PROXY_HOST=a b\n", "VPN_PROXY_HOST and VPN_PROXY_PORT are left out"),
            ("S3_BUCKET_NAME=corp\nPROXY_PORT=1\nSSM_PREFIX=x\n", "PROXY_PORT is taken for the repository's"),
            ("AWS_PROFILE=bazel-cache\n", "profile `bazel-cache` is not in ~/.aws/config"),
            (
                "CGW_NAME=hut\nROLESANYWHERE_ROLE_ARN=r\n",
                "ROLESANYWHERE_ROLE_ARN without ROLESANYWHERE_CERTIFICATE_PATH, ",
            ),
        ] {
            let told = notes::of_all(&found(&[text])).join("\n");
            assert!(told.contains(words), "{text}: {told}");
            config::parse(&file(&parts(&found(&[text])))).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
        }
        assert_eq!(notes::of_all(&found(&[known])), [""; 0]);
    }

    #[test]
    fn the_vpn_keeps_its_ports_and_its_store() {
        let text = file(&parts(&found(&["SSM_PREFIX=ephem-vpn/\nAPI_PORT=8001\nPROXY_PORT=3128\n"])));
        let vpn = config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}")).vpn.unwrap();
        assert_eq!((vpn.api.port(), vpn.proxy.map(|proxy| proxy.port())), (8001, Some(3128)));
        assert_eq!(vpn.store, Some(config::StorePlace::Ssm("/ephem-vpn".to_owned())));
        let text = file(&parts(&found(&["VPN_PROXY_HOST=vpn.corp.net\nVPN_PROXY_PORT=3129\nAWS_PROFILE=deploy\n"])));
        let vpn = config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}")).vpn.unwrap();
        assert_eq!(vpn.store, Some(config::StorePlace::Ssm("/ephem-vpn".to_owned())), "the predecessor's default");
        assert_eq!(
            (vpn.proxy_endpoint.as_deref(), vpn.endpoint.as_deref()),
            (Some("vpn.corp.net:3129"), Some("vpn.corp.net:51820"))
        );
        assert_eq!((vpn.proxy.map(|proxy| proxy.port()), vpn.identity.as_deref()), (Some(3128), Some("deploy")));
        let text = file(&parts(&found(&["API_PORT=8000\n"])));
        assert_eq!(config::parse(&text).unwrap().vpn.unwrap().endpoint, None, "no place is invented");
    }

    #[test]
    fn half_a_certificate_is_no_identity() {
        let half = CERTIFICATES.replace("ROLESANYWHERE_ROLE_ARN", "ROLE_ARN");
        let text = file(&parts(&found(&[&half])));
        assert!(text.contains("# identity = \"site\"                # ROLESANYWHERE_ROLE_ARN is not said"), "{text}");
        let config = config::parse(&text).unwrap();
        assert!(config.identities.is_empty() && config.gateway.unwrap().identity.is_none(), "{text}");
    }

    #[test]
    fn with_nothing_found_the_file_says_what_to_do() {
        let text = file(&parts(&Found::default()));
        assert!(text.contains("aws configure sso"), "{text}");
        config::parse(&text).unwrap();
    }

    #[test]
    fn the_profile_that_was_named_is_kept_there_or_not() {
        assert_eq!(profile(&found(&["AWS_PROFILE=bazel-cache\n"])).as_deref(), Some("bazel-cache"));
        assert_eq!(profile(&found(&["AWS_PROFILE=keys\n"])).as_deref(), Some("keys"));
        assert_eq!(profile(&found(&[])).as_deref(), Some("build"));
        let text = file(&parts(&found(&["S3_BUCKET_NAME=corp\nAWS_PROFILE=bazel-cache\n"])));
        let config = config::parse(&text).unwrap();
        assert_eq!(config.artifacts.unwrap().identity.as_deref(), Some("bazel-cache"), "{text}");
        assert!(config.daemon.keep_fresh.is_empty() && config.endpoint.unwrap().serve == ["bazel-cache"], "{text}");
    }

    proptest! {
        #[test]
        fn strange_names_never_break_the_file(name in "[^\\p{C}\\p{Z}]{1,20}") {
            let strange = Found { sso_profiles: vec![name.clone()], ..Found::default() };
            let text = file(&parts(&strange));
            let config = config::parse(&text).map_err(|mistakes| TestCaseError::fail(format!("{mistakes:?}\n{text}")));
            prop_assert_eq!(&config?.daemon.keep_fresh[0], &name);
        }
    }
}
