//! Who comes in: keys, wrong keys, probes without one.

use bowline_artifacts::{Access, Key, Scheme};
use bowline_base::Secret;

use crate::world::World;

async fn locked() -> World {
    let key = Key { name: "ci".to_owned(), scheme: Scheme::Token, secret: Secret::new("t0ken"), file: None };
    let world = World::with(|config| config.access = Access::Keys(vec![key])).await;
    world.upstream.put("g/a/1.0/a-1.0.jar", "jar", "1");
    world
}

#[tokio::test]
async fn a_key_opens_and_without_one_the_challenge_says_how() {
    let world = locked().await;
    let none = world.get("/g/a/1.0/a-1.0.jar").await;
    assert_eq!((none.status, none.header("x-bowline-reason")), (401, "key"));
    let challenges: Vec<_> = none.headers.get_all("www-authenticate").iter().collect();
    assert!(challenges.len() == 2 && challenges[0].to_str().unwrap().starts_with("Basic "), "{challenges:?}");
    for good in ["Bearer t0ken", "Basic dXNlcjp0MGtlbg=="] {
        let reply = world.ask("GET", "/g/a/1.0/a-1.0.jar", &[("authorization", good)]).await.unwrap();
        assert_eq!(reply.body, b"jar", "{good}");
    }
    assert_eq!(world.ask("GET", "/", &[("authorization", "Bearer other")]).await.unwrap().status, 401);
}

#[tokio::test]
async fn a_probe_learns_a_word_and_a_guesser_has_to_wait() {
    let world = locked().await;
    assert_eq!(world.get("/healthz").await.body, b"{\"status\":\"ok\"}\n");
    for _ in 0..10 {
        world.ask("GET", "/x", &[("authorization", "Bearer guess")]).await.unwrap();
    }
    let reply = world.ask("GET", "/x", &[("authorization", "Bearer t0ken")]).await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (429, "61"));
}
