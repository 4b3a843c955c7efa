//! A text in the vault instead of a key: named by `bowline.toml`, and held by no other file.

use std::{fs, time::Duration};

use crate::{
    harness::{Client, free_address, until},
    vault::{headless, said, world},
};

#[test]
fn a_token_in_the_vault_opens_the_repository() {
    const TOKEN: &str = "a-token-that-no-file-holds";
    let (world, _) = world("vault-text");
    let (recovery, place) = (world.path("recovery.txt"), free_address());
    world.write("token", &format!("{TOKEN}\n"));
    world.write("files/x.txt", "hello");
    let keep = |more: &[&str]| {
        let mut command = headless(&world, &["vault", "add", "farm", "--text", "--file"]);
        said(command.arg(world.path("token")).args(more))
    };
    let kept = keep(&["--recovery-file", recovery.to_str().unwrap()]);
    assert!(kept.code == Some(0) && kept.stderr.contains("{ vault = \"farm\" }"), "{}", kept.stderr);
    fs::remove_file(world.path("token")).unwrap();
    let config = format!(
        "[artifacts]\nlisten = \"{place}\"\ncache = {{ path = \"{}\" }}\n\
         access = {{ tokens = [{{ name = \"farm\", vault = \"farm\" }}] }}\n\
         [[artifacts.repository]]\nfrom = \"{}\"\n",
        world.path("cache").display(),
        world.path("files").display()
    );
    world.write("bowline.toml", &config);
    let config = world.path("bowline.toml").display().to_string();
    let locked = said(&mut world.bowline(&["artifacts", "serve", "--config", &config]));
    assert_eq!(locked.code, Some(5), "nothing opens the vault, and nobody can be asked: {}", locked.stderr);
    let _serving = world.start("serve", &mut headless(&world, &["artifacts", "serve", "--config", &config]));
    until(Duration::from_secs(10), "it listens", || Client::connect(place).is_ok());
    let with = |token: &str| {
        let header = format!("authorization: Bearer {token}\r\n");
        Client::connect(place).unwrap().ask_as(&header, "GET", "/x.txt").unwrap().status
    };
    assert_eq!((with(TOKEN), with("another")), (200, 401));
    world.write("token", "two\nlines");
    let refused = keep(&["--replace"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("not one line"), "{}", refused.stderr);
    world.write("token", "another");
    assert_eq!(keep(&["--replace"]).code, Some(0));
}
