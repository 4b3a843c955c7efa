//! From `[endpoint]` and `[[grant]]` to the job: regions, identities and token files filled in from the world.

use std::sync::Arc;

use bowline_base::Fault;
use bowline_credentials::{
    Broker,
    endpoint::{Endpoint, Served, Settings, TokenFile},
    grant::{AuditDuty, Grant, Grants},
};

use crate::{
    config::{EndpointSection, GrantSection},
    output,
    world::World,
};

/// The job that `section` asks for; its credentials come from `broker`.
pub(crate) fn job(
    world: &World,
    broker: &Broker,
    section: &EndpointSection,
    grants: &Grants,
) -> Result<Endpoint, Fault> {
    let served = |profile: &String| Served {
        profile: profile.clone(),
        region: world.region(None, profile).ok().map(|region| region.to_string()),
        identity: broker.identity(profile),
        source: {
            let (broker, profile) = (broker.clone(), profile.clone());
            Box::new(move || broker.source_of(&profile))
        },
    };
    let standard = || world.environment.runtime_directory().join("endpoint/token");
    let settings = Settings {
        listen: section.doors(),
        imds: section.imds,
        serve: section.serve.iter().map(served).collect(),
        token_file: section.token_file.clone().unwrap_or_else(standard),
        grants: grants.clone(),
        witness: broker.witness().cloned(),
    };
    for address in section.listen.iter().chain(&section.imds) {
        broker.sources().never_ask(*address);
    }
    Endpoint::new(settings, Arc::clone(&world.wire))
}

/// The grants, with their token files opened, or made where there are none. What a grant does not say of the audit log,
/// `on_failure` says.
pub(crate) fn grants(sections: &[GrantSection], on_failure: AuditDuty) -> Result<Vec<Grant>, Fault> {
    let grant = |section: &GrantSection| {
        let token = section.token_file.as_deref().map(TokenFile::open).transpose()?;
        Ok(Grant {
            uid: section.uid,
            token: token.map(Arc::new),
            cgroup: section.cgroup.clone(),
            profiles: section.profiles.clone(),
            audit: section.audit.unwrap_or(on_failure),
        })
    };
    sections.iter().map(grant).collect()
}

/// Prints what a client sets, for a shell to evaluate: for the first profile, and as a comment for the others.
pub(super) fn announce(endpoint: &Endpoint, section: &EndpointSection) -> Result<(), Fault> {
    let mut text = String::new();
    for (number, profile) in section.serve.iter().enumerate() {
        for (name, value) in endpoint.exports(profile).unwrap_or_default() {
            let comment = if number == 0 { "" } else { "# " };
            text.push_str(&format!("{comment}export {name}='{}'\n", value.replace('\'', r"'\''")));
        }
    }
    if let Some(imds) = section.imds {
        text.push_str(&format!("# export AWS_EC2_METADATA_SERVICE_ENDPOINT='http://{imds}'\n"));
    }
    output::data(&text)
}
