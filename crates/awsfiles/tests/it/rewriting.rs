//! Changes on a real disk: whole or not at all, one writer after the other, modes and links kept.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use base::Fault;
use bowline_awsfiles::{Config, Document, EditError, Locations, Outcome, RewriteError, Rule, SectionName, rewrite};
use bowline_base as base;

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config");
    (home, path)
}

fn put(path: &Path, contents: &str, mode: u32) {
    base::atomic::write(path, contents.as_bytes(), mode).unwrap();
}

fn set(name: &str) -> impl FnOnce(&mut Document) -> Result<(), EditError> {
    let section = SectionName::Credentials(name.to_owned());
    move |document| document.set(&section, "region", "r")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_file_is_private_and_so_is_its_directory() {
    let (home, _) = home();
    let path = home.path().join(".aws/config");
    let outcome = rewrite(&path, Rule::Config, set("a")).unwrap();
    assert_eq!(outcome, Outcome { changed: true, ..Outcome::default() });
    assert_eq!(fs::read_to_string(&path).unwrap(), "[a]\nregion = r\n");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_config_file_keeps_its_mode_and_a_credentials_file_is_tightened() {
    let (_home, path) = home();
    put(&path, "", 0o644);
    assert!(!rewrite(&path, Rule::Config, set("a")).unwrap().tightened);
    assert_eq!(mode(&path), 0o644);
    assert!(rewrite(&path, Rule::Credentials, set("a")).unwrap().tightened);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_file_of_somebody_else_stays_theirs() {
    let (_home, path) = home();
    put(&path, "", 0o600);
    std::os::unix::fs::chown(&path, Some(12345), Some(12345)).ok();
    let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
    let before = owner(&path);
    rewrite(&path, Rule::Config, set("a")).unwrap();
    assert_eq!(owner(&path), before);
}

#[test]
fn no_change_writes_nothing() {
    let (_home, path) = home();
    put(&path, "[a]\nregion=r", 0o644);
    let inode = fs::metadata(&path).unwrap().ino();
    assert_eq!(rewrite(&path, Rule::Config, set("a")).unwrap(), Outcome::default());
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
}

#[test]
fn links_stay_links_and_a_dangling_one_gets_its_target() {
    let (home, path) = home();
    symlink("dotfiles/config", &path).unwrap();
    rewrite(&path, Rule::Config, set("a")).unwrap();
    rewrite(&path, Rule::Config, set("b")).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    let target = home.path().join("dotfiles/config");
    assert_eq!(fs::read_to_string(&target).unwrap(), "[a]\nregion = r\n[b]\nregion = r\n");
}

#[test]
fn fifty_writers_of_fifty_profiles_leave_fifty_profiles() {
    let (home, path) = home();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let path = &path;
            scope.spawn(move || rewrite(path, Rule::Credentials, set(&format!("p{number}"))).unwrap());
        }
    });
    let locations =
        Locations { config: home.path().join("none"), credentials: path, sso_cache: home.path().join("none") };
    assert_eq!(Config::load(&locations).unwrap().profiles().count(), 50);
}

#[test]
fn what_another_program_wrote_meanwhile_is_not_lost() {
    let (_home, path) = home();
    put(&path, "[a]\n", 0o600);
    let error = rewrite(&path, Rule::Config, |document| {
        put(&path, "[theirs]\n", 0o600);
        set("a")(document)
    })
    .unwrap_err();
    assert!(matches!(error, RewriteError::Raced(_)));
    assert_eq!(fs::read_to_string(&path).unwrap(), "[theirs]\n");
    assert_eq!(Fault::from(error).hint.as_deref(), Some("run the command again"));
}

#[test]
fn an_edit_that_fails_changes_nothing_and_leaves_nothing_but_the_lock() {
    let (home, path) = home();
    put(&path, "[a]\nx = 1\nx = 2\n", 0o644);
    let fault = Fault::from(rewrite(&path, Rule::Credentials, set("b")).unwrap_err());
    assert_eq!(fault.origin, format!("{}:3", path.display()));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("[a]\nx = 1\nx = 2\n", 0o644));
    let mut names: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".config.bowline-lock", "config"]);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_an_error_with_a_hint() {
    let (home, path) = home();
    put(&path, "a file where a directory should be", 0o600);
    let below = path.join("config");
    let fault = Fault::from(rewrite(&below, Rule::Config, set("a")).unwrap_err());
    assert!(fault.message.starts_with("cannot "), "{}", fault.message);
    assert!(fault.hint.unwrap().contains("ls -ld"));
    fs::set_permissions(home.path(), Permissions::from_mode(0o500)).unwrap();
    let closed = rewrite(&path, Rule::Config, set("a"));
    fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(closed.is_err(), "it holds no section, so even root gets an error");
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file where a directory should be");
}
