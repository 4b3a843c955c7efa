//! The API as its users meet it: shapes, who may what, what happens when the store is away.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bowline_base::Secret;
use bowline_fakeaws::{Effect, Fault};
use bowline_tunnel::PeerStats;
use bowline_vpn::{
    client::{Account, Api, Owner},
    server::{Config, Server},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{self, BOTH, Kind, MASTER, World, until};

#[tokio::test]
async fn a_user_lives_from_its_making_to_its_end() {
    for kind in BOTH {
        let world = World::new().await;
        let server = world.serve(kind).await;
        let made = server.master("POST", "/users", r#"{"client_id":"alice"}"#).await;
        let shown = made.json();
        assert_eq!(made.status, 201);
        let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["api_key", "client_id", "created_at", "status"]);
        assert_eq!((&shown["client_id"], &shown["status"]), (&json!("alice"), &json!("active")));
        assert!(shown["created_at"].as_str().unwrap().ends_with('Z'));
        assert_eq!(server.peers(), 1, "live in the tunnel before the answer");
        assert_eq!(server.master("POST", "/users", r#"{"client_id":"alice"}"#).await.status, 409);
        assert_eq!(server.master("GET", "/users", "").await.json(), json!(["alice"]));
        assert_eq!(server.master("GET", "/users?detail", "").await.json()[0]["client_id"], "alice");
        let conf = server.master("GET", "/users/alice/config", "").await;
        for part in ["[Interface]", "PrivateKey = ", "Endpoint = vpn.example.net:51820", "AllowedIPs = 0.0.0.0/0"] {
            assert!(conf.text.contains(part), "{part} in {}", conf.text);
        }
        assert!(server.master("GET", "/users/alice/qr.svg", "").await.text.contains("<svg"));
        assert!(server.master("GET", "/users/alice/qr.txt", "").await.text.contains('█'));
        assert_eq!(server.master("POST", "/users/alice/disable", "").await.json()["status"], "inactive");
        assert_eq!(server.peers(), 0);
        assert_eq!(server.master("POST", "/users/alice/enable", "").await.json()["status"], "active");
        assert_eq!(server.peers(), 1);
        assert_eq!(server.master("DELETE", "/users/alice", "").await.status, 204);
        assert_eq!((server.peers(), server.master("GET", "/users/alice", "").await.status), (0, 404));
        assert_eq!(server.master("DELETE", "/users/alice", "").await.status, 404);
        let events = server.master("GET", "/events", "").await.json();
        let names: Vec<&Value> = events.as_array().unwrap().iter().map(|event| &event["event"]).collect();
        assert_eq!(names, ["user.created", "user.disabled", "user.enabled", "user.deleted"]);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_key_opens_its_own_record_and_nothing_else() {
    let world = World::new().await;
    let server = world.serve(Kind::File).await;
    let (alice, bob) = (server.add("alice").await, server.add("bob").await);
    let status = async |method: &str, path: &str, key: &str| server.ask(method, path, key, "").await.status;
    assert_eq!(server.ask("GET", "/health", "", "").await.status, 200);
    assert_eq!(status("GET", "/users", "").await, 401);
    assert_eq!(status("GET", "/users", "wrong").await, 401);
    assert_eq!(status("GET", "/users/alice", &alice).await, 200);
    assert_eq!(status("GET", "/users/alice/config", &alice).await, 200);
    for (method, path) in [
        ("GET", "/users"),
        ("GET", "/users/bob"),
        ("GET", "/users/nobody"),
        ("GET", "/users/bob/qr.svg"),
        ("DELETE", "/users/alice"),
        ("POST", "/users/alice/disable"),
        ("POST", "/users/bob/rotate"),
        ("GET", "/events"),
        ("GET", "/invitations"),
    ] {
        assert_eq!(status(method, path, &alice).await, 403, "{method} {path}");
    }
    let refused = server.ask("GET", "/users/alice", "wrong", "").await;
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    assert_eq!(refused.json()["status"], 401);
    server.master("POST", "/users/bob/disable", "").await;
    assert_eq!(status("GET", "/users/bob", &bob).await, 403);
    let owner = async |key: &str| {
        let account = Account::new(&format!("http://{}", server.address), None).unwrap();
        Api::new(world.wire.clone(), account, Secret::new(key)).owner().await.map_err(|fault| fault.chain())
    };
    assert_eq!(owner(MASTER).await, Ok(Owner::Administrator));
    assert_eq!(owner(&alice).await, Ok(Owner::User));
    assert_eq!(owner(&bob).await, Err("the server refuses: this user is disabled".to_owned()));
    let rotated = server.ask("POST", "/users/alice/rotate", &alice, "").await.json();
    assert_eq!(status("GET", "/users/alice", &alice).await, 401);
    assert_eq!(status("GET", "/users/alice", rotated["api_key"].as_str().unwrap()).await, 200);
    assert_eq!(status("PUT", "/users/alice", MASTER).await, 405);
    assert_eq!(status("GET", "/nothing", MASTER).await, 404);
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_are_no_users_are_told_apart() {
    let world = World::new().await;
    let server = world.serve(Kind::File).await;
    for (body, status) in [
        ("{", 400),
        ("[]", 400),
        ("{}", 422),
        (r#"{"client_id":7}"#, 422),
        (r#"{"client_id":"../etc"}"#, 422),
        (r#"{"client_id":"a","quota":5}"#, 422),
        (r#"{"client_id":"a","quota_bytes":-5}"#, 422),
        (r#"{"client_id":"a","expires_at":"soon"}"#, 422),
        (r#"{"client_id":"a","expires_at":"2001-01-01T00:00:00Z"}"#, 422),
        (r#"{"client_id":"a","public_key":"AAAA"}"#, 422),
    ] {
        let answer = server.master("POST", "/users", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{body}");
    }
    let huge = format!(r#"{{"client_id":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(server.master("POST", "/users", &huge).await.status, 413);
    assert_eq!(server.master("GET", "/users", "").await.json(), json!([]));
    server.stop().await;
}

#[tokio::test]
async fn an_invitation_makes_one_user_and_looking_at_it_uses_nothing_up() {
    let world = World::new().await;
    let server = world.serve(Kind::Ssm).await;
    let invited = server.master("POST", "/invitations", r#"{"client_id":"alice","quota_bytes":1000}"#).await.json();
    let url = invited["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    for _ in 0..3 {
        assert!(server.ask("GET", path, "", "").await.text.contains("<form method=\"post\">"));
    }
    let joined = server.ask("POST", path, "", "{}").await;
    assert_eq!(joined.status, 201, "{}", joined.text);
    let joined = joined.json();
    assert!(joined["config"].as_str().unwrap().contains("[Peer]"));
    let mine = server.ask("GET", "/users/alice", joined["api_key"].as_str().unwrap(), "").await.json();
    assert_eq!(mine["quota_bytes"], 1000);
    assert_eq!(server.ask("POST", path, "", "{}").await.status, 410);
    assert_eq!(server.ask("GET", path, "", "").await.status, 410);
    let link = server.master("POST", "/invitations", r#"{"client_id":"bob"}"#).await.json();
    assert_eq!(server.master("GET", "/invitations", "").await.json()[0]["client_id"], "bob");
    assert_eq!(server.master("DELETE", "/invitations/bob", "").await.status, 204);
    let path = link["url"].as_str().unwrap().split_once("/join/").unwrap().1.to_owned();
    assert_eq!(server.ask("POST", &format!("/join/{path}"), "", "").await.status, 410);
    let kept = world.cloud().parameters();
    assert!(kept.iter().all(|(_, value, _)| !value.contains(&path)), "the link's key is kept as a hash");
    server.stop().await;
}

#[tokio::test]
async fn no_api_key_is_in_the_store_and_secrets_are_sealed() {
    let world = World::new().await;
    let server = world.serve(Kind::Ssm).await;
    let key = server.add("alice").await;
    for (name, value, sealed) in world.cloud().parameters() {
        assert!(!value.contains(&key), "{name}");
        assert!(sealed || ["/ephem-vpn/wg/server-public-key", "/ephem-vpn/changes"].contains(&name.as_str()), "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_predecessors_users_and_key_are_taken_over() {
    let world = World::new().await;
    let key = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
    let wrapped = "ZHdkdENuTVlwWDA4RnNGeVViSm1SZDlNTDRmcndKa3FzWGY3cFIyNUxDbz0=";
    for (name, value, sealed) in [
        ("wg/server-private-key", key, false),
        ("wg/server-private-key-b64", wrapped, true),
        ("users/alice/api-key", "old-key-of-alice", true),
        ("users/alice/created-at", "2025-01-02T03:04:05.678901", false),
        ("users/alice/status", "active", false),
    ] {
        world.cloud().add_parameter(&format!("/ephem-vpn/{name}"), value, sealed);
    }
    let server = world.serve(Kind::Ssm).await;
    assert_eq!(server.server.public_key().to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    let alice = server.ask("GET", "/users/alice", "old-key-of-alice", "").await.json();
    assert_eq!((&alice["created_at"], &alice["status"]), (&json!("2025-01-02T03:04:05Z"), &json!("active")));
    let kept = world.cloud().parameters();
    let holds_key: Vec<_> = kept.iter().filter(|(_, value, _)| value.contains(key) || value == wrapped).collect();
    assert_eq!(holds_key.len(), 1, "one private key, once");
    assert!(holds_key[0].2 && holds_key[0].0 == "/ephem-vpn/wg/server-private-key");
    assert!(kept.iter().all(|(name, value, _)| value != "old-key-of-alice" && !name.ends_with("/api-key")));
    server.stop().await;
}

#[tokio::test]
async fn two_servers_share_a_store() {
    for kind in BOTH {
        let world = World::new().await;
        let (one, two) = (world.serve(kind).await, world.serve(kind).await);
        assert_eq!(one.server.public_key(), two.server.public_key());
        assert_eq!(one.server.fingerprint(), two.server.fingerprint());
        let key = one.add("alice").await;
        until("the other server lets alice in", async || two.peers() == 1).await;
        assert_eq!(two.ask("GET", "/users/alice", &key, "").await.status, 200);
        two.master("DELETE", "/users/alice", "").await;
        until("the first server shuts alice out", async || one.peers() == 0).await;
        one.stop().await;
        two.stop().await;
    }
}

#[tokio::test]
async fn while_the_store_is_away_tunnels_go_on_and_changes_say_why() {
    let world = World::new().await;
    let server = world.serve(Kind::Ssm).await;
    let key = server.add("alice").await;
    world.cloud().fault(Fault::new("ssm.*", Effect::Error { status: 400, code: "AccessDeniedException".to_owned() }));
    let refused = server.master("POST", "/users", r#"{"client_id":"bob"}"#).await;
    assert_eq!(refused.status, 503);
    assert!(refused.json()["detail"].as_str().unwrap().contains("ssm:/ephem-vpn"), "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    until("the store is known to be away", async || {
        server.ask("GET", "/health", "", "").await.json()["store"] == "away"
    })
    .await;
    assert_eq!(server.ask("GET", "/health", "", "").await.status, 200);
    assert_eq!((server.ask("GET", "/users/alice", &key, "").await.status, server.peers()), (200, 1));
    world.cloud().clear_faults();
    until("it is back", async || server.ask("GET", "/health", "", "").await.json()["status"] == "ok").await;
    assert_eq!(server.master("POST", "/users", r#"{"client_id":"bob"}"#).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_quota_ends_a_user_and_usage_survives_a_restart() {
    let world = World::new().await;
    let server = world.serve(Kind::File).await;
    let made = server.master("POST", "/users", r#"{"client_id":"alice","quota_bytes":1000}"#).await.json();
    let peer = *server.tunnel.peers.lock().unwrap().keys().next().unwrap();
    let stats = PeerStats { received: 400, sent: 300, ..PeerStats::default() };
    server.tunnel.traffic.lock().unwrap().insert(peer, stats.clone());
    let mine = async |server: &world::Running| {
        server.ask("GET", "/users/alice", made["api_key"].as_str().unwrap(), "").await.json()
    };
    until("it is counted", async || mine(&server).await["received_bytes"] == 400).await;
    server.stop().await;
    let server = world.serve(Kind::File).await;
    assert_eq!(mine(&server).await["sent_bytes"], 300);
    assert_eq!(server.tunnel.peers.lock().unwrap()[&peer].used, 700);
    server.tunnel.traffic.lock().unwrap().insert(peer, PeerStats { received: 300, ..stats });
    until("the quota is used", async || server.peers() == 0).await;
    assert_eq!(mine(&server).await["reason"], "quota used");
    server.master("PATCH", "/users/alice", r#"{"quota_bytes":null}"#).await;
    assert_eq!(server.peers(), 1);
    // From nothing, whatever the store was not told of, in the tunnel's own count too.
    server.tunnel.traffic.lock().unwrap().insert(peer, PeerStats { received: 900, ..PeerStats::default() });
    until("more is counted", async || mine(&server).await["received_bytes"].as_u64() > Some(700)).await;
    let reset = server.master("PATCH", "/users/alice", r#"{"quota_bytes":2000,"reset_usage":true}"#).await.json();
    assert_eq!(
        (&reset["received_bytes"], &reset["sent_bytes"], &reset["status"]),
        (&0.into(), &0.into(), &"active".into())
    );
    assert_eq!(server.tunnel.peers.lock().unwrap()[&peer].used, 0);
    server.stop().await;
}

/// Neither has seen enough for itself, and both know within seconds that together they have.
#[tokio::test]
async fn a_quota_is_one_over_several_servers() {
    let world = World::new().await;
    let (one, two) = (world.serve(Kind::Ssm).await, world.serve(Kind::Ssm).await);
    one.master("POST", "/users", r#"{"client_id":"alice","quota_bytes":8000000}"#).await;
    until("both let alice in", async || one.peers() == 1 && two.peers() == 1).await;
    let peer = *one.tunnel.peers.lock().unwrap().keys().next().unwrap();
    let move_on = |server: &world::Running, received| {
        let stats = PeerStats { received, ..PeerStats::default() };
        server.tunnel.traffic.lock().unwrap().insert(peer, stats);
    };
    move_on(&one, 5_000_000);
    let seen = async || two.master("GET", "/users/alice", "").await.json()["received_bytes"] == 5_000_000;
    until("the other server knows", seen).await;
    assert_eq!(two.peers(), 1);
    move_on(&two, 3_500_000);
    until("both shut alice out", async || one.peers() == 0 && two.peers() == 0).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn ten_thousand_wrong_keys_are_bounded_and_told_in_a_few_lines() {
    let world = World::new().await;
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let recorder = Arc::new(move |_: &bowline_vpn::server::events::Event| {
        *count.lock().unwrap() += 1;
        Ok(())
    });
    let server = world.serve_as(Kind::File, recorder).await;
    let key = server.add("alice").await;
    let mut statuses = std::collections::BTreeMap::new();
    for number in 0..10_000 {
        let status = server.ask("GET", "/users/alice", &format!("wrong-{number}"), "").await.status;
        *statuses.entry(status).or_insert(0) += 1;
    }
    assert!(statuses[&429] > 9000 && statuses.keys().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(*told.lock().unwrap() < 20, "{}", told.lock().unwrap());
    assert_eq!(server.ask("GET", "/users/alice", &key, "").await.status, 200, "nobody is locked out by a neighbour");
    server.stop().await;
}

/// Without a key, from anybody: refused at the limit, however much is announced or sent.
#[tokio::test]
async fn a_body_without_end_is_refused_at_64_kib() {
    let world = World::new().await;
    let server = world.serve(Kind::File).await;
    let announced = "content-length: 10000000000\r\n\r\n";
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    for (kind, piece) in [(announced, vec![b'x'; 1024]), (chunked, [&b"400\r\n"[..], &[b'x'; 1024], b"\r\n"].concat())]
    {
        let mut stream =
            server.knock(&format!("POST /users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {MASTER}\r\n{kind}")).await;
        let mut sent = 0;
        // It may be refused while we still send.
        while sent < 8 << 20 && stream.write_all(&piece).await.is_ok() {
            sent += piece.len();
        }
        let mut answer = vec![0; 12];
        let status = stream.read_exact(&mut answer).await.map(|_| String::from_utf8_lossy(&answer).into_owned());
        assert!(status.as_ref().is_ok_and(|status| status == "HTTP/1.1 413") || sent < 8 << 20, "{status:?} {sent}");
    }
    assert_eq!(server.master("GET", "/users", "").await.json(), json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_change_that_the_lasting_log_cannot_take_hands_nothing_out() {
    let world = World::new().await;
    let fault = || bowline_base::Fault::new(bowline_base::Kind::Unreachable, "audit", "the disk is full");
    let server = world.serve_as(Kind::File, Arc::new(move |_| Err(fault()))).await;
    let refused = server.master("POST", "/users", r#"{"client_id":"alice"}"#).await;
    assert_eq!(refused.status, 503);
    assert!(refused.text.contains("the disk is full") && !refused.text.contains("bvu_"), "{}", refused.text);
    assert_eq!(server.master("GET", "/users", "").await.json(), json!([]), "nothing is done that is not written down");
    server.stop().await;
}

#[tokio::test]
async fn a_new_master_key_is_handed_over_before_the_start_can_fail() {
    static HANDED: Mutex<Vec<Secret>> = Mutex::new(Vec::new());
    let hand_over = |key: &Secret| {
        HANDED.lock().unwrap().push(key.clone());
        Ok(())
    };
    let config = || Config { master_key: None, new_master_key: Some(Arc::new(hand_over)), ..world::config() };
    let world = World::new().await;
    let (ctx, taken) =
        (world.ctx(), || bowline_base::Fault::new(bowline_base::Kind::Unreachable, "tunnel", "the port is taken"));
    let (store, recorder) = (world.store(Kind::File), Arc::new(|_: &_| Ok(())));
    let failed = Server::start(&ctx, config(), store, Box::new(move |_| Err(taken())), recorder.clone()).await;
    assert!(failed.is_err_and(|fault| fault.to_string().contains("taken")));
    let server = world.serve_with(Kind::File, config(), recorder).await;
    let handed = HANDED.lock().unwrap().clone();
    assert_eq!(handed.len(), 1);
    assert_eq!(server.ask("GET", "/users", handed[0].expose(), "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_users_are_there_within_two_seconds_and_one_more_within_one() {
    for kind in BOTH {
        let world = World::new().await;
        let server = world.serve(kind).await;
        server.add("first").await;
        server.stop().await;
        copy_a_thousand_times(&world, kind).await;
        world.cloud().clear_counts();
        let begun = bowline_host::clock::now().boot;
        let server = world.serve(kind).await;
        let started = bowline_host::clock::now().boot - begun;
        assert_eq!(server.peers(), 1001, "{kind:?}");
        let read = world.cloud().counts().sum("ssm.");
        world.cloud().clear_counts();
        let before = bowline_host::clock::now().boot;
        server.add("last").await;
        let added = bowline_host::clock::now().boot - before;
        assert_eq!(server.peers(), 1002, "{kind:?}");
        eprintln!("{kind:?}: started in {started:?}, one added in {added:?}");
        // Ten values a page, and nothing read twice: what AWS's rate allows is the bound there, whatever this machine does.
        let calls = (read, world.cloud().counts().sum("ssm."));
        eprintln!("{kind:?}: {calls:?} calls");
        assert!(calls.0 <= 110 && calls.1 <= 10, "{calls:?}");
        assert!(started < Duration::from_secs(6) && added < Duration::from_secs(3), "{kind:?} {started:?} {added:?}");
        server.stop().await;
    }
}

/// Records with other names and keys.
async fn copy_a_thousand_times(world: &World, kind: Kind) {
    let store = world.store(kind);
    let (values, _) = store.load().await.unwrap();
    let record: Value = serde_json::from_str(values["users/first/record"].text.expose()).unwrap();
    for number in 0..1000_u32 {
        let mut copy = record.clone();
        let key = bowline_tunnel::SecretKey::generate(std::array::from_fn(|at| {
            number.to_be_bytes().get(at).copied().unwrap_or(9)
        }));
        copy["client_id"] = format!("u{number}").into();
        copy["public_key"] = key.public().to_string().into();
        copy["key_sha256"] = format!("{number:064x}").into();
        copy["address"] = format!("10.77.{}.{}", 8 + number / 250, 2 + number % 250).into();
        let (name, text) = (format!("users/u{number}/record"), copy.to_string());
        match kind {
            Kind::File => {
                let path = world.directory().join(&name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::File::create(&path)
                    .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                    .unwrap();
            }
            Kind::Ssm => world.cloud().add_parameter(&format!("/ephem-vpn/{name}"), &text, true),
        }
    }
}

#[tokio::test]
async fn the_description_names_every_path_and_method_and_nothing_more() {
    let world = World::new().await;
    let server = world.serve(Kind::File).await;
    let description = server.ask("GET", "/openapi.json", "", "").await.json();
    assert_eq!(description["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let real = path.replace("{id}", "x").replace("{key}", "x");
        for method in ["get", "put", "post", "patch", "delete"] {
            let status = server.master(&method.to_uppercase(), &real, "").await.status;
            let described = methods.get(method).is_some();
            operations += usize::from(described);
            assert_eq!(status != 405, described, "{method} {path}: {status}");
        }
    }
    assert_eq!(operations, 18);
    let page = server.ask("GET", "/docs", "", "").await;
    assert!(page.text.contains("<code>POST /users/{id}/rotate</code>"));
    for path in ["/", "/app.css", "/app.js"] {
        let answer = server.ask("GET", path, "", "").await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(answer.status == 200 && policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert!(!answer.text.contains("http://") && !answer.text.contains("https://"), "{path} works offline");
    }
    server.stop().await;
}
