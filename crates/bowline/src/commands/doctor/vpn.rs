//! The VPN's server: its ports, what the system grants it, the master key, the store with every right that it needs, and
//! whom its egress policy lets out to where. Nothing is made and nothing is changed.

use std::{
    fs, io,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use bowline_base::{Fault, FixedIdentity, Identity};
use bowline_host::Check;
use bowline_vpn::server::store::{Store, StoreError, Value, Values};

use super::{Patient, ids, ports, verdict::*};
use crate::{
    cli::{MfaCode, VpnServe},
    commands::{obtain, vpn},
    config::{EgressSection, SecretPlace, StorePlace, VpnSection},
    daemon::vpn as wiring,
    secrets,
    world::{World, small_runtime},
};

/// What receive buffers a fast client needs.
const ENOUGH: u64 = 4 << 20;
const RECEIVE_LIMIT: &str = "/proc/sys/net/core/rmem_max";
/// A name that no store holds: removing it changes nothing, and shows whether it would be allowed.
const NOBODYS: &str = "doctor/nothing";

/// Whether there is anything to check; a configuration with mistakes is told by `files`.
pub(super) fn applies(patient: &Patient) -> bool {
    let configured = patient.config.as_ref().is_ok_and(|config| config.vpn.is_some());
    configured || patient.world.environment.var("SSM_PREFIX").is_some()
}

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let world = &patient.world;
    let file = patient.settings().vpn.unwrap_or_default();
    let section = match vpn::served(&VpnServe::default(), &world.environment, file) {
        Ok(section) => VpnSection { identity: patient.profile.clone().or(section.identity.clone()), ..section },
        Err(fault) => return vec![from_fault(ids::VPN_STORE, &fault)],
    };
    let page = patient.settings().daemon.listen;
    let mut checks = doors(&section, || ports::our_jobs(page).is_some_and(|jobs| jobs["vpn"].is_object()));
    checks.push(ping(bowline_tunnel::no_ping().as_deref()));
    checks.push(buffers(fs::read_to_string(RECEIVE_LIMIT).ok().and_then(|text| text.trim().parse().ok())));
    checks.push(endpoint(&section));
    checks.push(egress(&section.egress));
    let values = contents(world, &section);
    checks.push(master_key(world, &section, values.as_ref().ok().and_then(Option::as_ref)));
    checks.push(match values {
        Ok(values) => store(world, &section, values.as_ref()),
        Err(fault) => from_fault(ids::VPN_STORE, &fault),
    });
    checks
}

fn doors(section: &VpnSection, ours: impl Fn() -> bool + Copy) -> Vec<Check> {
    let id = ids::VPN_PORTS;
    let tcp = [Some((section.api, "[vpn] api")), section.proxy.map(|address| (address, "[vpn] proxy"))];
    let tcp = tcp.into_iter().flatten().map(|(address, key)| ports::of(id, address, key, ours));
    section.listen.iter().map(|address| udp(*address, &UdpSocket::bind(address).err(), ours)).chain(tcp).collect()
}

fn udp(address: SocketAddr, error: &Option<io::Error>, ours: impl Fn() -> bool) -> Check {
    let (id, port) = (ids::VPN_PORTS, address.port());
    match error {
        None => ok(id, format!("{address} ([vpn] listen, UDP) is free")),
        Some(error) if error.kind() == io::ErrorKind::AddrInUse && ours() => {
            ok(id, format!("{address} ([vpn] listen, UDP) is served by Bowline"))
        }
        Some(error) => failed(
            id,
            format!("{address} ([vpn] listen, UDP) cannot be bound: {error}"),
            Some(format!("sudo ss -lunp 'sport = :{port}'   # who has it; or set another `listen` under [vpn]")),
        ),
    }
}

fn ping(closed: Option<&str>) -> Check {
    match closed {
        None => ok(ids::VPN_PING, "clients can ping"),
        Some(why) => degraded(ids::VPN_PING, why, "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647'"),
    }
}

