//! The gateway: whether EC2 lets us do what is needed (rehearsed, never done), whether the providers agree on an address
//! that a VPN can come in to, and who begins the tunnels.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use bowline_aws::{
    Error,
    ec2::{self, Asn, CreateCustomerGateway, Rehearsal, VpnConnection, rehearse},
};
use bowline_base::{Fault, FixedIdentity};
use bowline_gateway::{
    Config, OWNER_TAG,
    address::{Reading, agree, ask, usable},
};
use bowline_host::Check;

use super::{Patient, certificates, ids, verdict::*};
use crate::{
    cli::{GatewaySettings, MfaCode},
    commands::{gateway, obtain},
    config::GatewaySection,
    daemon::gateway as wiring,
    world::{World, small_runtime},
};

/// Whether there is anything to check; a configuration with mistakes is told by `files`.
pub(super) fn applies(patient: &Patient) -> bool {
    let configured = patient.config.as_ref().is_ok_and(|config| config.gateway.is_some());
    configured || patient.world.environment.var("CGW_NAME").is_some()
}

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let world = &patient.world;
    let settings = GatewaySettings { profile: patient.profile.clone(), ..GatewaySettings::default() };
    let section = gateway::section(&settings, &world.environment, patient.settings().gateway);
    let made = section.and_then(|section| Ok((wiring::config(world, &section)?, section)));
    let (config, section) = match made {
        Ok(made) => made,
        Err(fault) => return vec![from_fault(ids::GATEWAY_PERMISSIONS, &fault)],
    };
    let mut checks = of_providers(world, &config);
    checks.extend(of_ec2(world, &config, &section));
    if !world.setup.identities.is_empty() {
        checks.extend(certificates::checks(patient));
    }
    checks
}

fn of_providers(world: &World, config: &Config) -> Vec<Check> {
    let asked = wiring::street(world)
        .and_then(|street| Ok(small_runtime()?.block_on(ask(&*street, &config.providers, config.documentation))));
    match asked {
        Ok(readings) => vec![agreement(&readings), reachable(&readings, outgoing(), config.documentation)],
        Err(fault) => vec![from_fault(ids::GATEWAY_PROVIDERS, &fault)],
    }
}

fn agreement(readings: &[Reading]) -> Check {
    let id = ids::GATEWAY_PROVIDERS;
    let said: Vec<String> = readings.iter().map(ToString::to_string).collect();
    let others = "name others: `ip-providers` in [gateway], `--ip-provider`: docs/guide/gateway-address.md";
    match agree(readings) {
        Err(why) => failed(id, why.to_string(), Some(others.to_owned())),
        Ok(address) if readings.iter().all(|reading| reading.answer.as_ref().is_ok_and(|said| *said == address)) => {
            ok(id, format!("all {} name {address}", readings.len()))
        }
        Ok(address) => degraded(id, format!("the majority names {address}: {}", said.join("; ")), others),
    }
}

/// The address that this machine sends from, without sending anything.
fn outgoing() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(1, 1, 1, 1), 53)).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}

/// Whether a VPN can come in to the address that is seen from outside.
fn reachable(readings: &[Reading], outgoing: Option<Ipv4Addr>, documentation: bool) -> Check {
    let id = ids::GATEWAY_CGNAT;
    let is_cgnat = |address: Ipv4Addr| matches!(address.octets(), [100, 64..=127, ..]);
    let fix = "ask the internet provider for a public IPv4 address; a certificate-based customer gateway needs none";
    let of_providers = readings.iter().any(|reading| reading.to_string().contains("CGNAT"));
    match (agree(readings).ok(), outgoing) {
        (_, Some(own)) if is_cgnat(own) => {
            degraded(id, format!("this machine sends from {own}: the provider shares its public address (CGNAT)"), fix)
        }
        _ if of_providers => degraded(id, "the site is behind carrier-grade NAT (CGNAT)", fix),
        (None, _) => degraded(id, "not known without an address", "look at `gateway.providers` first"),
        (Some(address), Some(own)) if address == own => ok(id, format!("{address} is this machine's own")),
        (Some(address), own) => {
            let own = own.filter(|own| usable(IpAddr::V4(*own), documentation).is_err());
            let behind =
                own.map(|own| format!(", translated by a router from {own}: IPsec needs NAT-T")).unwrap_or_default();
            ok(
                id,
                format!("{address} is public{behind}; whether the router's own address is it, its status page tells"),
            )
        }
    }
}

fn of_ec2(world: &World, config: &Config, section: &GatewaySection) -> Vec<Check> {
    let profile = wiring::profile(world, section);
    let credentials = match obtain::credentials(world, &profile, &MfaCode::default()) {
        Ok(credentials) => credentials,
        Err(fault) => return vec![from_fault(ids::GATEWAY_PERMISSIONS, &fault)],
    };
    let identity = FixedIdentity::new(credentials);
    let looked = small_runtime().and_then(|runtime| runtime.block_on(look(world, config, &identity)));
    match looked {
        Ok(checks) => checks,
        Err(fault) => vec![from_fault(ids::GATEWAY_PERMISSIONS, &fault)],
    }
}

