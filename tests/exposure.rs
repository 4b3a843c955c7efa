//! Where secrets may not be: in the arguments and the environment of a process, and in a file that others can read.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use bowline_fakeaws::Bucket;

use crate::harness::{Raise, World, is_private};

/// The arguments of every process on this machine, while it lasts.
fn arguments_of_all() -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok()).map(text).collect()
}

/// The environment of every process that has this world's home: others have secrets of worlds of their own there.
fn environments_of(home: &Path) -> Vec<String> {
    let named = format!("HOME={}\0", home.display());
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let all = processes.filter_map(|process| fs::read(process.path().join("environ")).ok()).map(text);
    all.filter(|environment| environment.contains(&named)).collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

#[test]
fn no_process_has_a_secret_in_its_arguments_and_no_file_shows_one_to_others() {
    let world = World::new("exposure", |_| {});
    world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                seen.extend(arguments_of_all());
                seen.extend(environments_of(&world.path("").components().collect::<PathBuf>()));
                seen.sort();
                seen.dedup();
            }
            seen
        });
        let working = Raise(&done);
        assert_eq!(world.run(&["login", "build", "--device"]).code, Some(0));
        let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven\"\n");
        for arguments in [&["creds", "build"][..], &["creds", "deploy"], &["status"], &["exec", "build", "--", "true"]]
        {
            assert_eq!(world.run(arguments).code, Some(0), "{arguments:?}");
        }
        assert_eq!(daemon.stop().0.code, Some(0));
        drop(working);
        watch.join().unwrap()
    });
    assert!(seen.iter().any(|arguments| arguments.contains("creds\0deploy")), "the watch saw the program itself");
    assert!(seen.iter().any(|environment| environment.contains("XDG_RUNTIME_DIR=")), "and what it was given");
    world.keep("arguments", seen.join("\n").as_bytes());
    let secrets = world.cloud().secrets_in_play();
    assert!(secrets.len() >= 5, "there were secrets to find");
    let mut holders = 0;
    for secret in &secrets {
        assert!(
            !seen.iter().any(|arguments| arguments.contains(secret.expose())),
            "a secret in arguments or environment"
        );
    }
    for file in files(&world.path("")) {
        let contents = text(fs::read(&file).unwrap());
        if secrets.iter().any(|secret| contents.contains(secret.expose())) {
            holders += 1;
            assert!(is_private(&file), "others may read {}", file.display());
        }
    }
    assert!(holders >= 1, "the token file at least holds some");
}
