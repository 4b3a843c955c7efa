//! One suite for both stores: what the server relies on, whichever it is given.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use bowline_base::Secret;
use bowline_fakeaws::{Effect, Fault};
use bowline_vpn::server::{
    keygen,
    store::{Changes, FileStore, Store, StoreError, Value},
};

use crate::world::{BOTH, Kind, World};

fn value(text: &str) -> Value {
    Value::sealed(Secret::new(text))
}

fn name(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

/// What is told since `mark`, as text by name; everything counts as told.
async fn told(store: &dyn Store, mark: &mut bowline_vpn::server::store::Mark) -> BTreeMap<String, Option<String>> {
    let Some((changes, next)) = store.changes(mark).await.unwrap() else { return BTreeMap::new() };
    *mark = next;
    let text = |value: Value| value.text.expose().to_owned();
    match changes {
        Changes::Some(some) => some.into_iter().map(|(name, value)| (name, value.map(text))).collect(),
        Changes::All(all) => all.into_iter().map(|(name, value)| (name, Some(text(value)))).collect(),
    }
}

#[tokio::test]
async fn a_value_is_made_once_replaced_and_removed_once() {
    for kind in BOTH {
        let world = World::new().await;
        let (one, other) = (world.store(kind), world.store(kind));
        one.create("users/alice/record", &value("1")).await.unwrap();
        let again = other.create("users/alice/record", &value("2")).await;
        assert!(matches!(again, Err(StoreError::Taken(name)) if name == "users/alice/record"), "{kind:?}");
        other.replace("users/alice/record", &value("3")).await.unwrap();
        other.replace("users/alice/usage", &value("4")).await.unwrap();
        let (values, _) = one.load().await.unwrap();
        assert_eq!(values["users/alice/record"], value("3"), "{kind:?}");
        assert_eq!(values.len(), 2, "{kind:?}");
        assert_eq!(one.get("users/alice/record").await.unwrap(), Some(value("3")), "{kind:?}");
        assert_eq!(one.get("users/bob/record").await.unwrap(), None, "{kind:?}");
        let (first, second) = tokio::join!(one.remove("users/alice/record"), other.remove("users/alice/record"));
        assert!(first.unwrap() != second.unwrap(), "one of two is told that it was them: {kind:?}");
        assert_eq!(one.load().await.unwrap().0.len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn of_many_who_make_one_name_one_wins() {
    for kind in BOTH {
        let world = World::new().await;
        let tries = (0..12).map(|number| {
            let store = world.store(kind);
            async move { store.create("wg/server-private-key", &value(&number.to_string())).await.is_ok() }
        });
        let mut won = 0;
        let tries: Vec<_> = tries.map(Box::pin).collect();
        for outcome in futures_of(tries).await {
            won += usize::from(outcome);
        }
        assert_eq!(won, 1, "{kind:?}");
    }
}

/// All at once.
async fn futures_of<F: Future<Output = bool> + Send + 'static>(all: Vec<std::pin::Pin<Box<F>>>) -> Vec<bool> {
    let mut set = tokio::task::JoinSet::new();
    for one in all {
        set.spawn(one);
    }
    set.join_all().await
}

#[tokio::test]
async fn what_another_server_changes_is_told_and_nothing_twice() {
    for kind in BOTH {
        let world = World::new().await;
        let (writer, reader) = (world.store(kind), world.store(kind));
        writer.create("users/old/record", &value("0")).await.unwrap();
        let (_, mut mark) = reader.load().await.unwrap();
        assert_eq!(told(&*reader, &mut mark).await, BTreeMap::new(), "{kind:?}");
        writer.create("users/alice/record", &value("1")).await.unwrap();
        writer.announce(&name("users/alice/record")).await.unwrap();
        writer.remove("users/old/record").await.unwrap();
        writer.announce(&name("users/old/record")).await.unwrap();
        let expected = [("users/alice/record".to_owned(), Some("1".to_owned())), ("users/old/record".to_owned(), None)];
        assert_eq!(told(&*reader, &mut mark).await, expected.into(), "{kind:?}");
        assert_eq!(told(&*reader, &mut mark).await, BTreeMap::new(), "{kind:?}");
        for number in 0..30 {
            writer.replace(&format!("users/u{number}/record"), &value("x")).await.unwrap();
        }
        let many: Vec<String> = (0..30).map(|number| format!("users/u{number}/record")).collect();
        writer.announce(&many).await.unwrap();
        let seen = told(&*reader, &mut mark).await;
        assert!(many.iter().all(|name| seen.contains_key(name)), "{kind:?} {seen:?}");
    }
}

#[tokio::test]
async fn a_key_is_made_once_and_regenerated_once() {
    for kind in BOTH {
        let world = World::new().await;
        let (store, now) = (world.store(kind), bowline_host::clock::now().wall);
        let (outcome, first) = keygen::run(&*store, None, now).await.unwrap();
        assert_eq!(outcome, keygen::Outcome::Made, "{kind:?}");
        assert_eq!(keygen::run(&*store, None, now).await.unwrap(), (keygen::Outcome::Kept, first), "{kind:?}");
        let config = keygen::KeyConfig::parse(r#"{"regenerate_keys": true}"#).unwrap();
        let (outcome, second) = keygen::run(&*store, Some(&config), now).await.unwrap();
        assert!(outcome == keygen::Outcome::Regenerated && second != first, "{kind:?}");
        assert_eq!(
            keygen::run(&*store, Some(&config), now).await.unwrap(),
            (keygen::Outcome::Kept, second),
            "{kind:?}"
        );
        let (values, _) = store.load().await.unwrap();
        assert_eq!(values["wg/server-public-key"].text.expose(), second.to_string(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_refused() {
    for kind in BOTH {
        let store = World::new().await.store(kind);
        for bad in ["../x", "users/../../x", "/x", "users//x", ".lock", "users/.x/record", "users/a b/record", ""] {
            assert!(store.create(bad, &value("1")).await.is_err(), "{kind:?} {bad}");
        }
    }
}

#[tokio::test]
async fn files_are_the_owners_alone_and_a_crash_between_two_writes_leaves_no_trace() {
    let world = World::new().await;
    let store = world.store(Kind::File);
    store.create("users/alice/record", &value("1")).await.unwrap();
    let file = world.directory().join("users/alice/record");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&world.directory()), mode(file.parent().unwrap())), (0o600, 0o700, 0o700));
    // What a process that was killed leaves behind: a temporary file, an empty folder.
    bowline_base::atomic::write_private(&file.with_file_name(".record.1-1.tmp"), b"half").unwrap();
    std::fs::create_dir(world.directory().join("users/bob")).unwrap();
    let (values, _) = world.store(Kind::File).load().await.unwrap();
    assert_eq!(values.keys().collect::<Vec<_>>(), ["users/alice/record"]);
    store.create("users/bob/record", &value("2")).await.unwrap();
    assert!(store.remove("users/alice/record").await.unwrap());
}

#[tokio::test]
async fn a_store_of_a_later_version_is_left_alone() {
    let world = World::new().await;
    drop(world.store(Kind::File));
    bowline_base::atomic::write_private(&world.directory().join(".format"), b"bowline-vpn-store 2\n").unwrap();
    let fault = FileStore::open(world.directory()).unwrap_err();
    assert!(fault.message.contains("bowline-vpn-store 2"), "{fault}");
}

#[tokio::test]
async fn parameter_store_rides_out_throttling_and_says_why_it_is_away() {
    let world = World::new().await;
    let store = world.store(Kind::Ssm);
    world.cloud().fault(Fault::new("ssm.*", Effect::Throttle).times(2));
    store.create("users/alice/record", &value("1")).await.unwrap();
    world.cloud().fault(Fault::new("ssm.*", Effect::Error { status: 400, code: "AccessDeniedException".to_owned() }));
    let Err(StoreError::Away(fault)) = store.replace("users/alice/record", &value("2")).await else { panic!() };
    assert!(fault.chain().contains("ssm:/ephem-vpn") && fault.chain().contains("Injected"), "{}", fault.chain());
    world.cloud().clear_faults();
    let too_long = store.replace("users/alice/record", &value(&"x".repeat(4097))).await;
    assert!(matches!(too_long, Err(StoreError::Away(_))));
    let kept = world.cloud().parameters();
    assert_eq!(kept, [("/ephem-vpn/users/alice/record".to_owned(), "1".to_owned(), true)]);
}

#[tokio::test]
async fn a_write_that_was_never_announced_is_found_by_reading_everything() {
    let world = World::new().await;
    let (writer, reader) = (world.store(Kind::Ssm), world.store(Kind::Ssm));
    let (_, mut mark) = reader.load().await.unwrap();
    writer.create("users/alice/record", &value("1")).await.unwrap();
    assert_eq!(told(&*reader, &mut mark).await, BTreeMap::new());
    let mut nothing = bowline_vpn::server::store::Mark::default();
    assert!(told(&*reader, &mut nothing).await.contains_key("users/alice/record"));
    let slow = Duration::from_millis(50);
    world.cloud().fault(Fault::new("ssm.GetParameter", Effect::Latency(slow)));
    let stores: Vec<Arc<dyn Store>> = (0..4).map(|_| world.store(Kind::Ssm)).collect();
    for (number, store) in stores.iter().enumerate() {
        let changed = format!("users/u{number}/record");
        store.create(&changed, &value("x")).await.unwrap();
    }
    let names: Vec<Vec<String>> = (0..4).map(|number| name(&format!("users/u{number}/record"))).collect();
    let all = tokio::join!(
        stores[0].announce(&names[0]),
        stores[1].announce(&names[1]),
        stores[2].announce(&names[2]),
        stores[3].announce(&names[3])
    );
    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    let seen = told(&*reader, &mut mark).await;
    assert!((0..4).all(|number| seen.contains_key(&format!("users/u{number}/record"))), "{seen:?}");
}
