//! The API through curl, schemathesis and zbar; what the program prints, keeps and ends with.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use serde_json::json;

use super::{Vpn, curl};
use crate::harness::{World, python, run, skip, until};

#[test]
fn the_first_start_prints_the_master_key_once_and_keeps_only_its_hash() {
    let world = World::new("vpn-first", |_| {});
    let first = Vpn::serve(&world, &[]);
    assert!(first.master.starts_with("bvm_") && first.master.len() == 47, "{}", first.process.stdout());
    assert!(first.process.stderr().contains("sha256:"), "the pin is in the log: {}", first.process.stderr());
    assert!(!first.process.stderr().contains(&first.master));
    let made = first.json(&world, &["/users", "-d", r#"{"client_id":"alice"}"#]);
    assert_eq!(made["status"], "active");
    let key = made["api_key"].as_str().unwrap();
    for entry in walk(&first.store) {
        let text = fs::read_to_string(&entry).unwrap();
        assert!(!text.contains(&first.master) && !text.contains(key), "{}", entry.display());
        assert_eq!(fs::metadata(&entry).unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.display());
    }
    let (master, key) = (first.master.clone(), key.to_owned());
    first.stop();
    let again = Vpn::serve(&world, &[]);
    assert_eq!(again.master, "", "shown once");
    assert_eq!(curl(&world, again.api, &master, &["/users"]).unwrap().trim(), r#"["alice"]"#);
    assert!(curl(&world, again.api, &key, &["/users/alice"]).unwrap().contains("\"active\""));
    let audit =
        run(&mut world.bowline(&["audit", "query", "--output", "json"]), &world.path("audit"), Duration::from_secs(5));
    assert!(audit.stdout.contains("vpn-changed") && audit.stdout.contains("vpn/alice"), "{}", audit.stdout);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn keys_do_not_travel_in_the_clear_and_the_certificate_is_the_pinned_one() {
    let world = World::new("vpn-tls", |_| {});
    let vpn = Vpn::serve(&world, &[]);
    let https = format!("https://{}/users", vpn.api);
    let mut refused = world.foreign("curl");
    let refused = refused.args(["-sS", "--max-time", "10", &https]).output().unwrap();
    assert!(!refused.status.success(), "no authority vouches for it");
    let mut taken = world.foreign("curl");
    let key = format!("Authorization: Bearer {}", vpn.master);
    let taken = taken.args(["-sSk", "--max-time", "10", &https, "-H", &key]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&taken.stdout).trim(), "[]");
    let mut shown = world.foreign("openssl");
    shown.args(["s_client", "-connect", &vpn.api.to_string(), "-showcerts"]).stdin(std::process::Stdio::null());
    let pem = String::from_utf8_lossy(&shown.output().unwrap().stdout).into_owned();
    world.write("shown.pem", &pem);
    let mut print = world.foreign("openssl");
    print.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(world.path("shown.pem"));
    let printed = String::from_utf8_lossy(&print.output().unwrap().stdout).replace(':', "").to_lowercase();
    let fingerprint = printed.trim().rsplit('=').next().unwrap().to_owned();
    assert!(vpn.process.stderr().contains(&format!("sha256:{fingerprint}")), "{fingerprint} {}", vpn.process.stderr());
}

#[test]
fn the_qr_code_is_read_by_another_program_and_is_the_file() {
    let world = World::new("vpn-qr", |_| {});
    if !std::path::Path::new("/usr/bin/zbarimg").exists() {
        skip!("the QR code: no zbarimg");
    }
    let vpn = Vpn::serve(&world, &[]);
    vpn.ask(&world, &["/users", "-d", r#"{"client_id":"alice"}"#]);
    let file = vpn.ask(&world, &["/users/alice/config"]);
    world.write("qr.pgm", &raster(&vpn.ask(&world, &["/users/alice/qr.svg"])));
    let mut read = world.foreign("zbarimg");
    let read = read.args(["--quiet", "--raw", "--oneshot"]).arg(world.path("qr.pgm")).output().unwrap();
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    assert_eq!(text.trim_end(), file.trim_end(), "{}", String::from_utf8_lossy(&read.stderr));
}

/// The drawing as dots: squares of one size on white, each `M x y h width v height …`.
fn raster(svg: &str) -> String {
    let number =
        |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap();
    let size = number(svg.split("width=\"").nth(1).unwrap());
    let mut dots = vec![255_u8; size * size];
    for square in svg.split("d=\"").nth(1).unwrap().split('M').skip(1) {
        let (x, rest) = square.split_once(' ').unwrap();
        let (x, y) = (number(x), number(rest));
        let side = number(rest.split('h').nth(1).unwrap());
        for row in y..y + side {
            dots[row * size + x..row * size + x + side].fill(0);
        }
    }
    let rows: Vec<String> = dots.chunks(size).map(|row| row.iter().map(|dot| format!("{dot} ")).collect()).collect();
    format!("P2\n{size} {size}\n255\n{}\n", rows.join("\n"))
}

#[test]
fn schemathesis_finds_no_answer_that_the_description_does_not_name() {
    let Some(python) = python() else { skip!("schemathesis: no target/py") };
    let world = World::new("vpn-schemathesis", |_| {});
    let vpn = Vpn::serve(&world, &[]);
    vpn.ask(&world, &["/users", "-d", r#"{"client_id":"alice"}"#]);
    let mut check = python.module(&world, "schemathesis.cli");
    check.args(["run", &format!("http://{}/openapi.json", vpn.api)]);
    check.args(["-H", &format!("Authorization: Bearer {}", vpn.master), "--max-examples", "5", "--seed", "7"]);
    check.args(["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--no-color"]);
    check.args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]);
    let checked = run(&mut check, &world.path("schemathesis"), Duration::from_secs(90));
    assert_eq!(checked.code, Some(0), "{}\n{}", checked.stdout, checked.stderr);
}

/// Ten seconds for a head, ten for a body; meanwhile everybody else is served.
#[test]
fn requests_that_never_end_are_ended() {
    let world = World::new("vpn-slow", |_| {});
    let vpn = Vpn::serve(&world, &[]);
    let post = "POST /users HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\nauthorization: Bearer ";
    let knock = |text: &str| {
        let mut stream = TcpStream::connect(vpn.api).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let slow: Vec<TcpStream> = (0..100).map(|number| knock(["", "POST /users HT", post][number % 3])).collect();
    let mut waiting = knock(&format!("{post}{}\r\n\r\n{{", vpn.master));
    assert_eq!(
        vpn.json(&world, &["/users", "-d", r#"{"client_id":"alice"}"#])["status"],
        "active",
        "others are served"
    );
    let mut status = [0; 12];
    waiting.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 408");
    for mut stream in slow {
        let ended = stream.read_to_end(&mut Vec::new());
        let waited = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        assert!(!waited, "a head that never comes to its end is given up");
    }
}

#[test]
fn an_idle_server_ends_itself_and_a_busy_one_does_not() {
    let world = World::new("vpn-idle", |_| {});
    let mut vpn = Vpn::serve(&world, &["--stop-when-idle", "3s"]);
    until(Duration::from_secs(20), "it ends by itself", || !vpn.process.runs());
    assert!(vpn.process.stderr().contains("ends itself"), "{}", vpn.process.stderr());
}

#[test]
fn keygen_makes_a_key_once_and_another_once_for_a_configuration() {
    let world = World::new("vpn-keygen", |_| {});
    let store = format!("file:{}", world.path("store").display());
    let keygen = |more: &[&str]| {
        let mut command = world.bowline(&["vpn", "keygen", "--store", &store]);
        let done = run(command.args(more), &world.path("keygen"), Duration::from_secs(10));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout.trim().split_once(' ').map(|(word, key)| (word.to_owned(), key.to_owned())).unwrap()
    };
    let (made, first) = keygen(&[]);
    assert_eq!((made.as_str(), keygen(&[])), ("made", ("kept".to_owned(), first.clone())));
    let config = json!({ "key_algorithm": "curve25519", "key_purpose": "wireguard-server", "regenerate_keys": true });
    // A file is known by what it begins with, not by its name.
    world.write("keygen-config", &config.to_string());
    let file = world.path("keygen-config").display().to_string();
    let (again, second) = keygen(&["--config", &file]);
    assert!(again == "regenerated" && second != first);
    assert_eq!(keygen(&["--config", &file]), ("kept".to_owned(), second));
}
