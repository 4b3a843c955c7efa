//! From what was found to what is proposed: one part for each job, with its question and its text. Pure.

use super::found::{Found, Variables};

/// What may go into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Asked where somebody can be asked.
    pub(super) question: String,
    /// The section with its comments.
    pub(super) text: String,
}

/// The five variables of Roles Anywhere, and the keys that they become.
const CERTIFICATE: [(&str, &str); 5] = [
    ("certificate", "ROLESANYWHERE_CERTIFICATE_PATH"),
    ("private-key", "ROLESANYWHERE_PRIVATE_KEY_PATH"),
    ("trust-anchor", "ROLESANYWHERE_TRUST_ANCHOR_ARN"),
    ("profile", "ROLESANYWHERE_PROFILE_ARN"),
    ("role", "ROLESANYWHERE_ROLE_ARN"),
];

/// What is proposed, in the order of the file.
pub(super) fn parts(found: &Found) -> Vec<Part> {
    let profile = profile(found);
    let site = found.files.iter().find(|file| has_certificate(file));
    let repository = found.files.iter().find(|file| file.contains_key("S3_BUCKET_NAME"));
    let gateway = found.files.iter().find(|file| file.contains_key("CGW_NAME"));
    let parts = [
        profile.as_deref().filter(|profile| found.sso_profiles.iter().any(|sso| sso == profile)).map(keep_fresh),
        site.map(identity),
        profile.as_deref().map(endpoint),
        repository.map(|file| artifacts(file, profile.as_deref())),
        gateway.or(site).map(|file| follow(file, site.is_some())),
        found.files.iter().find(|file| file.contains_key("SSM_PREFIX")).map(vpn),
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

/// The profile that a predecessor used, else one that signs in, else any.
fn profile(found: &Found) -> Option<String> {
    let named = found.files.iter().find_map(|file| file.get("AWS_PROFILE").cloned());
    let known = |name: &String| found.sso_profiles.contains(name) || found.other_profiles.contains(name);
    // A section without a name is a mistake of the file, which `bowline doctor files` tells.
    let mut all = found.sso_profiles.iter().chain(&found.other_profiles).filter(|name| !name.trim().is_empty());
    named.filter(known).or_else(|| all.next().cloned())
}

fn keep_fresh(profile: &str) -> Part {
    let text = format!(
        "[daemon]\nlisten = \"127.0.0.1:9910\"          # status page, /livez, /readyz, /metrics\nkeep-fresh = [{}]            # renewed from the start, asked for or not\n",
        quoted(profile)
    );
    Part { question: format!("Keep `{profile}` signed in and its credentials fresh?"), text }
}

fn has_certificate(file: &Variables) -> bool {
    CERTIFICATE.iter().all(|(_, variable)| file.contains_key(variable))
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
        line("identity", profile),
        line("region  ", region(file)),
        quoted(&format!("s3://{bucket}"))
    );
    Part { question: format!("Serve Maven artifacts from s3://{bucket} on 127.0.0.1:{port}?"), text }
}

fn follow(file: &Variables, certificate: bool) -> Part {
    let text = format!(
        "[gateway]                          # Site-to-Site VPN follows this site's public address\n{}{}{}interval = \"5m\"\n\
         # vpn-connections = [\"vpn-0a1b2c3d\"]   # default: the only one of the region\n",
        line("identity", certificate.then_some("site")),
        line("region  ", region(file)),
        line("name    ", file.get("CGW_NAME").map(String::as_str)),
    );
    Part { question: "Let the Site-to-Site VPN follow this site's address?".to_owned(), text }
}

fn vpn(file: &Variables) -> Part {
    let prefix = file.get("SSM_PREFIX").map_or("", String::as_str).trim_matches('/');
    let api = port(file, "API_PORT").unwrap_or(8000);
    let proxy = port(file, "PROXY_PORT").map(|port| format!("127.0.0.1:{port}"));
    let text = format!(
        "[vpn]                              # WireGuard without TUN, root or a capability\nlisten   = \"0.0.0.0:51820\"\n\
         api      = \"127.0.0.1:{api}\"\n{}endpoint = \"vpn.example.net:51820\" # what clients are told: change it\n{}store    = {}\n",
        line("proxy   ", proxy.as_deref()),
        line("region  ", region(file)),
        quoted(&format!("ssm:/{prefix}"))
    );
    Part { question: format!("Serve a WireGuard VPN with its users in SSM below /{prefix}?"), text }
}

/// `KEY = "value"`, where there is a value.
fn line(key: &str, value: Option<&str>) -> String {
    value.map(|value| format!("{key} = {}\n", quoted(value))).unwrap_or_default()
}

/// What was told to be a port and is none.
pub(super) fn no_ports(found: &Found) -> Vec<(&'static str, &str)> {
    let told = |name| found.files.iter().filter_map(move |file| Some((name, file.get(name)?.as_str())));
    let all = ["API_PORT", "PROXY_PORT"].into_iter().flat_map(told);
    all.filter(|(_, value)| value.parse::<u16>().is_err()).collect()
}

fn port(file: &Variables, name: &str) -> Option<u16> {
    file.get(name).and_then(|port| port.parse().ok())
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

    use super::{super::found::services, *};
    use crate::config;

    fn found(files: &[&str]) -> Found {
        Found {
            sso_profiles: vec!["build".to_owned(), "deploy".to_owned()],
            other_profiles: vec!["keys".to_owned()],
            files: files.iter().flat_map(|text| services(text)).collect(),
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

    #[test]
    fn what_is_no_port_is_told() {
        assert_eq!(no_ports(&found(&["S3_BUCKET_NAME=x\nPROXY_PORT=abc\nAPI_PORT=1\n"])), [("PROXY_PORT", "abc")]);
    }

    #[test]
    fn the_vpn_keeps_its_ports_and_its_store() {
        let text = file(&parts(&found(&["SSM_PREFIX=ephem-vpn/\nAPI_PORT=8001\nPROXY_PORT=3128\n"])));
        let vpn = config::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}")).vpn.unwrap();
        assert_eq!((vpn.api.port(), vpn.proxy.map(|proxy| proxy.port())), (8001, Some(3128)));
        assert_eq!(vpn.store, Some(config::StorePlace::Ssm("/ephem-vpn".to_owned())));
    }

    #[test]
    fn with_nothing_found_the_file_says_what_to_do() {
        let text = file(&parts(&Found::default()));
        assert!(text.contains("aws configure sso"), "{text}");
        config::parse(&text).unwrap();
    }

    #[test]
    fn a_profile_that_is_gone_is_not_proposed() {
        assert_eq!(profile(&found(&["AWS_PROFILE=gone\n"])).as_deref(), Some("build"));
        assert_eq!(profile(&found(&["AWS_PROFILE=keys\n"])).as_deref(), Some("keys"));
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