fn buffers(granted: Option<u64>) -> Check {
    let id = ids::VPN_BUFFERS;
    match granted {
        Some(granted) if granted >= ENOUGH => ok(id, format!("the system grants {granted} bytes")),
        Some(granted) => degraded(
            id,
            format!("the system grants receive buffers of {granted} bytes, not {ENOUGH}: fast clients lose packets"),
            format!("sudo sysctl -w net.core.rmem_max={ENOUGH}"),
        ),
        None => ok(id, "this system does not say what it grants"),
    }
}

fn endpoint(section: &VpnSection) -> Check {
    let id = ids::VPN_ENDPOINT;
    match &section.endpoint {
        Some(endpoint) => ok(id, format!("clients are told {endpoint}")),
        None => degraded(
            id,
            "clients are told an address of this machine; behind a router or a load balancer it is not the right one",
            "set `endpoint` under [vpn], or --endpoint HOST:PORT",
        ),
    }
}

/// What is open although it is shut by default, in one judgement.
fn egress(section: &EgressSection) -> Check {
    let id = ids::VPN_EGRESS;
    let ranges: Vec<String> = section.allow.iter().map(ToString::to_string).collect();
    let wide = section.allow.iter().filter(|range| range.bits() == 0).count();
    let open = [
        (!ranges.is_empty()).then(|| format!("the ranges {}", ranges.join(", "))),
        section.client_to_client.then(|| "other clients".to_owned()),
        section.allow_smtp.then(|| "port 25".to_owned()),
    ];
    let open: Vec<String> = open.into_iter().flatten().collect();
    let besides = if open.is_empty() { String::new() } else { format!(", and {}", open.join(", ")) };
    if section.expose_credential_addresses {
        let why = "every client can take the credentials of this machine's role";
        return failed(id, why, Some("remove `dangerously-expose-credential-addresses` from [vpn]".to_owned()));
    }
    if wide > 0 || section.allow_smtp {
        let why = format!("clients reach public addresses{besides}: more than most servers mean");
        return degraded(
            id,
            why,
            "name ranges that clients need; leave `allow-smtp` out, or spam goes out by your address",
        );
    }
    ok(id, format!("clients reach public addresses{besides}; this machine and its role's credentials are shut"))
}

/// Given, readable and nobody else's; or made at the first start; or in the store.
fn master_key(world: &World, section: &VpnSection, values: Option<&Values>) -> Check {
    let id = ids::VPN_MASTER_KEY;
    if let Some(place) = &section.master_key {
        return match secrets::read(world, place) {
            Err(fault) => from_fault(id, &fault),
            Ok(_) => match place {
                SecretPlace::File(path) => private(path),
                SecretPlace::Env(_) | SecretPlace::Vault(_) => ok(id, "it is given"),
            },
        };
    }
    let has = |name: &str| values.is_some_and(|values| values.contains_key(name));
    match wiring::store_place(world, section) {
        _ if has("master-api-key") || has("master-api-key-sha256") => ok(id, "it is in the store"),
        StorePlace::File(_) => ok(id, "it is made at the first start, and shown once"),
        StorePlace::Ssm(prefix) => failed(
            id,
            format!("there is no parameter `{prefix}/master-api-key`"),
            Some(format!(
                "aws ssm put-parameter --type SecureString --name {prefix}/master-api-key --value file:///dev/stdin"
            )),
        ),
    }
}

fn private(path: &Path) -> Check {
    let open = fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0);
    if open {
        let why = format!("others can read `{}`", path.display());
        return failed(ids::VPN_MASTER_KEY, why, Some(format!("chmod 600 {}", path.display())));
    }
    ok(ids::VPN_MASTER_KEY, format!("`{}` is its owner's alone", path.display()))
}

/// What the store holds; `None` for a directory that is not there yet, which the first start makes.
fn contents(world: &World, section: &VpnSection) -> Result<Option<Values>, Fault> {
    if let StorePlace::File(path) = wiring::store_place(world, section)
        && !path.exists()
    {
        return Ok(None);
    }
    let store = open(world, section)?;
    let (values, _) = small_runtime()?.block_on(store.load()).map_err(told)?;
    Ok(Some(values))
}

