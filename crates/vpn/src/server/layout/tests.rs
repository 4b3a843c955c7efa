//! The predecessor's store becomes ours, wherever the work breaks off.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;

use super::*;
use crate::server::samples::at;

fn random() -> impl FnMut() -> Result<[u8; 32], Fault> {
    let mut next = 0;
    move || {
        next += 1;
        Ok([next; 32])
    }
}

fn b64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

/// What Terraform, the one-shot task and the API of the predecessor leave behind.
fn predecessors(key: &Secret, users: u8) -> Values {
    let public = SecretKey::parse(key).unwrap().public().to_string();
    let mut values = Values::new();
    let mut put = |name: &str, text: &str, sealed| {
        values.insert(name.to_owned(), Value { text: Secret::new(text), sealed });
    };
    put(MASTER_KEY, "the-master-key", true);
    put(PRIVATE_KEY, key.expose(), false);
    put(PRIVATE_KEY_B64, &b64(key.expose()), true);
    put(PUBLIC_KEY, &public, false);
    put(PUBLIC_KEY_B64, &b64(&public), false);
    put(KEY_METADATA, "{}", false);
    for number in 0..users {
        put(&format!("users/user-{number}/api-key"), &format!("key-of-{number}"), true);
        put(&format!("users/user-{number}/created-at"), "2025-01-02T03:04:05.678901", false);
        put(&format!("users/user-{number}/status"), if number == 0 { "inactive" } else { "active" }, false);
    }
    values
}

fn plan(values: &Values) -> Vec<Step> {
    let (_, mut steps) = server_key(values, &mut random()).unwrap();
    steps.extend(migrate_users(values, &Subnet::default(), at(0), &mut random()).unwrap());
    steps
}

/// As AWS does it: a type never changes.
fn make(values: &mut Values, step: Step) {
    match step {
        Step::Create(name, value) => drop(values.entry(name).or_insert(value)),
        Step::Replace(name, value) => {
            assert_eq!(values.get(&name).map(|old| old.sealed), Some(value.sealed), "{name}");
            values.insert(name, value);
        }
        Step::Remove(name) => drop(values.remove(&name)),
    }
}

#[test]
fn the_predecessors_layout_becomes_ours() {
    let key = SecretKey::generate([9; 32]).to_base64();
    let mut values = predecessors(&key, 2);
    plan(&values).into_iter().for_each(|step| make(&mut values, step));
    let names: Vec<&str> = values.keys().map(String::as_str).collect();
    let expected = [MASTER_KEY, "users/user-0/record", "users/user-1/record", KEY_METADATA, PRIVATE_KEY, PUBLIC_KEY];
    assert_eq!(names, expected);
    assert_eq!(values[PRIVATE_KEY], Value::sealed(key));
    let user = |name: &str| User::from_record(&values[&format!("users/{name}/record")].text).unwrap();
    assert!(user("user-0").disabled && !user("user-1").disabled);
    assert!(user("user-1").key.matches(&KeyHash::of(&Secret::new("key-of-1"))));
    assert_eq!(bowline_base::utc(user("user-1").created_at), "2025-01-02T03:04:05Z");
    assert_eq!(plan(&values), []);
}

proptest! {
    /// Killed after every number of steps, again and again: nothing is lost and the end is the same.
    #[test]
    fn it_may_break_off_anywhere(cuts in proptest::collection::vec(0_usize..7, 0..6)) {
        let key = SecretKey::generate([9; 32]).to_base64();
        let mut values = predecessors(&key, 3);
        for cut in cuts {
            for step in plan(&values).into_iter().take(cut) {
                make(&mut values, step);
            }
            let (found, _) = server_key(&values, &mut random()).unwrap();
            prop_assert_eq!(&found, &key);
            for number in 0..3 {
                let has = |part: &str| values.contains_key(&format!("users/user-{number}/{part}"));
                prop_assert!(has("record") || has("api-key"));
            }
        }
        plan(&values).into_iter().for_each(|step| make(&mut values, step));
        prop_assert_eq!(plan(&values), []);
        let sealed = values.iter().filter(|(_, value)| value.text == key);
        prop_assert_eq!(sealed.map(|(name, value)| (name.as_str(), value.sealed)).collect::<Vec<_>>(), [(PRIVATE_KEY, true)]);
    }
}

#[test]
fn a_store_without_a_key_gets_one_and_two_different_ones_are_not_chosen_between() {
    let (key, steps) = server_key(&Values::new(), &mut random()).unwrap();
    assert_eq!(steps[0], Step::Create(PRIVATE_KEY.to_owned(), Value::sealed(key.clone())));
    let mut values = predecessors(&key, 0);
    let other = SecretKey::generate([77; 32]).to_base64();
    values.insert(PRIVATE_KEY.to_owned(), Value::sealed(other));
    assert_eq!(server_key(&values, &mut random()).unwrap().0, key, "the public key says which");
    values.remove(PUBLIC_KEY);
    values.remove(PUBLIC_KEY_B64);
    assert!(server_key(&values, &mut random()).unwrap_err().message.contains("two different"));
    values.insert(PRIVATE_KEY.to_owned(), Value::plain("nonsense"));
    assert!(server_key(&values, &mut random()).unwrap_err().message.contains("no private key"));
}
