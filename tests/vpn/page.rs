//! The operator's page in headless Chromium: a user is added, seen, disabled and removed; screenshots are kept.

use std::{fs, path::Path, time::Duration};

use super::Vpn;
use crate::harness::{World, python, run, skip};

#[test]
fn an_operator_manages_users_in_chromium() {
    let Some(python) = python() else { skip!("the page: no target/py") };
    if !Path::new("/usr/bin/chromium").exists() {
        skip!("the page: no chromium");
    }
    let world = World::new("vpn-page", |_| {});
    let vpn = Vpn::serve(&world, &[]);
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("screenshots");
    fs::create_dir_all(&shots).unwrap();
    let mut drive = python.script(&world, "vpn_page.py");
    drive.arg(format!("http://{}", vpn.api)).arg(&shots).env("MASTER_KEY", &vpn.master);
    let driven = run(&mut drive, &world.path("drive"), Duration::from_secs(60));
    assert_eq!(driven.code, Some(0), "{}\n{}", driven.stdout, driven.stderr);
}
