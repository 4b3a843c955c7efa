//! Memory and disk say the same, whatever is done in whatever order, by one process or by two.

#![cfg(test)]

use std::{sync::Arc, time::Duration};

use bowline_base::Timestamp;
use bowline_host::mapped::Maps;
use proptest::prelude::*;

use crate::{
    copy::{self, Copy, SMALL},
    memory::BELIEVED,
    record::{Id, Record},
    store::Store,
    upstream::Head,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Byte `1` so many times, validated at second `2`.
    Keep(u8, u8, u64, i64),
    Forget(u8),
    Confirm(u8, i64),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0_u8..5;
    let length = prop_oneof![0_u64..3000, Just(SMALL), SMALL + 1..SMALL + 5000];
    prop_oneof![
        (name.clone(), any::<u8>(), length, 0_i64..1000)
            .prop_map(|(n, byte, length, at)| Step::Keep(n, byte, length, at)),
        name.clone().prop_map(Step::Forget),
        (name, 0_i64..1000).prop_map(|(name, at)| Step::Confirm(name, at)),
    ]
}

fn id(name: u8) -> Id {
    Id::of("o", &name.to_string())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn act(store: &Arc<Store>, step: Step) {
    match step {
        Step::Keep(name, byte, length, second) => {
            let head = Head { length, ..Head::default() };
            let record = Record {
                origin: "o".to_owned(),
                key: name.to_string(),
                head,
                stored_at: at(second),
                fingerprint: None,
            };
            let draft = store.begin(id(name), &record).unwrap();
            draft.write(0, &vec![byte; length as usize]).unwrap();
            draft.keep(at(second)).unwrap();
        }
        Step::Forget(name) => store.forget(id(name)),
        Step::Confirm(name, second) => store.confirm(id(name), at(second)),
    }
}

/// What can be told of a copy from outside.
fn told(copy: Option<&Copy>) -> Option<(Timestamp, u64, Vec<u8>)> {
    let copy = copy?;
    let bytes = match &copy.bytes {
        copy::Held::Whole(bytes) => bytes.to_vec(),
        copy::Held::Open(opened) => {
            let mut bytes = vec![0; copy.record.head.length as usize];
            std::os::unix::fs::FileExt::read_exact_at(&*opened.file, &mut bytes, opened.offset).unwrap();
            assert!(opened.mapped.as_ref().is_none_or(|mapped| *mapped == bytes));
            bytes
        }
    };
    Some((copy.validated, copy.record.head.length, bytes))
}

/// As the proxy does it.
fn served(store: &Store, name: u8, now: Duration) -> Option<Arc<Copy>> {
    store.recall(id(name), now).unwrap_or_else(|| store.look(id(name)).unwrap())
}

fn on_disk(home: &std::path::Path, name: u8) -> Option<Copy> {
    let name = id(name).to_string();
    copy::open(&home.join("v1").join(&name[..2]).join(&name), &Maps::default()).ok().flatten()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Room for about two big copies on disk, and for few small ones in memory: both evict.
    #[test]
    fn what_this_process_does_is_seen_at_once(steps in prop::collection::vec(step(), 0..25)) {
        let home = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(home.path(), 600_000, 8000, 1).unwrap());
        for step in steps {
            act(&store, step);
            for name in 0..5 {
                let copy = served(&store, name, Duration::ZERO);
                prop_assert_eq!(told(copy.as_deref()), told(on_disk(home.path(), name).as_ref()), "{:?}", step);
            }
        }
    }

    #[test]
    fn what_another_process_does_is_seen_in_time(steps in prop::collection::vec((any::<bool>(), step()), 0..25)) {
        let home = tempfile::tempdir().unwrap();
        let ours = Arc::new(Store::open(home.path(), 600_000, 1 << 20, 1).unwrap());
        let theirs = Arc::new(Store::open(home.path(), 600_000, 1 << 20, 2).unwrap());
        let mut now = Duration::ZERO;
        for (is_ours, step) in steps {
            act(if is_ours { &ours } else { &theirs }, step);
            now += BELIEVED;
            for store in [&ours, &theirs] {
                for name in 0..5 {
                    let copy = served(store, name, now);
                    prop_assert_eq!(told(copy.as_deref()), told(on_disk(home.path(), name).as_ref()), "{:?}", step);
                }
            }
        }
    }
}
