//! Our S3, STS and IAM calls against servers that others wrote: moto with authentication on, and s3s-fs.

use std::{fs, sync::Arc, time::Duration};

use bowline_aws::{
    Aws, Endpoints, Region,
    iam::{self, Status, Why},
    sts,
};
use bowline_base::{Credentials, FixedIdentity, KeyId, Secret, atomic};
use bowline_host::{HttpWire, client::Outside};
use serde_json::{Value, json};

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

pub(crate) fn moto(world: &mut World, python: &Python) -> (Running, Value) {
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

pub(crate) fn static_keys(world: &World, profile: &str, key_id: &str, secret: &str) {
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
    let listing = fetch(listen, "/a/").unwrap();
    assert!(listing.status == 200 && listing.text().contains("b%2Bc%20%C3%BC.jar"), "{}", listing.text());
    let (_refused, listen) = serve(&world, "wrong", "s3://corp-maven/releases");
    let refused = fetch(listen, "/a/b+c%20%C3%BC.jar").unwrap();
    assert!(matches!(refused.status, 502 | 503), "a refusal is no 404: {} {}", refused.status, refused.text());
}

#[test]
fn moto_takes_our_iam_calls_and_keeps_the_limit_of_two_keys() {
    let Some(python) = python() else { skip!("moto: no target/py") };
    let mut world = World::new("moto-iam", |_| {});
    let (_server, made) = moto(&mut world, &python);
    let text = |name: &str| made[name].as_str().unwrap();
    let keys = |id: &str, secret: &str| FixedIdentity::new(credentials(id, secret));
    let endpoints = Endpoints::everything_at(world.endpoint()).unwrap();
    let wire = world.runtime().block_on(async { HttpWire::new(&Outside::default()).unwrap() });
    let (aws, region) = (Aws::new(Arc::new(wire), endpoints), Region::parse("eu-central-1").unwrap());
    world.runtime().block_on(async {
        let manager = keys(text("key_id"), text("secret"));
        live_and_die(&aws, &region, &manager).await;
        two_keys(&aws, &region, &manager).await;
        let wrong = keys(text("key_id"), "not-the-secret-of-this-key-at-all-0000000");
        let refused = iam::list_users(&aws, &region, &wrong, None).await.unwrap_err();
        assert!(refused.is_credential_failure(), "moto looks at our signatures: {refused}");
    });
}

fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials {
        key_id: KeyId::new(id),
        secret_key: Secret::new(secret),
        session_token: None,
        expires_at: None,
        obtained_at: jiff::Timestamp::UNIX_EPOCH,
        account_id: None,
    }
}

/// A user with tags, from its making to its end. No blanks in values: moto signs what it made of a form's `%20`, a `+`.
async fn live_and_die(aws: &Aws, region: &Region, manager: &FixedIdentity) {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let request = iam::CreateUser {
        tags: vec![tag("owner", "dirk-mgr"), tag("stage", "a=b+c")],
        ..iam::CreateUser::new("dirk-a+b@c")
    };
    let made = iam::create_user(aws, region, manager, &request).await.unwrap();
    assert_eq!((made.path.as_str(), &made.tags), ("/", &request.tags));
    let again = iam::create_user(aws, region, manager, &request).await.unwrap_err();
    assert_eq!(Why::of(&again), Some(Why::Exists));
    iam::tag_user(aws, region, manager, &made.name, &[tag("owner", "eve")]).await.unwrap();
    let mut tags = iam::user_tags(aws, region, manager, &made.name).await.unwrap();
    tags.sort();
    assert_eq!(tags, [tag("owner", "eve"), tag("stage", "a=b+c")]);
    let policy =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]});
    iam::put_user_policy(aws, region, manager, &made.name, ("p", &policy.to_string())).await.unwrap();
    iam::delete_user_policy(aws, region, manager, &made.name, "p").await.unwrap();
    let names: Vec<String> =
        iam::list_users(aws, region, manager, None).await.unwrap().into_iter().map(|user| user.name).collect();
    assert!(names.contains(&made.name) && names.contains(&"ci".to_owned()), "{names:?}");
    iam::delete_user(aws, region, manager, &made.name).await.unwrap();
    let gone = iam::user(aws, region, manager, Some(&made.name)).await.unwrap_err();
    assert_eq!(Why::of(&gone), Some(Why::Missing));
}

/// Two keys of a new user, which may do nothing; the third is refused.
async fn two_keys(aws: &Aws, region: &Region, manager: &FixedIdentity) {
    let name = Some("dirk-bedrock");
    iam::create_user(aws, region, manager, &iam::CreateUser::new("dirk-bedrock")).await.unwrap();
    let first = iam::create_access_key(aws, region, manager, name).await.unwrap();
    let second = iam::create_access_key(aws, region, manager, name).await.unwrap();
    let third = iam::create_access_key(aws, region, manager, name).await.unwrap_err();
    assert_eq!(Why::of(&third), Some(Why::LimitReached));
    let user = FixedIdentity::new(first.clone());
    let who = sts::caller_identity(aws, region, &user).await.unwrap();
    assert!(who.arn.ends_with(":user/dirk-bedrock"), "{}", who.arn);
    let refused = iam::create_user(aws, region, &user, &iam::CreateUser::new("dirk-x")).await.unwrap_err();
    assert_eq!(Why::of(&refused), Some(Why::NotAllowed));
    let owner = iam::access_key_last_used(aws, region, manager, &first.key_id).await.unwrap();
    assert_eq!(owner.user, "dirk-bedrock");
    iam::update_access_key(aws, region, manager, name, (&first.key_id, Status::Inactive)).await.unwrap();
    let mut listed = iam::list_access_keys(aws, region, manager, name).await.unwrap();
    listed.sort_by_key(|key| key.id != first.key_id);
    let standing: Vec<_> = listed.iter().map(|key| (&key.id, key.status)).collect();
    assert_eq!(standing, [(&first.key_id, Status::Inactive), (&second.key_id, Status::Active)]);
    iam::delete_access_key(aws, region, manager, name, &first.key_id).await.unwrap();
    assert_eq!(iam::list_access_keys(aws, region, manager, name).await.unwrap().len(), 1);
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
    // s3s-fs says that it has encoded the keys and has not: a `+` is lost there.
    let listing = client.ask("GET", "/org/a%20b/").unwrap();
    assert!(listing.status == 200 && listing.text().contains("1.jar</a>"), "{}", listing.text());
    let part = client.ask_as("range: bytes=2999990-\r\n", "GET", "/org/a%20b/big%2B1.jar").unwrap();
    assert!(part.status == 206 && part.body == big[2_999_990..], "{}", part.status);
    let (_refused, listen) = serve(&world, "wrong", "s3://corp-maven/releases");
    assert!(matches!(fetch(listen, "/org/a%20b/big%2B1.jar").unwrap().status, 502 | 503));
}
