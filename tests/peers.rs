//! Our S3 and STS calls against servers that others wrote: moto with authentication on, and s3s-fs.

use std::{fs, time::Duration};

use bowline_base::atomic;
use serde_json::Value;

use crate::harness::{Client, Python, Running, S3sFs, World, fetch, free_address, python, run, skip, until};

/// moto checks signatures after this many calls: those that make its first user (see moto_world.py).
const UNCHECKED: &str = "3";

/// `bowline artifacts serve` for one repository; ready when its port answers.
#[track_caller]
fn serve(world: &World, profile: &str, from: &str) -> (Running, std::net::SocketAddr) {
    let (listen, cache) = (free_address(), world.path(&format!("cache-{profile}")));
    let mut command = world.bowline(&["artifacts", "serve", "--profile", profile, "--from", from]);
    command.args(["--listen", &listen.to_string()]).arg("--cache").arg(cache);
    let mut proxy = world.start("artifacts", &mut command);
    until(Duration::from_secs(10), "the proxy listens", || {
        assert!(proxy.runs(), "the proxy ended: {}", proxy.stderr());
        fetch(listen, "/healthz").is_ok()
    });
    (proxy, listen)
}

fn moto(world: &mut World, python: &Python) -> (Running, Value) {
    let address = free_address();
    let mut server = python.module(world, "moto.server");
    server.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]).env("INITIAL_NO_AUTH_ACTION_COUNT", UNCHECKED);
    let server = world.start("moto", &mut server);
    until(Duration::from_secs(15), "moto answers", || fetch(address, "/moto-api/").is_ok());
    world.use_endpoint(format!("http://{address}"));
    let mut furnish = python.script(world, "moto_world.py");
    let furnished = run(furnish.arg(format!("http://{address}")), &world.path("furnish"), Duration::from_secs(15));
    assert_eq!(furnished.code, Some(0), "{}{}", furnished.stdout, server.stderr());
    (server, serde_json::from_str(&furnished.stdout).unwrap())
}

fn static_keys(world: &World, profile: &str, key_id: &str, secret: &str) {
    let credentials = fs::read_to_string(world.path(".aws/credentials")).unwrap_or_default();
    let section = format!("[{profile}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n");
    world.write(".aws/credentials", &format!("{credentials}{section}"));
    world.configure(&format!("[profile {profile}]\nregion = us-east-1\n"));
}

#[test]
fn moto_takes_our_assume_role_and_our_s3_requests() {
    let Some(python) = python() else { skip!("moto: no target/py") };
    let mut world = World::new("moto", |_| {});
    let (_server, made) = moto(&mut world, &python);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    static_keys(&world, "ci", &text("key_id"), &text("secret"));
    static_keys(&world, "wrong", &text("key_id"), "not-the-secret-of-this-key-at-all-0000000");
    world.configure(&format!("[profile moto]\nsource_profile = ci\nrole_arn = {}\nregion = us-east-1\n", text("role")));
    let (_proxy, listen) = serve(&world, "moto", "s3://corp-maven/releases");
    let jar = fetch(listen, "/a/b+c%20%C3%BC.jar").unwrap();
    assert_eq!((jar.status, jar.text().as_str()), (200, "from moto"));
    assert_eq!(fetch(listen, "/a/missing.jar").unwrap().status, 404);
    let (_refused, listen) = serve(&world, "wrong", "s3://corp-maven/releases");
    let refused = fetch(listen, "/a/b+c%20%C3%BC.jar").unwrap();
    assert!(matches!(refused.status, 502 | 503), "a refusal is no 404: {} {}", refused.status, refused.text());
}

#[test]
fn s3s_fs_takes_our_signatures_and_streams_whole_bodies() {
    let mut world = World::new("s3s-fs", |_| {});
    let root = world.path("s3");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    fs::create_dir_all(root.join("corp-maven/releases/org/a b")).unwrap();
    atomic::write(&root.join("corp-maven/releases/org/a b/big+1.jar"), &big, 0o644).unwrap();
    let peer = S3sFs::start(world.runtime(), &root, "AKIAIOSFODNN7EXAMPLE", "a/secret+of=forty+characters/for+s3s-fs0");
    world.use_endpoint(format!("http://{}", peer.address));
    static_keys(&world, "peer", "AKIAIOSFODNN7EXAMPLE", "a/secret+of=forty+characters/for+s3s-fs0");
    static_keys(&world, "wrong", "AKIAIOSFODNN7EXAMPLE", "another-secret-of-forty-characters-000000");
    let (_proxy, listen) = serve(&world, "peer", "s3://corp-maven/releases");
    let mut client = Client::connect(listen).unwrap();
    for _ in ["cold", "cached"] {
        let jar = client.ask("GET", "/org/a%20b/big%2B1.jar").unwrap();
        assert_eq!((jar.status, jar.body.len()), (200, big.len()));
        assert!(jar.body == big, "the bytes are those of the file");
    }
    let head = client.ask("HEAD", "/org/a%20b/big%2B1.jar").unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, "3000000"));
    assert_eq!(client.ask("GET", "/org/missing.pom").unwrap().status, 404);
    let (_refused, listen) = serve(&world, "wrong", "s3://corp-maven/releases");
    assert!(matches!(fetch(listen, "/org/a%20b/big%2B1.jar").unwrap().status, 502 | 503));
}
