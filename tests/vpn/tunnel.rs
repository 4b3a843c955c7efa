//! From the guide alone to a working tunnel: a file from the API brings a real WireGuard client up in a namespace of its own.

use bowline_rig::{Relay, Rig, missing};

use super::stage::{PATIENCE, Server, ask, bring_up, configure, publish, reaches_the_page};
use crate::harness::{skip, until};

#[test]
fn a_file_from_the_api_brings_a_client_up_and_its_deletion_ends_it() {
    if let Some(why) = missing() {
        skip!("vpn tunnel: {why}");
    }
    let rig = Rig::new(1).unwrap();
    // The client's way out has two addresses.
    let client = &rig.clients[0];
    client.namespace.ip("addr add 10.99.1.7/24 dev outside").unwrap();
    let relay = Relay::start(&client.namespace, rig.endpoint(0), Default::default(), Default::default()).unwrap();
    let mut server = Server::start(&rig, "vpn-tunnel", &relay.address().to_string(), &[]);
    publish(&rig);
    let key = server.add(&rig, "alice");
    let _wireguard = bring_up(&rig, client, &ask(&rig, &key, &["/users/alice/config"]));
    until(PATIENCE, "alice reaches the page", || reaches_the_page(client));
    let record = || server.record(&rig, "alice");
    until(PATIENCE, "the API shows who is there", || record()["source"] == client.outer().to_string());
    until(PATIENCE, "and what went through", || record()["received_bytes"].as_u64().is_some_and(|bytes| bytes > 0));
    relay.roam(&client.namespace, [10, 99, 1, 7].into()).unwrap();
    until(PATIENCE, "alice goes on from another address", || reaches_the_page(client));
    until(PATIENCE, "which is shown", || record()["source"] == "10.99.1.7");
    server.ask(&rig, &["/users/alice", "-X", "DELETE"]);
    until(PATIENCE, "a removed user gets nothing through", || !reaches_the_page(client));
    assert!(server.ask(&rig, &["/events"]).contains("client.connected"));
    server.stop();
}

/// A regeneration: who has the old file goes on, who takes a new one has the new key, and both at once.
#[test]
fn clients_with_the_former_key_go_on_beside_those_with_the_new_one() {
    if let Some(why) = missing() {
        skip!("vpn keys: {why}");
    }
    let rig = Rig::new(2).unwrap();
    let (endpoint, listens) = ("10.99.1.1:51820", ["--listen", "0.0.0.0:51820"]);
    let mut server = Server::start(&rig, "vpn-keys", endpoint, &listens);
    publish(&rig);
    server.add(&rig, "alice");
    server.add(&rig, "bob");
    let file = |server: &Server, name: &str, to: &str| {
        server.ask(&rig, &[&format!("/users/{name}/config")]).replace("10.99.1.1:51820", &format!("{to}:51820"))
    };
    let old = file(&server, "alice", "10.99.1.1");
    server.stop();
    let config = rig.path("keygen-config.json");
    bowline_base::atomic::write(&config, br#"{"regenerate_keys": true}"#, 0o644).unwrap();
    let told = server.run(&rig, &["keygen", "--config", &config.to_string_lossy()]).stdout;
    assert!(told.starts_with("regenerated "), "{told}");
    server.serve(&rig, endpoint, &listens);
    let new = file(&server, "alice", "10.99.1.1");
    assert!(new != old && new.contains(told["regenerated ".len()..].trim()), "{told}");

    let (alice, bob) = (&rig.clients[0], &rig.clients[1]);
    let _links = [bring_up(&rig, alice, &old), bring_up(&rig, bob, &file(&server, "bob", "10.99.2.1"))];
    until(PATIENCE, "alice gets through by the former key", || reaches_the_page(alice));
    until(PATIENCE, "bob gets through by the new one", || reaches_the_page(bob));
    assert!(reaches_the_page(alice), "beside bob");
    let on_the_former = |name: &str| server.record(&rig, name)["former_server_key"].as_bool();
    until(PATIENCE, "it is seen who has not moved", || on_the_former("alice") == Some(true));
    assert_eq!(on_the_former("bob"), Some(false));
    configure(&rig, alice, &new);
    until(PATIENCE, "alice moves", || reaches_the_page(alice) && on_the_former("alice") == Some(false));
    assert_eq!(server.run(&rig, &["keygen", "--forget-previous"]).stdout.trim(), "forgotten");
    assert_eq!(server.run(&rig, &["keygen", "--forget-previous"]).stdout.trim(), "nothing");
    server.stop();
}