fn open(world: &World, section: &VpnSection) -> Result<Arc<dyn Store>, Fault> {
    let place = wiring::store_place(world, section);
    let identity = |profile: &str| {
        let credentials = obtain::credentials(world, profile, &MfaCode::default())?;
        Ok(Arc::new(FixedIdentity::new(credentials)) as Arc<dyn Identity>)
    };
    wiring::open_store(world, section, place, &identity)
}

/// Reading has worked. The rights to write and to remove are tried where AWS looks at them and then has nothing to do.
fn store(world: &World, section: &VpnSection, values: Option<&Values>) -> Check {
    let id = ids::VPN_STORE;
    let Some(values) = values else { return ok(id, "it is made at the first start") };
    let users = values.keys().filter(|name| name.starts_with("users/") && name.ends_with("/record")).count();
    match rehearse(world, section, values.iter().next()) {
        Ok(tried) => ok(id, format!("{users} users; it can be read{tried}")),
        Err(fault) => {
            let fix = match wiring::store_place(world, section) {
                StorePlace::Ssm(prefix) => Some(format!("bowline policy vpn --store ssm:{prefix}")),
                StorePlace::File(_) => fault.hint.clone(),
            };
            failed(id, format!("{users} users; it can be read, but not changed: {}", fault.chain()), fix)
        }
    }
}

/// Makes what is there already, with its own value, and removes what is not there.
fn rehearse(world: &World, section: &VpnSection, there: Option<(&String, &Value)>) -> Result<&'static str, Fault> {
    let store = open(world, section)?;
    small_runtime()?.block_on(async {
        store.remove(NOBODYS).await.map_err(told)?;
        let Some((name, value)) = there else {
            return Ok(", and removed from (nothing is in it to try a change with)");
        };
        match store.create(name, value).await {
            Ok(()) | Err(StoreError::Taken(_)) => Ok(" and changed"),
            Err(error) => Err(told(error)),
        }
    })
}

fn told(error: StoreError) -> Fault {
    match error {
        StoreError::Away(fault) => {
            let mut copy = Fault::new(fault.kind, fault.origin.clone(), fault.chain());
            copy.hint.clone_from(&fault.hint);
            copy
        }
        StoreError::Taken(name) => Fault::new(bowline_base::Kind::Bug, "vpn", format!("`{name}` is taken")),
    }
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    #[test]
    fn what_the_egress_policy_opens_is_judged() {
        let judged = |change: &dyn Fn(&mut EgressSection)| {
            let mut section = EgressSection::default();
            change(&mut section);
            egress(&section).verdict
        };
        assert_eq!(judged(&|_| {}), Verdict::Ok);
        assert_eq!(judged(&|section| section.allow.push("10.20.0.0/16".parse().unwrap())), Verdict::Ok);
        assert_eq!(judged(&|section| section.allow.push("0.0.0.0/0".parse().unwrap())), Verdict::Degraded);
        assert_eq!(judged(&|section| section.allow_smtp = true), Verdict::Degraded);
        assert_eq!(judged(&|section| section.expose_credential_addresses = true), Verdict::Failed);
    }

    #[test]
    fn what_the_system_does_not_grant_has_a_fix() {
        assert_eq!((ping(None).verdict, buffers(Some(ENOUGH)).verdict), (Verdict::Ok, Verdict::Ok));
        for check in [ping(Some("no")), buffers(Some(212_992)), endpoint(&VpnSection::default())] {
            assert!(check.verdict == Verdict::Degraded && check.fix.is_some(), "{check:?}");
        }
        let held = udp(([0, 0, 0, 0], 51_820).into(), &Some(io::ErrorKind::AddrInUse.into()), || false);
        assert!(held.verdict == Verdict::Failed && held.fix.unwrap().contains("ss -lunp"));
        let ours = udp(([0, 0, 0, 0], 51_820).into(), &Some(io::ErrorKind::AddrInUse.into()), || true);
        assert_eq!(ours.verdict, Verdict::Ok);
    }
}
