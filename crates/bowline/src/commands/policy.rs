//! `bowline policy PART`: an IAM document on stdout, and on stderr what an administrator does with it.

use std::path::PathBuf;

use bowline_aws::{Partition, Region};
use bowline_base::{Fault, Kind, policy::Document};
use bowline_credentials::policy::{
    bedrock::{self, Bedrock},
    trust::{self, Certificate, Guest},
};

use super::policy_managers;
use crate::{
    cli::{Policy, PolicyArtifacts, PolicyBedrock, PolicyVpn, Trust, TrustPrincipal, TrustRolesAnywhere},
    config::{ArtifactsSection, Origin, StorePlace},
    config_place,
    environment::Environment,
    output,
};

const PERMISSIONS: &str = "note: as an administrator, with the document in policy.json:\n  aws iam put-role-policy --role-name ROLE --policy-name bowline --policy-document file://policy.json";
const GATEWAY: &str = "note: as an administrator, with the document in policy.json:\n  aws iam put-role-policy --role-name ROLE --policy-name bowline --policy-document file://policy.json\n  the VPN connection has to be tagged once: bowline gateway adopt --owner ID --run\n  who may become the role: bowline policy trust roles-anywhere --trust-anchor ARN --subject-cn NAME";
const TRUST: &str = "note: as an administrator, with the document in trust.json:\n  aws iam create-role --role-name ROLE --assume-role-policy-document file://trust.json\n  or, for a role that exists: aws iam update-assume-role-policy --role-name ROLE --policy-document file://trust.json";

pub(crate) fn run(environment: Environment, file: Option<PathBuf>, part: &Policy) -> Result<(), Fault> {
    let (document, steps) = match part {
        Policy::Admin(arguments) => return policy_managers::admin(environment, file, arguments),
        Policy::Refresh(arguments) => return policy_managers::refresh(environment, file, arguments),
        Policy::Lambda(arguments) => return policy_managers::lambda(environment, file, arguments),
        Policy::Bedrock(arguments) => (of_bedrock(arguments), PERMISSIONS),
        Policy::Artifacts(arguments) => (of_artifacts(&environment, file, arguments)?, PERMISSIONS),
        Policy::Vpn(arguments) => (of_vpn(&environment, file, arguments)?, PERMISSIONS),
        Policy::Gateway(wanted) => {
            (bowline_gateway::policy::document(&wanted.owner, &wanted.region, &wanted.account), GATEWAY)
        }
        Policy::Trust(kind) => (of_trust(kind), TRUST),
    };
    output::data(&format!("{document}\n"))?;
    output::say(steps);
    Ok(())
}

fn of_bedrock(arguments: &PolicyBedrock) -> Document {
    let first = arguments.regions.first().map(Region::partition);
    let partition = arguments.partition.map(Partition::from).or(first).unwrap_or(Partition::Aws);
    if arguments.models.is_empty() {
        output::say("note: every model is allowed; --model ID narrows it");
    }
    let (models, regions) = (arguments.models.clone(), arguments.regions.clone());
    bedrock::document(&Bedrock { partition, regions, account: arguments.account.clone(), models })
}

fn of_artifacts(
    environment: &Environment,
    file: Option<PathBuf>,
    arguments: &PolicyArtifacts,
) -> Result<Document, Fault> {
    let mut texts = arguments.from.clone();
    if texts.is_empty() {
        let bucket = environment.var("S3_BUCKET_NAME");
        texts.extend(bucket.map(|name| format!("s3://{}", name.trim_start_matches("s3://"))));
    }
    let origins: Vec<Origin> = if texts.is_empty() {
        let section: ArtifactsSection = config_place::load(file, environment)?.artifacts.unwrap_or_default();
        section.repositories.into_iter().flat_map(|repository| repository.from).collect()
    } else {
        let parse = |text: &String| Origin::parse(text).map_err(|why| wrong(&why));
        texts.iter().map(parse).collect::<Result<_, _>>()?
    };
    let places: Vec<(String, String)> = origins
        .into_iter()
        .filter_map(|origin| match origin {
            Origin::S3 { bucket, prefix } => Some((bucket, prefix)),
            Origin::Directory(_) | Origin::Http(_) => None,
        })
        .collect();
    if places.is_empty() {
        return Err(wrong("no bucket is named"));
    }
    Ok(bowline_artifacts::policy::read_only(arguments.partition.into(), &places))
}

fn of_vpn(environment: &Environment, file: Option<PathBuf>, arguments: &PolicyVpn) -> Result<Document, Fault> {
    let of_environment = || environment.var("SSM_PREFIX").map(|prefix| StorePlace::Ssm(prefix.to_owned()));
    let of_file = || config_place::load(file, environment).ok()?.vpn?.store;
    let store = arguments.store.clone().or_else(of_environment).or_else(of_file);
    let prefix = match store {
        None => "/ephem-vpn".to_owned(),
        Some(StorePlace::Ssm(prefix)) => prefix,
        Some(StorePlace::File(_)) => {
            return Err(Fault::new(Kind::Config, "policy", "a store in a directory needs nothing of AWS")
                .hint("bowline policy vpn --store ssm:/ephem-vpn"));
        }
    };
    let of_region = arguments.region.as_ref().map(Region::partition);
    let partition = arguments.partition.map(Partition::from).or(of_region).unwrap_or(Partition::Aws);
    Ok(bowline_vpn::server::policy::of_store(&bowline_vpn::server::policy::Scope {
        partition,
        region: arguments.region.as_ref().map(|region| region.as_str().to_owned()),
        account: arguments.account.clone(),
        prefix,
        kms_key: arguments.kms_key.clone(),
    }))
}

fn wrong(message: &str) -> Fault {
    Fault::new(Kind::Config, "policy", message).hint("bowline policy artifacts --from s3://bucket/prefix")
}

fn of_trust(kind: &Trust) -> Document {
    match kind {
        Trust::RolesAnywhere(arguments) => of_certificates(arguments),
        Trust::Ec2(role) => trust::ec2(role.partition.into(), &role.account),
        Trust::Ecs(arguments) => {
            let role = &arguments.account;
            trust::ecs(role.partition.into(), &role.account, arguments.region.as_ref())
        }
        Trust::WebIdentity(arguments) => {
            let (role, subject) = (&arguments.account, &arguments.subject);
            let (issuer, audience) = (&arguments.issuer, &arguments.audience);
            trust::web_identity(role.partition.into(), &role.account, issuer, audience, subject)
        }
        Trust::Account(arguments) => of_account(arguments),
    }
}

fn of_certificates(arguments: &TrustRolesAnywhere) -> Document {
    let certificate = Certificate {
        subject_cn: arguments.subject_cn.clone(),
        subject_ou: arguments.subject_ou.clone(),
        issuer_cn: arguments.issuer_cn.clone(),
        san_dns: arguments.san_dns.clone(),
        san_uri: arguments.san_uri.clone(),
    };
    if certificate.is_any() {
        output::say("note: every certificate below the trust anchor is trusted; --subject-cn NAME narrows it");
    }
    trust::roles_anywhere(&arguments.trust_anchor, &certificate)
}

fn of_account(arguments: &TrustPrincipal) -> Document {
    let guest = Guest { external_id: arguments.external_id.clone(), mfa: arguments.mfa };
    if arguments.principal.starts_with("arn:") {
        return trust::account(&arguments.principal, &guest);
    }
    let partition = Partition::from(arguments.partition).id();
    trust::account(&format!("arn:{partition}:iam::{}:root", arguments.principal), &guest)
}
