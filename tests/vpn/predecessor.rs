//! Parameter Store by others: moto instead of our own fake, boto3 beside our store, and the predecessor's parameters.

use std::time::Duration;

use crate::{
    harness::{World, free_address, python, run, skip, until},
    peers::{moto, static_keys},
};

use super::curl;

#[test]
fn boto3_reads_what_we_wrote_and_the_predecessors_parameters_are_taken_over() {
    let Some(python) = python() else { skip!("moto: no target/py") };
    let mut world = World::new("vpn-moto", |_| {});
    let (_moto, made) = moto(&mut world, &python);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    static_keys(&world, "vpn", &text("key_id"), &text("secret"));
    let mut furnish = python.script(&world, "vpn_parameters.py");
    furnish.args(["furnish", world.endpoint(), &text("key_id"), &text("secret")]);
    let furnished = run(&mut furnish, &world.path("furnish"), Duration::from_secs(15));
    assert_eq!(furnished.code, Some(0), "{}{}", furnished.stdout, furnished.stderr);
    let (api, listen) = (free_address(), free_address());
    let mut command = world.bowline(&["vpn", "serve", "--store", "ssm:/ephem-vpn", "--profile", "vpn"]);
    command.args(["--api", &api.to_string(), "--listen", &listen.to_string(), "--endpoint", &listen.to_string()]);
    let mut server = world.start("vpn", &mut command);
    until(Duration::from_secs(15), "the API answers", || {
        assert!(server.runs(), "{}", server.stderr());
        curl(&world, api, "", &["/health"]).is_some()
    });
    let old = curl(&world, api, "old-key-of-user-3", &["/users/user-3"]).unwrap();
    assert!(old.contains("2025-01-02T03:04:05Z") && old.contains("\"active\""), "{old}");
    let made = curl(&world, api, "the-master-key", &["/users", "-d", r#"{"client_id":"new"}"#]).unwrap();
    assert!(made.contains("bvu_"), "{made}");
    let mut check = python.script(&world, "vpn_parameters.py");
    check.args(["check", world.endpoint(), &text("key_id"), &text("secret")]);
    let checked = run(&mut check, &world.path("check"), Duration::from_secs(15));
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
}
