//! What a daemon holds that has nothing to do: with the credentials alone, and with every job on.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use bowline_fakeaws::{Bucket, NewConnection, NewGateway};

use super::world::World;
use crate::{Outcome, programs::memory, report::Report};

/// After its start it hands pages back that only starting needed.
const SETTLED: Duration = Duration::from_secs(5);
/// Where the site is; one of the addresses that are nobody's.
const ADDRESS: [u8; 4] = [198, 51, 100, 1];

pub(super) fn measure(world: &World, report: &mut Report) -> Outcome<()> {
    let config = world.write_config("everything.toml", &every_job(world)?)?;
    let daemon = world.daemon_with(&config)?;
    thread::sleep(SETTLED);
    report.say("idle daemon with every job, memory", memory(daemon.id(), "VmRSS")?, "MiB").at_most(20.0);
    report.note("endpoint, artifacts, gateway, VPN with its proxy, audit");
    Ok(())
}

/// A configuration with every job, for a site whose connection points where it should.
fn every_job(world: &World) -> Outcome<String> {
    let cloud = world.cloud();
    cloud.add_bucket("maven", Bucket::memory("us-east-1"));
    let tags = vec![("bowline:owner".to_owned(), "site-1".to_owned())];
    let gateway = NewGateway { address: Some(ADDRESS.into()), tags: tags.clone(), ..NewGateway::default() };
    let customer_gateway = cloud.add_customer_gateway(&gateway);
    cloud.add_vpn_connection(&NewConnection { customer_gateway, tags, ..NewConnection::default() });
    let [artifacts, api, tunnel, proxy] = [free()?, free()?, free()?, free()?];
    Ok(format!(
        "[daemon]\nlisten = \"127.0.0.1:0\"\nkeep-fresh = [\"build\"]\n\
         [endpoint]\nlisten = \"{}\"\nserve = [\"build\"]\n\
         [artifacts]\nidentity = \"build\"\nlisten = \"{artifacts}\"\ncache = {{ path = \"{}\" }}\n\
         [[artifacts.repository]]\nfrom = \"s3://maven\"\n\
         [gateway]\nidentity = \"me\"\nregion = \"us-east-1\"\nowner = \"site-1\"\nip-providers = [\"http://{}/\"]\n\
         interval = \"60s\"\nallow-test-addresses = true\n\
         [vpn]\nlisten = \"{tunnel}\"\napi = \"{api}\"\nendpoint = \"{tunnel}\"\nproxy = \"{proxy}\"\nstore = \"file:{}\"\n",
        world.endpoint,
        world.path("cache").display(),
        provider()?,
        world.path("vpn-users").display(),
    ))
}

/// Somebody who says what the site's address is, for as long as this program runs.
fn provider() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let [a, b, c, d] = ADDRESS;
    let body = format!("{a}.{b}.{c}.{d}\n");
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            client.read(&mut [0; 1024]).and_then(|_| client.write_all(answer.as_bytes())).ok();
        }
    });
    Ok(address)
}

fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
