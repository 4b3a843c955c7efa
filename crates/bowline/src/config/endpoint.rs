//! `[endpoint]` and `[[grant]]`: credentials over HTTP, and who besides our own user may ask.

use std::{net::SocketAddr, ops::Range, path::PathBuf};

use bowline_credentials::{endpoint::is_local, grant::AuditDuty};
use bowline_host::Address;

use super::{
    Mistake,
    sections::name,
    table::{Table, address},
};

/// `[endpoint]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EndpointSection {
    pub(crate) listen: Vec<SocketAddr>,
    /// Instance metadata; off where it is not named.
    pub(crate) imds: Option<SocketAddr>,
    /// A Unix socket with the same answers.
    pub(crate) socket: Option<PathBuf>,
    /// Profiles that are handed out; instance metadata shows the first.
    pub(crate) serve: Vec<String>,
    /// Where it is not the default one.
    pub(crate) token_file: Option<PathBuf>,
}

impl Default for EndpointSection {
    fn default() -> Self {
        let listen = vec![([127, 0, 0, 1], 9911).into()];
        Self { listen, imds: None, socket: None, serve: Vec::new(), token_file: None }
    }
}

impl EndpointSection {
    /// Every address of the ECS-style endpoint.
    pub(crate) fn doors(&self) -> Vec<Address> {
        let tcp = self.listen.iter().copied().map(Address::Tcp);
        tcp.chain(self.socket.clone().map(Address::Unix)).collect()
    }

    /// Every address.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.doors().into_iter().chain(self.imds.map(Address::Tcp)).collect()
    }
}

/// `[[grant]]`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GrantSection {
    pub(crate) uid: Option<u32>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) cgroup: Option<String>,
    pub(crate) profiles: Vec<String>,
    /// Where it is other than the log's own `on-failure`.
    pub(crate) audit: Option<AuditDuty>,
}

pub(super) fn section(
    text: &str,
    mut section: Table<'_>,
    span: &Range<usize>,
    mistakes: &mut Vec<Mistake>,
) -> EndpointSection {
    let standard = EndpointSection::default();
    let endpoint = EndpointSection {
        listen: section.values("listen", mistakes, chosen).unwrap_or(standard.listen),
        imds: section.value("imds", mistakes, local),
        socket: section.path("socket", mistakes),
        serve: section.list("serve", mistakes, name),
        token_file: section.path("token-file", mistakes),
    };
    if endpoint.serve.is_empty() {
        mistakes.push(Mistake::at(text, span, "`endpoint` has no profile to serve: add `serve = [\"build\"]`"));
    }
    section.finish(mistakes);
    endpoint
}

pub(super) fn grants(text: &str, file: &mut Table<'_>, mistakes: &mut Vec<Mistake>) -> Vec<GrantSection> {
    let tables = file.tables("grant", mistakes);
    tables.into_iter().map(|(table, span)| grant(text, table, &span, mistakes)).collect()
}

fn grant(text: &str, mut table: Table<'_>, span: &Range<usize>, mistakes: &mut Vec<Mistake>) -> GrantSection {
    let before = mistakes.len();
    let grant = GrantSection {
        uid: table.number("uid", 0..=u32::MAX, mistakes),
        token_file: table.path("token-file", mistakes),
        cgroup: table.value("cgroup", mistakes, group),
        profiles: table.list("profiles", mistakes, name),
        audit: table.value("audit", mistakes, duty),
    };
    if mistakes.len() == before {
        if grant.uid.is_none() && grant.token_file.is_none() && grant.cgroup.is_none() {
            mistakes.push(Mistake::at(text, span, "a grant is for somebody: add `uid`, `token-file` or `cgroup`"));
        }
        if grant.profiles.is_empty() {
            mistakes.push(Mistake::at(text, span, "a grant gives something: add `profiles = [\"build\"]`"));
        }
    }
    table.finish(mistakes);
    grant
}

/// An address of this machine that was chosen: every address at once would be one too many.
pub(crate) fn chosen(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if address.ip().is_unspecified() {
        return Err(format!(
            "`{text}` is every address: name the one to hand credentials out on, 127.0.0.1 or a bridge's"
        ));
    }
    Ok(address)
}

/// An address that only this machine can reach: IMDS has no token that a stranger would lack.
pub(crate) fn local(text: &str) -> Result<SocketAddr, String> {
    let address = address(text)?;
    if is_local(address.ip()) {
        Ok(address)
    } else {
        Err(format!("`{text}` can be reached by others: IMDS is served on loopback or a link-local address"))
    }
}

fn duty(text: &str) -> Result<AuditDuty, String> {
    match text {
        "deny" => Ok(AuditDuty::Deny),
        "warn" => Ok(AuditDuty::Warn),
        _ => Err(format!("`{text}` is neither `deny` nor `warn`")),
    }
}

fn group(text: &str) -> Result<String, String> {
    if text.len() > 1 && text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is not a control group: write it as /system.slice/ci.service"))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::parse, *};

    #[test]
    fn an_endpoint_with_grants_is_read() {
        let config = parse(
            "[endpoint]\nlisten = \"127.0.0.1:9911\"\nimds = \"127.0.0.1:9912\"\nserve = [\"build\", \"site\"]\n\
             [[grant]]\nuid = 1001\ncgroup = \"/ci.slice\"\nprofiles = \"build\"\naudit = \"deny\"\n\
             [[grant]]\ntoken-file = \"/run/bowline/ci.token\"\nprofiles = [\"site\"]\n",
        )
        .unwrap();
        let endpoint = config.endpoint.unwrap();
        assert_eq!((endpoint.serve.len(), endpoint.addresses().len()), (2, 2));
        assert_eq!((config.grants[0].uid, config.grants[0].audit), (Some(1001), Some(AuditDuty::Deny)));
        assert_eq!(config.grants[1].audit, None);
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = "[endpoint]\nlisten = \"0.0.0.0:9911\"\nimds = \"10.0.0.1:80\"\nserv = [\"a\"]\n\
                    [[grant]]\nprofiles = \"a\"\n[[grant]]\nuid = \"root\"\naudit = \"never\"\ncgroup = \"ci\"\n";
        let mistakes: Vec<String> = parse(text).unwrap_err().iter().map(|m| format!("{}: {m}", m.line)).collect();
        for words in [
            "1: `endpoint` has no profile",
            "2: `0.0.0.0:9911` is every",
            "3: `10.0.0.1:80` can be reached",
            "4: unknown key `endpoint.serv`; did you mean `serve`?",
            "5: a grant is for somebody",
            "8: `grant.uid` must be a whole number",
            "9: `never`",
            "10: `ci` is not",
        ] {
            assert!(mistakes.iter().any(|mistake| mistake.starts_with(words)), "{words}: {mistakes:#?}");
        }
    }
}
