//! What a changed configuration means for the running jobs: pure, so that every case is a line in a test.

use super::supervision::Part;
use crate::config::Config;

/// One thing to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Serve the status page on the new address.
    MoveStatusPage,
    /// Say that this section is read at the start only.
    NeedsRestart(&'static str),
    /// Write to the log that the new section wants.
    Audit,
    /// Keep another set of profiles fresh.
    KeepFresh,
    /// End `artifacts`.
    StopArtifacts,
    /// Start `artifacts` with the new section; stops the old one once the new sockets are bound.
    StartArtifacts,
    /// Tell people over the new channels.
    Notify,
    /// Give other users what the new grants say.
    Grants,
    /// End `gateway`.
    StopGateway,
    /// Start `gateway` with the new section, in place of the old one.
    StartGateway,
    /// End `vpn`.
    StopVpn,
    /// Start `vpn` with the new section once the old one has ended: two cannot have its UDP port.
    StartVpn,
    /// End `endpoint`.
    StopEndpoint,
    /// Start `endpoint` with the new section; stops the old one once the new sockets are bound.
    StartEndpoint,
}

impl Step {
    /// The part that it starts.
    pub(crate) fn starts(&self) -> Option<Part> {
        match self {
            Self::StartArtifacts => Some(Part::Artifacts),
            Self::StartEndpoint => Some(Part::Endpoint),
            Self::StartVpn => Some(Part::Vpn),
            Self::StartGateway => Some(Part::Gateway),
            _ => None,
        }
    }
}

/// The steps from `old` to `new`; an unchanged section has none.
pub(crate) fn steps(old: &Config, new: &Config) -> Vec<Step> {
    let mut steps = Vec::new();
    if old.daemon.listen != new.daemon.listen {
        steps.push(Step::MoveStatusPage);
    }
    if old.audit != new.audit {
        steps.push(Step::Audit);
    }
    if old.daemon.keep_fresh != new.daemon.keep_fresh {
        steps.push(Step::KeepFresh);
    }
    if old.daemon.landlock != new.daemon.landlock {
        steps.push(Step::NeedsRestart("daemon.landlock"));
    }
    if old.identities != new.identities {
        steps.push(Step::NeedsRestart("identity"));
    }
    if old.vault != new.vault {
        steps.push(Step::NeedsRestart("vault"));
    }
    if old.vpn != new.vpn {
        steps.push(if new.vpn.is_some() { Step::StartVpn } else { Step::StopVpn });
    }
    if old.artifacts != new.artifacts {
        steps.push(if new.artifacts.is_some() { Step::StartArtifacts } else { Step::StopArtifacts });
    }
    if old.gateway != new.gateway {
        steps.push(if new.gateway.is_some() { Step::StartGateway } else { Step::StopGateway });
    }
    if old.notify != new.notify {
        steps.push(Step::Notify);
    }
    // What a grant leaves open, `[audit]` says.
    if old.grants != new.grants || old.audit.duty() != new.audit.duty() {
        steps.push(Step::Grants);
    }
    if old.endpoint != new.endpoint {
        steps.push(if new.endpoint.is_some() { Step::StartEndpoint } else { Step::StopEndpoint });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    const ARTIFACTS: &str = "[artifacts]\n[[artifacts.repository]]\nfrom = \"s3://corp-maven\"\n";

    #[test]
    fn an_unchanged_file_changes_nothing() {
        let config = parse(ARTIFACTS).unwrap();
        assert_eq!(steps(&config, &config), []);
    }

    #[test]
    fn only_the_changed_section_is_touched() {
        let (nothing, artifacts) = (Config::default(), parse(ARTIFACTS).unwrap());
        assert_eq!(steps(&nothing, &artifacts), [Step::StartArtifacts]);
        assert_eq!(steps(&artifacts, &nothing), [Step::StopArtifacts]);
        let moved = parse(&format!("[daemon]\nlisten = \"127.0.0.1:1\"\nkeep-fresh = [\"a\"]\n{ARTIFACTS}")).unwrap();
        assert_eq!(steps(&artifacts, &moved), [Step::MoveStatusPage, Step::KeepFresh]);
        let denying = parse("[audit]\non-failure = \"deny\"\n").unwrap();
        assert_eq!(steps(&nothing, &denying), [Step::Audit, Step::Grants]);
        let large = parse("[audit]\nmax-file-size = \"1 MiB\"\n").unwrap();
        assert_eq!(steps(&nothing, &large), [Step::Audit]);
        let endpoint = parse("[endpoint]\nserve = \"a\"\n[[grant]]\nuid = 7\nprofiles = \"a\"\n").unwrap();
        assert_eq!(steps(&nothing, &endpoint), [Step::Grants, Step::StartEndpoint]);
        assert_eq!(steps(&endpoint, &nothing), [Step::Grants, Step::StopEndpoint]);
        let gateway = parse("[gateway]\ninterval = \"1m\"\n").unwrap();
        assert_eq!(steps(&nothing, &gateway), [Step::StartGateway]);
        assert_eq!(steps(&gateway, &nothing), [Step::StopGateway]);
        let vpn = parse("[vpn]\nmtu = 1380\n").unwrap();
        assert_eq!(steps(&nothing, &vpn), [Step::StartVpn]);
        assert_eq!(steps(&vpn, &nothing), [Step::StopVpn]);
        let notify = parse("[notify]\ncommand = \"page\"\n").unwrap();
        assert_eq!(steps(&nothing, &notify), [Step::Notify]);
    }
}
