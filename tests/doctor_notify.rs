//! The doctor on `[notify]`: each channel good and bad; and what `--fix` does besides modes of the AWS files.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use rustix::process::Signal;

use crate::{
    doctor::{Found, doctor},
    harness::{World, free_address, is_private},
};

/// `bowline.toml` with `text`, and what the doctor says of `part`.
fn look(world: &World, part: &[&str], text: &str, variables: &[(&str, &str)]) -> Found {
    world.write("bowline.toml", text);
    let config = world.path("bowline.toml").display().to_string();
    doctor(world, &[part, &["--config", &config]].concat(), variables)
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A server that answers anything; its address, and the first line of each request.
fn server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (told, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).ok();
            (&stream).write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").ok();
            told.send(line).ok();
        }
    });
    (address, heard)
}

#[test]
fn every_channel_is_looked_at_and_nothing_is_sent() {
    let world = World::new("doctor-notify", |_| {});
    let notify = |part: &str| look(&world, &["notify"], part, &[("PATH", "/usr/bin:/bin")]);
    notify("").is("notify.channels", "ok");
    world.write("key", "of-the-webhook-0123456789");
    let (key, needs) = (world.path("key"), world.path("needs/all.txt"));
    let text = |server: &str, program: &str, file: &Path| {
        format!(
            "[notify]\ncommand = [\"{program}\", \"me\"]\nfile = \"{}\"\n\
             webhook = {{ url = \"{server}/t0ken-of-the-path\", secret = {{ file = \"{}\" }} }}\n",
            file.display(),
            key.display()
        )
    };
    let (server, heard) = server();
    let good = notify(&text(&server, "sh", &needs));
    for id in ["notify.channels", "notify.webhook", "notify.command", "notify.file"] {
        good.is(id, "ok");
    }
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["GET / HTTP/1.1\r\n"]);
    let dead = format!("http://{}", free_address());
    let bad = notify(&text(&dead, "no-such-pager", &key.join("needs.txt")));
    for (id, words) in
        [("notify.webhook", "refused"), ("notify.command", "no-such-pager"), ("notify.file", "not a directory")]
    {
        bad.is(id, "failed");
        assert!(bad.words(id).contains(words), "{}", bad.said);
    }
    assert!(!good.said.contains("t0ken") && !bad.said.contains("t0ken"), "a path may be a secret: {}", bad.said);
    fs::remove_file(&key).unwrap();
    notify(&text(&server, "sh", &needs)).is("notify.webhook", "failed");
    let session = [("PATH", "/nowhere"), ("DISPLAY", ":0")];
    look(&world, &["notify"], "", &session).is("notify.desktop", "degraded");
    let none = notify("[notify]\ndesktop = true\n");
    none.is("notify.channels", "failed");
    assert!(none.words("notify.channels").contains("no desktop"), "{}", none.said);
}

#[test]
fn fix_removes_the_socket_of_a_dead_daemon_and_closes_a_live_ones() {
    let world = World::new("doctor-socket", |_| {});
    let socket = world.path("run/bowline/sock");
    let mut daemon = world.daemon("[[artifacts.repository]]\nfrom = \"/\"\n");
    let config = daemon.config.to_str().unwrap().to_owned();
    let fix = || doctor(&world, &["daemon", "--fix", "--config", &config], &[]);
    mode(&socket, 0o666);
    let closed = fix();
    assert!(closed.said.contains(&format!("fixed: chmod 600 {}", socket.display())), "{}", closed.said);
    closed.is("daemon.socket", "ok");
    assert!(is_private(&socket) && daemon.process.runs());
    daemon.process.signal(Signal::KILL);
    daemon.process.finish(std::time::Duration::from_secs(10));
    assert!(socket.exists(), "a killed process leaves it");
    let seen = doctor(&world, &["daemon", "--config", &config], &[]);
    seen.is("daemon.socket", "degraded");
    assert!(socket.exists(), "looking changes nothing");
    let removed = fix();
    assert!(removed.said.contains(&format!("fixed: rm {}", socket.display())), "{}", removed.said);
    assert!(!socket.exists());
}

#[test]
fn fix_lets_granted_users_through_and_leaves_a_home_as_it_is() {
    let world = World::new("doctor-granted", |_| {});
    let granted = "[[grant]]\nuid = 64917\nprofiles = [\"build\"]\n";
    let daemon = world.daemon(&format!("[[artifacts.repository]]\nfrom = \"/\"\n{granted}"));
    let config = daemon.config.to_str().unwrap().to_owned();
    let (directory, socket) = (world.path("run/bowline"), world.path("run/bowline/sock"));
    mode(&directory, 0o775);
    let fixed = doctor(&world, &["daemon", "--fix", "--config", &config], &[]);
    assert!(fixed.said.contains(&format!("fixed: chmod 755 {}", directory.display())), "{}", fixed.said);
    fixed.is("daemon.socket", "ok");
    // Whoever puts the socket into a directory of more than ours hears what to type.
    let (home, moved) = (world.path("shared"), world.path("shared/sock"));
    fs::create_dir(&home).unwrap();
    mode(&home, 0o775);
    fs::rename(&socket, &moved).unwrap();
    let told =
        doctor(&world, &["daemon", "--fix", "--config", &config], &[("BOWLINE_SOCKET", moved.to_str().unwrap())]);
    told.is("daemon.socket", "failed");
    assert!(!told.said.contains("fixed:"), "{}", told.said);
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o775);
}

#[test]
fn what_the_jobs_keep_and_are_given_is_closed_too() {
    let world = World::new("doctor-jobs", |_| {});
    for folder in ["audit", "vpn-users"] {
        world.write(&format!("{folder}/x"), "x");
        mode(&world.path(folder), 0o750);
    }
    let secrets = ["master", "hook", "token", "site.key"];
    for name in secrets {
        world.write(name, "0123456789abcdef0123456789");
        mode(&world.path(name), 0o644);
    }
    let at = |name: &str| world.path(name).display().to_string();
    let text = format!(
        "[audit]\npath = \"{}\"\n[notify]\nwebhook = {{ url = \"https://h/\", secret = {{ file = \"{}\" }} }}\n\
         [vpn]\nstore = \"file:{}\"\nmaster-key = {{ file = \"{}\" }}\n\
         [artifacts]\naccess = {{ tokens = [{{ name = \"ci\", file = \"{}\" }}] }}\ntls = {{ certificate = \"{}\", private-key = \"{}\" }}\n\
         [[artifacts.repository]]\nfrom = \"/\"\n",
        at("audit"),
        at("hook"),
        at("vpn-users"),
        at("master"),
        at("token"),
        at("site.pem"),
        at("site.key")
    );
    let fixed = look(&world, &["files", "--fix"], &text, &[]);
    for name in ["audit", "vpn-users"] {
        assert!(fixed.said.contains(&format!("fixed: chmod 700 {}", at(name))), "{}", fixed.said);
    }
    for name in secrets {
        assert!(fixed.said.contains(&format!("fixed: chmod 600 {}", at(name))), "{}", fixed.said);
        assert!(is_private(&world.path(name)));
    }
    fixed.is("files.mode", "ok");
}
