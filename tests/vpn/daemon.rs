//! `[vpn]` in the daemon: what the doctor says of it, and a reload that ends it, moves it and leaves its users.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::curl;
use crate::{
    doctor::doctor,
    harness::{World, fetch, free_address, until},
    peers::static_keys,
};

const LONG: Duration = Duration::from_secs(15);

fn configuration(world: &World, status: SocketAddr, vpn: &str) -> String {
    format!(
        "[daemon]\nlisten = \"{status}\"\n[vpn]\nendpoint = \"vpn.example.net:51820\"\nstore = \"file:{}\"\n{vpn}",
        world.path("store").display()
    )
}

#[test]
fn a_reload_moves_the_vpn_and_nothing_else_and_its_users_stay() {
    let world = World::new("vpn-reload", |_| {});
    let (status, api, one, two, proxy) =
        (free_address(), free_address(), free_address(), free_address(), free_address());
    let write = |vpn: &str| world.write("bowline.toml", &configuration(&world, status, vpn));
    write(&format!("api = \"{api}\"\nlisten = \"{one}\"\n"));
    let file = world.path("bowline.toml").display().to_string();
    let daemon = world.start("daemon", &mut world.bowline(&["run", "--config", &file]));
    let job = || -> Value {
        let answer = fetch(status, "/status.json").map(|answer| answer.text()).unwrap_or_default();
        serde_json::from_str::<Value>(&answer).unwrap_or_default()["jobs"]["vpn"].clone()
    };
    until(LONG, "it serves", || job()["listening"] == json!([one.to_string()]));
    let master = daemon.stdout().trim().to_owned();
    let made = curl(&world, api, &master, &["/users", "-d", r#"{"client_id":"alice"}"#]).unwrap();
    assert!(made.contains("bvu_"), "{made}");
    let pin = job()["pin"].clone();
    doctor(&world, &["vpn", "--config", &file], &[]).is("vpn.ports", "ok");

    write(&format!("api = \"{api}\"\nlisten = \"{two}\"\nproxy = \"{proxy}\"\n"));
    daemon.signal(Signal::HUP);
    until(LONG, "it listens elsewhere", || job()["listening"] == json!([two.to_string()]));
    assert_eq!((job()["pin"].clone(), job()["users"].clone()), (pin, json!(1)));
    assert!(TcpStream::connect(proxy).is_ok(), "the proxy is new");
    assert_eq!(curl(&world, api, &master, &["/users"]).unwrap().trim(), r#"["alice"]"#);

    // The port that it wants is somebody else's: the old one goes on.
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    write(&format!("api = \"{api}\"\nlisten = \"{}\"\n", taken.local_addr().unwrap()));
    daemon.signal(Signal::HUP);
    until(LONG, "that is told", || daemon.stderr().contains("the old one goes on"));
    until(LONG, "and the old one serves", || job()["listening"] == json!([two.to_string()]));

    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{status}\"\n"));
    daemon.signal(Signal::HUP);
    until(LONG, "it is gone", || job().is_null() && TcpStream::connect(api).is_err());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.finish(LONG).code, Some(0));
}

#[test]
fn the_doctor_judges_doors_keys_egress_and_rights() {
    let world = World::new("vpn-doctor", |_| {});
    let (status, api, listen) = (free_address(), free_address(), free_address());
    world.write("master", "a-long-master-key");
    let doors = format!(
        "api = \"{api}\"\nlisten = \"{listen}\"\nmaster-key = {{ file = \"{}\" }}\n",
        world.path("master").display()
    );
    let write = |more: &str| world.write("bowline.toml", &configuration(&world, status, &format!("{doors}{more}")));
    let file = world.path("bowline.toml").display().to_string();
    let look = || doctor(&world, &["vpn", "--config", &file], &[]);
    write("");
    let good = look();
    for id in ["vpn.ports", "vpn.endpoint", "vpn.egress", "vpn.master-key", "vpn.store"] {
        good.is(id, "ok");
    }
    assert!(!world.path("store").exists(), "looking makes nothing");
    world.bowline(&["check", "--config", &file]).output().map(|done| assert!(done.status.success())).unwrap();

    write("dangerously-expose-credential-addresses = true\n");
    fs::set_permissions(world.path("master"), fs::Permissions::from_mode(0o644)).unwrap();
    let _held = std::net::TcpListener::bind(api).unwrap();
    let bad = look();
    bad.is("vpn.egress", "failed");
    bad.is("vpn.master-key", "failed");
    assert!(bad.words("vpn.ports").contains("held by"), "{}", bad.said);
    assert_eq!(bad.code, Some(1));

    write(&format!("proxy = \"{api}\"\n"));
    let checked = world.run(&["check", "--config", &file]);
    assert!(
        checked.code == Some(2) && checked.stderr.contains("`vpn.api` and `vpn.proxy` both want"),
        "{}",
        checked.stderr
    );
}

#[test]
fn the_doctor_finds_what_a_role_may_not_do_with_the_store() {
    let world = World::new("vpn-doctor-ssm", |_| {});
    world.cloud().add_parameter("/ephem-vpn/master-api-key", "a-long-master-key", true);
    let allow = |actions: &[&str]| json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
    let (read, write) = (["ssm:GetParametersByPath", "ssm:GetParameter", "kms:Decrypt"], ["ssm:*", "kms:*"]);
    for (name, actions) in [("reader", &read[..]), ("writer", &write[..])] {
        let keys = world.cloud().add_limited_user(name, &[allow(actions)]).unwrap();
        static_keys(&world, name, &keys.key_id.to_string(), keys.secret_key.expose());
    }
    let prefix = [("SSM_PREFIX", "ephem-vpn"), ("AWS_REGION", "us-east-1")];
    let reader = doctor(&world, &["vpn", "reader"], &prefix);
    reader.is("vpn.store", "failed");
    assert!(reader.words("vpn.store").contains("bowline policy vpn --store ssm:/ephem-vpn"), "{}", reader.said);
    reader.is("vpn.master-key", "ok");
    let before = world.cloud().counts().sum("ssm.");
    let writer = doctor(&world, &["vpn", "writer"], &prefix);
    writer.is("vpn.store", "ok");
    assert!(world.cloud().counts().sum("ssm.") > before);
    assert_eq!(world.cloud().parameters().len(), 1, "nothing was made and nothing is gone");
}