async fn look(world: &World, config: &Config, identity: &FixedIdentity) -> Result<Vec<Check>, Fault> {
    let (aws, region) = (&world.aws, &config.region);
    let connections = ec2::vpn_connections(aws, region, identity, &[]).await?;
    let selection = config.managed.select(config.owner.as_deref(), &connections);
    let ours: Vec<&VpnConnection> = connections.iter().filter(|one| selection.ids.contains(&one.id)).collect();
    let mut checks = Vec::new();
    match &selection.missing {
        Some(missing) => checks.push(failed(ids::GATEWAY_CONNECTIONS, missing.to_string(), Some(missing.fix()))),
        None => checks.push(ok(ids::GATEWAY_CONNECTIONS, format!("{} to look after", names(&ours)))),
    }
    if let Some(owner) = &selection.owner {
        checks.push(permissions(world, config, identity, owner, &ours).await);
    }
    checks.extend(ours.iter().map(|one| startup(one)));
    Ok(checks)
}

fn names(connections: &[&VpnConnection]) -> String {
    connections.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// Every call that changes something, as a dry run: EC2 looks at the rights and does nothing.
async fn permissions(
    world: &World,
    config: &Config,
    identity: &FixedIdentity,
    owner: &str,
    ours: &[&VpnConnection],
) -> Check {
    let (aws, region, id) = (&world.aws, &config.region, ids::GATEWAY_PERMISSIONS);
    let tags = vec![(OWNER_TAG.to_owned(), owner.to_owned()), ("Name".to_owned(), "dry run".to_owned())];
    let (address, device) = (IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), Some(format!("bowline/{owner}")));
    let create = CreateCustomerGateway { address, asn: Asn(65_000), kind: "ipsec.1".to_owned(), device, tags };
    let mut rehearsals = vec![Rehearsal::CustomerGateways, Rehearsal::Create(&create)];
    for one in ours {
        rehearsals.push(Rehearsal::Modify { connection: &one.id, gateway: &one.customer_gateway });
    }
    let of_ours = ec2::customer_gateways(aws, region, identity).await.unwrap_or_default();
    let own = of_ours.iter().find(|one| one.state != "deleted" && ec2::tag(&one.tags, OWNER_TAG) == Some(owner));
    rehearsals.extend(own.map(|one| Rehearsal::Delete(&one.id)));
    let mut refused: Vec<Error> = Vec::new();
    for rehearsal in rehearsals {
        refused.extend(rehearse(aws, region, identity, rehearsal).await.err());
    }
    let fix = format!("bowline policy gateway --owner {owner} --region {region} --account ACCOUNT");
    match refused.as_slice() {
        [] if own.is_some() => ok(id, "every call is allowed (dry run)"),
        [] => ok(id, "every call is allowed (dry run), but deleting could not be tried: no gateway is ours yet"),
        refused => failed(id, refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"), Some(fix)),
    }
}

/// After a change a tunnel with the action `add` stays down until the device begins.
fn startup(connection: &VpnConnection) -> Check {
    let id = ids::GATEWAY_STARTUP;
    let waits = connection.tunnels.iter().filter(|tunnel| tunnel.startup_action.as_deref() != Some("start"));
    match (waits.count(), connection.tunnels.len()) {
        (0, 0) => ok(id, format!("{}: EC2 says nothing about its tunnels", connection.id)),
        (0, _) => ok(id, format!("{}: AWS begins its tunnels", connection.id)),
        (waiting, all) => {
            let why = format!(
                "{}: {waiting} of {all} tunnels wait for the device after a change (startup action `add`)",
                connection.id
            );
            degraded(
                id,
                why,
                "let the device begin (auto=start), or re-begin in `on-change`; or set the startup action to `start`",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use bowline_gateway::address::{Unanswered, Unusable};
    use bowline_host::Verdict;

    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 7);

    fn reading(answer: Result<Ipv4Addr, Unanswered>) -> Reading {
        Reading { provider: "a.example".to_owned(), answer }
    }

    #[test]
    fn a_majority_is_degraded_and_no_agreement_failed() {
        let other = Ipv4Addr::new(1, 1, 1, 8);
        let said = |all: &[Ipv4Addr]| agreement(&all.iter().map(|one| reading(Ok(*one))).collect::<Vec<_>>()).verdict;
        let verdicts = [said(&[A, A, A]), said(&[A, other, A]), said(&[A, other])];
        assert_eq!(verdicts, [Verdict::Ok, Verdict::Degraded, Verdict::Failed]);
    }

    #[test]
    fn a_shared_address_is_called_by_its_name() {
        let shared = Ipv4Addr::new(100, 64, 3, 4);
        let good = [reading(Ok(A))];
        let from_shared = reachable(&good, Some(shared), false);
        assert!(from_shared.verdict == Verdict::Degraded && from_shared.why.contains("CGNAT"));
        let told = reachable(&[reading(Err(Unanswered::Unusable(Unusable::Cgnat(shared))))], None, false);
        assert!(told.verdict == Verdict::Degraded && told.why.contains("CGNAT"));
        assert_eq!(reachable(&good, Some(A), false).verdict, Verdict::Ok);
        assert!(reachable(&good, Some(Ipv4Addr::new(192, 168, 1, 2)), false).why.contains("NAT-T"));
    }
}
