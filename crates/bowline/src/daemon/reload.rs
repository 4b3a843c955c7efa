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
    /// End this part: its section is gone.
    Stop(Part),
    /// Start this part with its new section, in place of the old one.
    Start(Part),
    /// Tell people over the new channels.
    Notify,
    /// Give other users what the new grants say.
    Grants,
}

/// The steps from `old` to `new`; an unchanged section has none.
pub(crate) fn steps(old: &Config, new: &Config) -> Vec<Step> {
    let changed = |changed: bool, step| changed.then_some(step);
    let steps = [
        changed(old.daemon.listen != new.daemon.listen, Step::MoveStatusPage),
        changed(old.audit != new.audit, Step::Audit),
        changed(old.daemon.keep_fresh != new.daemon.keep_fresh, Step::KeepFresh),
        changed(old.daemon.landlock != new.daemon.landlock, Step::NeedsRestart("daemon.landlock")),
        changed(old.identities != new.identities, Step::NeedsRestart("identity")),
        changed(old.vault != new.vault, Step::NeedsRestart("vault")),
        section(Part::Vpn, old.vpn.as_ref(), new.vpn.as_ref()),
        section(Part::Artifacts, old.artifacts.as_ref(), new.artifacts.as_ref()),
        section(Part::Gateway, old.gateway.as_ref(), new.gateway.as_ref()),
        changed(old.notify != new.notify, Step::Notify),
        // What a grant leaves open, `[audit]` says.
        changed(old.grants != new.grants || old.audit.duty() != new.audit.duty(), Step::Grants),
        section(Part::Endpoint, old.endpoint.as_ref(), new.endpoint.as_ref()),
    ];
    steps.into_iter().flatten().collect()
}

/// What a section that switches `part` on means for it.
fn section<T: PartialEq>(part: Part, old: Option<&T>, new: Option<&T>) -> Option<Step> {
    let step = if new.is_some() { Step::Start(part) } else { Step::Stop(part) };
    (old != new).then_some(step)
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
        assert_eq!(steps(&nothing, &artifacts), [Step::Start(Part::Artifacts)]);
        assert_eq!(steps(&artifacts, &nothing), [Step::Stop(Part::Artifacts)]);
        let moved = parse(&format!("[daemon]\nlisten = \"127.0.0.1:1\"\nkeep-fresh = [\"a\"]\n{ARTIFACTS}")).unwrap();
        assert_eq!(steps(&artifacts, &moved), [Step::MoveStatusPage, Step::KeepFresh]);
        let denying = parse("[audit]\non-failure = \"deny\"\n").unwrap();
        assert_eq!(steps(&nothing, &denying), [Step::Audit, Step::Grants]);
        let large = parse("[audit]\nmax-file-size = \"1 MiB\"\n").unwrap();
        assert_eq!(steps(&nothing, &large), [Step::Audit]);
        let endpoint = parse("[endpoint]\nserve = \"a\"\n[[grant]]\nuid = 7\nprofiles = \"a\"\n").unwrap();
        assert_eq!(steps(&nothing, &endpoint), [Step::Grants, Step::Start(Part::Endpoint)]);
        assert_eq!(steps(&endpoint, &nothing), [Step::Grants, Step::Stop(Part::Endpoint)]);
        let gateway = parse("[gateway]\ninterval = \"1m\"\n").unwrap();
        assert_eq!(steps(&nothing, &gateway), [Step::Start(Part::Gateway)]);
        assert_eq!(steps(&gateway, &nothing), [Step::Stop(Part::Gateway)]);
        let vpn = parse("[vpn]\nmtu = 1380\n").unwrap();
        assert_eq!(steps(&nothing, &vpn), [Step::Start(Part::Vpn)]);
        assert_eq!(steps(&vpn, &nothing), [Step::Stop(Part::Vpn)]);
        let notify = parse("[notify]\ncommand = \"page\"\n").unwrap();
        assert_eq!(steps(&nothing, &notify), [Step::Notify]);
    }
}
