//! What of a predecessor's variables goes into no key as it is, and why not. Pure.

use std::num::NonZeroU16;

use super::{
    found::{Found, KEYS, Read},
    proposal::proxy_endpoint,
    roles::{CERTIFICATE, Roles},
};

/// Variables that Bowline still reads from its environment, and nowhere else.
const READ: [&str; 4] = ["AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "RENEWAL_THRESHOLD", "LOG_LEVEL"];
/// Pauses between two looks at the clock.
const PAUSES: [&str; 2] = ["REFRESH_INTERVAL", "CHECK_INTERVAL"];
const PORTS: [&str; 3] = ["API_PORT", "PROXY_PORT", "VPN_PROXY_PORT"];

/// Of everything that was found, a line each.
pub(super) fn of_all(found: &Found) -> Vec<String> {
    let roles = Roles::of(found);
    let told = |name: &'static str| found.files.iter().filter_map(move |file| Some((name, file.get(name)?.as_str())));
    let mut notes: Vec<String> = unknown_profiles(found);
    for (name, value) in PORTS.into_iter().flat_map(told).filter(|(_, value)| value.parse::<NonZeroU16>().is_err()) {
        notes.push(format!("{name}={value} is no port; the usual one is proposed"));
    }
    notes.extend(half_a_certificate(&roles));
    if roles.share_a_port() {
        notes.push("PROXY_PORT is taken for the repository's; the VPN's own is `proxy` in [vpn]".to_owned());
    }
    if let Some(Err(told)) = roles.vpn.and_then(proxy_endpoint) {
        notes.push(format!("VPN_PROXY_HOST and VPN_PROXY_PORT are left out: {told}"));
    }
    for (name, value) in READ.into_iter().flat_map(told) {
        notes.push(format!("{name}={value} is no key of bowline.toml: leave it in the environment of `bowline run`"));
    }
    for (name, _) in PAUSES.into_iter().flat_map(told) {
        notes.push(format!("{name} is left out: Bowline looks when something is due, and when a file changes"));
    }
    notes.dedup();
    notes
}

/// Of one file, whose `name` says where it is.
pub(super) fn of_file(name: &str, read: &Read) -> Vec<String> {
    let mut notes = Vec::new();
    if read.services.is_empty() && read.open.is_empty() {
        notes.push(format!("`{name}` says nothing that Bowline knows"));
    }
    for (variable, written) in &read.open {
        let what = if written.is_empty() { "has no value".to_owned() } else { format!("is `{written}`") };
        notes.push(format!("{variable} {what} in `{name}`, and no .env beside it says more: it is left out"));
    }
    if read.names_files {
        notes.push(format!("`{name}` takes variables from an `env_file`: name that too, with another --from"));
    }
    let has = |key: &&str| read.services.iter().any(|service| service.contains_key(*key));
    let keys: Vec<&str> = KEYS.into_iter().filter(has).collect();
    if !keys.is_empty() {
        notes.push(format!(
            "{} in `{name}`: keys do not go into bowline.toml. Seal them: `bowline vault add NAME`; find others: `bowline audit scan DIRECTORY`",
            keys.join(", ")
        ));
    }
    notes
}

fn unknown_profiles(found: &Found) -> Vec<String> {
    let known = |name: &&String| found.sso_profiles.contains(name) || found.other_profiles.contains(name);
    let named = found.files.iter().filter_map(|file| file.get("AWS_PROFILE")).filter(|name| !known(name));
    let note = |name: &String| {
        format!(
            "profile `{name}` is not in ~/.aws/config, and is proposed all the same: `aws configure sso --profile {name}`"
        )
    };
    named.map(note).collect()
}

fn half_a_certificate(roles: &Roles<'_>) -> Option<String> {
    let said: Vec<&str> =
        CERTIFICATE.iter().map(|(_, name)| *name).filter(|name| roles.certificate.contains_key(name)).collect();
    (!said.is_empty() && !roles.has_certificate()).then(|| {
        format!(
            "{} without {}: IAM Roles Anywhere needs all five, and no identity `site` is proposed",
            said.join(", "),
            roles.missing().join(", ")
        )
    })
}
