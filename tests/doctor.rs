//! The doctor: every check good and bad, in a home folder made so; fixes that fix; nothing secret in what it prints.

use std::{fs, io::Write as _, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use bowline_host::clock;
use jiff::SignedDuration;
use serde_json::Value;

use crate::harness::{World, free_address, is_private, skip};

/// Made up, and in two parts so that no search for keys finds this file.
const KEY: &str = concat!("AKIA", "Q3EGRT4ZK7XPLM2N");
const SECRET: &str = concat!("q7Yz0pLk3/Xw9VtR5nMb", "2sDfGh8jKl1+AaZzQwEr");

/// What `bowline doctor …` found.
pub(crate) struct Found {
    pub(crate) code: Option<i32>,
    checks: Vec<Value>,
    fixed: Vec<Value>,
    pub(crate) said: String,
}

impl Found {
    /// The verdicts of the checks called `id`.
    fn verdicts(&self, id: &str) -> Vec<&str> {
        self.of(id).map(|check| check["verdict"].as_str().unwrap()).collect()
    }

    /// Why and fix of the checks called `id`.
    pub(crate) fn words(&self, id: &str) -> String {
        self.of(id).map(|check| format!("{} {}\n", check["why"], check["fix"])).collect()
    }

    fn of(&self, id: &str) -> impl Iterator<Item = &Value> {
        self.checks.iter().filter(move |check| check["id"] == id)
    }

    #[track_caller]
    pub(crate) fn is(&self, id: &str, verdict: &str) {
        let found = self.verdicts(id);
        assert!(!found.is_empty() && found.iter().all(|one| *one == verdict), "{id} is not {verdict}: {}", self.said);
    }
}

#[track_caller]
pub(crate) fn doctor(world: &World, arguments: &[&str], variables: &[(&str, &str)]) -> Found {
    let mut command = world.bowline(&[&["doctor"], arguments, &["--output", "json"]].concat());
    command.envs(variables.iter().copied());
    let end = world.run_foreign("doctor", &mut command);
    let json: Value = serde_json::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error}: {}", end.stderr));
    let list = |name: &str| json[name].as_array().unwrap().clone();
    Found { code: end.code, checks: list("checks"), fixed: list("fixed"), said: end.stdout + &end.stderr }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn every_id_is_in_the_guide_and_no_other() {
    let world = World::new("doctor-ids", |_| {});
    let listed = doctor_list(&world);
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/doctor.md")).unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let mut described: Vec<String> = rows.map(|(id, _)| id.to_owned()).collect();
    described.sort();
    assert_eq!(listed, described);
}

fn doctor_list(world: &World) -> Vec<String> {
    let end = world.run(&["doctor", "--list", "--output", "json"]);
    let json: Value = serde_json::from_str(&end.stdout).unwrap();
    let mut ids: Vec<String> =
        json["checks"].as_array().unwrap().iter().map(|check| check["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn a_good_home_is_found_good_as_a_whole_and_by_known_ids_only() {
    let world = World::new("doctor-good", |_| {});
    world.sign_in();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{}\"\nkeep-fresh = [\"build\"]\n", free_address()));
    let config = world.path("bowline.toml");
    let found = doctor(&world, &["--fix", "--config", config.to_str().unwrap()], &[]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    let known = doctor_list(&world);
    for check in &found.checks {
        assert!(known.iter().any(|id| check["id"] == id.as_str()), "{check}");
        // Nobody started the daemon that is configured.
        let expected = if check["id"] == "daemon.running" { "degraded" } else { "ok" };
        assert_eq!(check["verdict"], expected, "{}", found.said);
    }
    for id in ["files.toml", "files.aws", "files.profile", "files.legacy-sso", "files.sso-scope", "files.process"] {
        found.is(id, "ok");
    }
    for id in ["sso.session", "sso.scope", "sso.cache", "sso.token", "network.sts", "network.sso", "network.oidc"] {
        found.is(id, "ok");
    }
}

#[test]
fn the_text_is_aligned_and_its_fixes_stand_below() {
    let world = World::new("doctor-text", |_| {});
    world.write(".aws/credentials", "[x]\nregion = y\n");
    mode(&world.path(".aws/credentials"), 0o644);
    let end = world.run(&["doctor", "files"]);
    assert_eq!(end.code, Some(1), "{}", end.stderr);
    let at = end.stdout.find("FAILED    files.mode             `").unwrap_or_else(|| panic!("{}", end.stdout));
    let fix = format!("          fix:  chmod 600 {}", world.path(".aws/credentials").display());
    assert!(end.stdout[at..].lines().nth(1) == Some(&fix), "{}", end.stdout);
    assert!(!end.stdout.contains('\u{1b}'));
}

#[test]
fn mistakes_in_files_are_named_with_their_line_and_their_fix() {
    let world = World::new("doctor-files", |_| {});
    world.configure(
        "[profile orphan]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = biuld\n\
         [profile old]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n\
         sso_account_id = 111122223333\nsso_role_name = build\n\
         [sso-session narrow]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n\
         sso_registration_scopes = codewhisperer:completions\n\
         [profile gone]\ncredential_process = /nowhere/helper --x\n\
         [lonely]\nregion = x\n",
    );
    world.write("bowline.toml", "[daemon]\nkeep-fresh = [\n  \"buidl\",\n]\n");
    let found = doctor(&world, &["files", "--config", world.path("bowline.toml").to_str().unwrap()], &[]);
    assert_eq!(found.code, Some(1), "{}", found.said);
    for (id, verdict, words) in [
        ("files.toml", "failed", "bowline.toml:3:3: profile `buidl`"),
        ("files.aws", "degraded", "write `[profile lonely]`"),
        ("files.profile", "failed", "did you mean `build`?"),
        ("files.legacy-sso", "degraded", "[sso-session main]"),
        ("files.sso-scope", "failed", "sso_registration_scopes = sso:account:access"),
        ("files.process", "failed", "`/nowhere/helper`"),
    ] {
        found.is(id, verdict);
        assert!(found.words(id).contains(words), "{id}: {}", found.words(id));
    }
    world.write("bowline.toml", "[deamon]\n");
    world.write(".aws/config", "region = x\n");
    let broken = doctor(&world, &["files", "--config", world.path("bowline.toml").to_str().unwrap()], &[]);
    broken.is("files.toml", "failed");
    broken.is("files.aws", "failed");
    assert!(broken.words("files.aws").contains("config:1:"), "{}", broken.said);
    let unread = doctor(&world, &["files"], &[("AWS_ENDPOINT_URL", "ftp://x")]);
    unread.is("files.environment", "failed");
}

#[test]
fn fix_closes_what_is_open_and_a_second_look_finds_nothing() {
    let world = World::new("doctor-modes", |_| {});
    world.sign_in();
    world.write(".aws/credentials", &format!("[k]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"));
    let (credentials, token) = (world.path(".aws/credentials"), world.token_file());
    mode(&credentials, 0o644);
    mode(&token, 0o640);
    mode(token.parent().unwrap(), 0o755);
    let before = doctor(&world, &["files"], &[]);
    assert_eq!(before.code, Some(1), "{}", before.said);
    assert_eq!(before.verdicts("files.mode"), ["failed", "degraded", "failed"], "{}", before.said);
    assert!(before.words("files.mode").contains("chmod 700"), "{}", before.said);
    assert!(before.verdicts("files.directory").contains(&"degraded") && before.fixed.is_empty(), "{}", before.said);
    let fixed = doctor(&world, &["files", "--fix"], &[]);
    assert_eq!((fixed.code, fixed.fixed.len()), (Some(0), 4), "{}", fixed.said);
    assert!(fixed.said.contains(&format!("fixed: chmod 600 {}", credentials.display())), "{}", fixed.said);
    assert!([credentials, token].iter().all(|path| is_private(path)) && world.path("run/bowline/leases").is_dir());
    let after = doctor(&world, &["files", "--fix"], &[]);
    after.is("files.mode", "ok");
    after.is("files.directory", "ok");
    assert!(after.fixed.is_empty(), "{}", after.said);
}

#[test]
fn what_belongs_to_another_user_is_named_and_left_alone() {
    let world = World::new("doctor-owner", |_| {});
    world.write(".aws/credentials", "[x]\nregion = y\n");
    if std::os::unix::fs::chown(world.path(".aws/credentials"), Some(65534), None).is_err() {
        skip!("doctor-owner: only root may give files away");
    }
    mode(&world.path(".aws/credentials"), 0o644);
    let found = doctor(&world, &["files", "--fix"], &[]);
    found.is("files.mode", "failed");
    assert!(found.words("files.mode").contains("sudo chown"), "{}", found.said);
    assert_eq!(fs::metadata(world.path(".aws/credentials")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn clocks_are_compared_with_the_date_of_sts() {
    for (skew, verdict) in [(0, "ok"), (90, "degraded"), (-600, "failed")] {
        let world = World::new(&format!("doctor-clock{skew}"), |settings| {
            settings.clock_skew = SignedDuration::from_secs(skew);
        });
        let found = doctor(&world, &["clock"], &[]);
        found.is("clock.drift", verdict);
        assert!(verdict == "ok" || found.words("clock.drift").contains("timedatectl"), "{}", found.said);
    }
    let world = World::new("doctor-no-clock", |_| {});
    let found = doctor(&world, &["clock"], &[("AWS_ENDPOINT_URL_STS", &format!("http://{}", free_address()))]);
    found.is("clock.drift", "degraded");
}

/// Takes connections and says `words`, if anything; it ends with the test.
fn stranger(words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.write_all(words).ok();
            kept.push(stream);
        }
    });
    port
}

#[test]
fn what_cannot_be_reached_is_told_apart_within_seconds() {
    let world = World::new("doctor-network", |_| {});
    world.write(
        "bowline.toml",
        "[audit]\ncloudwatch = { group = \"g\", stream = \"s\", identity = \"build\" }\n\
         [artifacts]\nidentity = \"build\"\n[[artifacts.repository]]\nfrom = \"s3://maven\"\n\
         [identity.site]\nroles-anywhere = { certificate = \"c\", trust-anchor = \"arn:aws:rolesanywhere:eu-central-1:1:trust-anchor/t\", \
         profile = \"arn:aws:rolesanywhere:eu-central-1:1:profile/p\", role = \"arn:aws:iam::1:role/r\" }\n",
    );
    let arguments = ["network", "--config", world.path("bowline.toml").to_str().unwrap()].map(ToOwned::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let all = ["network.sts", "network.sso", "network.oidc", "network.s3", "network.rolesanywhere", "network.logs"];
    let good = doctor(&world, &arguments, &[]);
    assert_eq!(good.code, Some(0), "{}", good.said);
    for id in all {
        good.is(id, "ok");
    }
    assert!(good.words("network.sts").contains("needed by `deploy`"), "{}", good.said);
    let refused = format!("http://{}", free_address());
    let (tls, silent) = (stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n"), stranger(b""));
    let (tls, silent) = (format!("https://127.0.0.1:{tls}"), format!("http://127.0.0.1:{silent}"));
    let begun = clock::now().boot;
    let bad = doctor(
        &world,
        &arguments,
        &[
            ("AWS_ENDPOINT_URL_STS", &refused),
            ("AWS_ENDPOINT_URL_SSO", "https://nobody.invalid"),
            ("AWS_ENDPOINT_URL_SSO_OIDC", &silent),
            ("AWS_ENDPOINT_URL_S3", &tls),
            ("AWS_ENDPOINT_URL_ROLESANYWHERE", &silent),
            ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", &silent),
        ],
    );
    assert!(clock::now().boot - begun < Duration::from_secs(12), "one after the other?");
    assert_eq!(bad.code, Some(1), "{}", bad.said);
    for id in all {
        bad.is(id, "failed");
    }
    for (id, words) in [
        ("network.sts", "refused"),
        ("network.sso", "DNS"),
        ("network.oidc", "no answer in time"),
        ("network.s3", "TLS"),
    ] {
        assert!(bad.words(id).contains(words), "{id}: {}", bad.words(id));
    }
}

#[test]
fn long_lived_keys_are_shown_by_their_last_four_characters() {
    let world = World::new("doctor-keys", |_| {});
    let good = doctor(&world, &["keys"], &[]);
    good.is("keys.file", "ok");
    good.is("keys.environment", "ok");
    world.write(".aws/credentials", &format!("[k]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"));
    let variables = [
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("HTTPS_PROXY", "http://me:hunter2@127.0.0.1:1"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer of-hunter2"),
        ("NO_PROXY", "*"),
    ];
    for part in [&["keys"][..], &[]] {
        let found = doctor(&world, part, &variables);
        found.is("keys.file", "degraded");
        found.is("keys.environment", "degraded");
        assert!(found.words("keys.file").contains("…LM2N"), "{}", found.said);
        for secret in [KEY, SECRET, "hunter2"] {
            assert!(!found.said.contains(secret), "{secret} in: {}", found.said);
        }
    }
}

#[test]
fn proxy_settings_and_bundles_are_judged_and_nothing_else_stops() {
    let world = World::new("doctor-proxy", |_| {});
    world.write("bundle.pem", "nothing\n");
    let bundle = world.path("bundle.pem");
    let wrong = [
        ("HTTPS_PROXY", "socks5://127.0.0.1:1"),
        ("NO_PROXY", "localhost 10.0.0.1"),
        ("AWS_CA_BUNDLE", bundle.to_str().unwrap()),
    ];
    let bad = doctor(&world, &["proxy"], &wrong);
    assert_eq!(bad.code, Some(1), "{}", bad.said);
    bad.is("proxy.syntax", "failed");
    bad.is("proxy.excluded", "degraded");
    bad.is("proxy.ca", "failed");
    doctor(&world, &[], &wrong).is("files.profile", "ok");
    let near = "localhost,127.0.0.0/8,169.254.0.0/16";
    let good = doctor(&world, &["proxy"], &[("https_proxy", "http://127.0.0.1:3128"), ("no_proxy", near)]);
    for id in ["proxy.syntax", "proxy.excluded", "proxy.ca"] {
        good.is(id, "ok");
    }
}

#[test]
fn ports_are_free_ours_or_a_strangers_who_is_named() {
    let world = World::new("doctor-ports", |_| {});
    world.sign_in();
    world.cloud().add_bucket("maven", bowline_fakeaws::Bucket::memory("us-east-1"));
    let endpoint = free_address();
    let repository = "[[artifacts.repository]]\nfrom = \"s3://maven\"\n";
    let daemon = world.daemon(&format!("{repository}[endpoint]\nserve = [\"build\"]\nlisten = \"{endpoint}\"\n"));
    let config = daemon.config.clone();
    let look = || doctor(&world, &["ports", "--config", config.to_str().unwrap()], &[]);
    let ids = ["ports.daemon", "ports.endpoint", "artifacts.port"];
    let ours = look();
    assert_eq!(ours.code, Some(0), "{}", ours.said);
    ids.iter().for_each(|id| assert!(ours.words(id).contains("served by Bowline"), "{}", ours.said));
    let (status, artifacts) = (daemon.status, daemon.artifacts);
    daemon.stop();
    let free = look();
    ids.iter().for_each(|id| assert!(free.words(id).contains("is free"), "{}", free.said));
    let _strangers = [status, endpoint, artifacts].map(|address| TcpListener::bind(address).unwrap());
    let held = look();
    assert_eq!(held.code, Some(1), "{}", held.said);
    let me = format!("process {}", std::process::id());
    for id in ids {
        held.is(id, "failed");
        assert!(!Path::new("/proc/self/fd").exists() || held.words(id).contains(&me), "{}", held.said);
    }
}

#[test]
fn the_daemon_is_asked_how_it_is() {
    let world = World::new("doctor-daemon", |_| {});
    world.sign_in();
    let socket = world.path("run/bowline/sock");
    let mut daemon = world.daemon("[[artifacts.repository]]\nfrom = \"/\"\n");
    let config = daemon.config.to_str().unwrap().to_owned();
    let look = |variables: &[(&str, &str)]| doctor(&world, &["daemon", "--config", &config], variables);
    let good = look(&[]);
    assert_eq!(good.code, Some(0), "{}", good.said);
    for id in ["daemon.running", "daemon.socket", "daemon.version", "daemon.ready"] {
        good.is(id, "ok");
    }
    let other = look(&[("AWS_CONFIG_FILE", "/etc/aws")]);
    other.is("daemon.running", "degraded");
    assert!(other.words("daemon.running").contains("same HOME"), "{}", other.said);
    mode(&socket, 0o666);
    look(&[]).is("daemon.socket", "degraded");
    mode(socket.parent().unwrap(), 0o777);
    look(&[]).is("daemon.socket", "failed");
    mode(socket.parent().unwrap(), 0o700);
    assert!(daemon.process.runs());
    daemon.stop();
    look(&[]).is("daemon.running", "degraded");
    doctor(&world, &["daemon"], &[]).is("daemon.running", "ok");
}

#[test]
fn another_version_and_an_unready_daemon_are_told() {
    let world = World::new("doctor-version", |_| {});
    let page = free_address();
    world.write("bowline.toml", &format!("[daemon]\nlisten = \"{page}\"\n"));
    let config = world.path("bowline.toml");
    fs::create_dir_all(world.path("run/bowline")).unwrap();
    let sockets = std::os::unix::net::UnixListener::bind(world.path("run/bowline/sock")).unwrap();
    std::thread::spawn(move || sockets.incoming().for_each(|stream| answer(stream.unwrap(), r#"{"version":"0.0.1"}"#)));
    let pages = TcpListener::bind(page).unwrap();
    let unready = r#"{"status":"failed","checks":[{"id":"a.b","verdict":"failed","why":"broken","fix":"mend it"}]}"#;
    std::thread::spawn(move || pages.incoming().for_each(|stream| answer(stream.unwrap(), unready)));
    let found = doctor(&world, &["daemon", "--config", config.to_str().unwrap()], &[]);
    found.is("daemon.version", "degraded");
    found.is("daemon.ready", "failed");
    assert!(found.words("daemon.ready").contains("mend it"), "{}", found.said);
}

/// One question is read, and answered with `body`.
fn answer(mut stream: impl std::io::Read + std::io::Write, body: &str) {
    let mut read = [0; 4096];
    if stream.read(&mut read).is_ok_and(|length| length > 0) {
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").ok();
    }
}

#[test]
fn an_endpoint_in_the_environment_is_tried() {
    let world = World::new("doctor-uri", |_| {});
    let look = |uri: &str, token: &str| {
        let variables =
            [("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)];
        doctor(&world, &["daemon"], &variables)
    };
    let dead = look(&format!("http://{}/v1/role/build", free_address()), "");
    dead.is("daemon.container-uri", "failed");
    assert!(dead.words("daemon.container-uri").contains("unset AWS_CONTAINER"), "{}", dead.said);
    look(world.endpoint(), "").is("daemon.container-uri", "ok");
    look(world.endpoint(), "/nowhere/token").is("daemon.container-uri", "failed");
}

#[test]
fn sign_in_and_repository_are_looked_at_too() {
    let world = World::new("doctor-rest", |_| {});
    let signed_out = doctor(&world, &["sso", "build"], &[]);
    signed_out.is("sso.session", "ok");
    signed_out.is("sso.token", "failed");
    doctor(&world, &["sso", "nobody"], &[]).is("sso.profile", "failed");
    world.configure(
        "[sso-session bare]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n\
         [profile legacy]\nsso_start_url = https://x.awsapps.com/start\nsso_region = us-east-1\n\
         sso_account_id = 1\nsso_role_name = r\n",
    );
    doctor(&world, &["sso", "bare"], &[]).is("sso.scope", "degraded");
    doctor(&world, &["sso", "legacy"], &[]).is("sso.session", "failed");
    fs::remove_dir_all(world.path(".aws/sso")).unwrap();
    world.write(".aws/sso", "in the way");
    doctor(&world, &["sso", "build"], &[]).is("sso.cache", "failed");
    doctor(&world, &["artifacts"], &[]).is("artifacts.config", "failed");
    world.write(
        "bowline.toml",
        &format!(
            "[artifacts]\nlisten = \"{}\"\n[[artifacts.repository]]\nfrom = \"/nowhere/at/all\"\n\
             [[artifacts.repository]]\npath = \"/x\"\nfrom = \"/\"\n",
            free_address()
        ),
    );
    let found = doctor(&world, &["artifacts", "--config", world.path("bowline.toml").to_str().unwrap()], &[]);
    found.is("artifacts.config", "ok");
    found.is("artifacts.port", "ok");
    assert_eq!(found.verdicts("artifacts.upstream"), ["failed", "ok"], "{}", found.said);
}

#[test]
fn keys_that_lie_in_a_tree_are_found_as_json_and_never_shown() {
    let world = World::new("doctor-scan", |_| {});
    world.write("tree/.env", &format!("A=1\nAWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"));
    let tree = world.path("tree");
    let scan = world.run(&["audit", "scan", tree.to_str().unwrap(), "--output", "json"]);
    assert_eq!(scan.code, Some(1), "{}", scan.stderr);
    let json: Value = serde_json::from_str(&scan.stdout).unwrap();
    let finding = &json["findings"][0];
    assert_eq!((&finding["line"], &finding["kind"]), (&3.into(), &"long-lived-key".into()), "{json:#}");
    assert!(!scan.stdout.contains(KEY) && !scan.stdout.contains(SECRET));
    world.write("tree/.env", "A=1\n");
    assert_eq!(world.run(&["audit", "scan", tree.to_str().unwrap(), "--output", "json"]).code, Some(0));
    assert_eq!(world.run(&["audit", "scan", "/nowhere/at/all"]).code, Some(2));
}
