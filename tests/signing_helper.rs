//! The place of `aws_signing_helper`: the program called by that name, with that tool's flags, for boto3 and for people who
//! compare signatures by hand. Keys and certificates are `openssl`'s, which also judges what is signed.

#[allow(dead_code, reason = "the crates that share this file use other parts of it")]
#[path = "../crates/credentials/src/x509/openssl.rs"]
pub(crate) mod openssl;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::symlink,
    process::Command,
    time::Duration,
};

use bowline_fakeaws::{Effect, Fault, Settings};
use rustix::process::Signal;
use serde_json::Value;

use self::openssl::{Ca, LEAF, P256};
use crate::harness::{Finished, Running, World, free_address, is_private, python, skip, until};

const LIMIT: Duration = Duration::from_secs(10);
const CALL: &str = "rolesanywhere.CreateSession";

/// A machine with a certificate and the tool's name on its path.
struct Site {
    world: World,
    ca: Ca,
}

impl Site {
    fn new(name: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let ca = Ca::new();
        ca.issue("p", P256, LEAF);
        let world = World::new(name, |settings| {
            settings.trust_anchors = vec![ca.text("ca.pem")];
            change(settings);
        });
        fs::create_dir(world.path("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_bowline"), world.path("bin/aws_signing_helper")).unwrap();
        Self { world, ca }
    }

    /// The tool with `words`.
    fn tool(&self, words: &[&str]) -> Command {
        let mut command = self.world.foreign(self.world.path("bin/aws_signing_helper"));
        command.args(words);
        command
    }

    /// The tool with `words` and everything that names certificate and role.
    fn session(&self, words: &[&str]) -> Command {
        let mut command = self.tool(words);
        command.args(self.flags().split(' '));
        command
    }

    fn flags(&self) -> String {
        let arn = |kind: &str| format!("arn:aws:rolesanywhere:eu-central-1:111122223333:{kind}");
        format!(
            "--certificate {} --private-key {} --trust-anchor-arn {} --profile-arn {} --role-arn {}",
            self.ca.path("p.pem").display(),
            self.ca.path("p.key").display(),
            arn("trust-anchor/t"),
            arn("profile/p"),
            "arn:aws:iam::111122223333:role/path/site"
        )
    }

    #[track_caller]
    fn run(&self, command: &mut Command) -> Finished {
        let finished = self.world.run_foreign("helper", command);
        self.world.forget_output("helper");
        finished
    }

    fn calls(&self) -> u64 {
        self.world.cloud().counts().sum(CALL)
    }
}

#[track_caller]
fn key_of(finished: &Finished) -> String {
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(document["Version"], 1);
    document["AccessKeyId"].as_str().unwrap().to_owned()
}

/// Fails as that tool fails, with the words and nothing that could be taken for credentials.
#[track_caller]
fn refused(finished: &Finished, words: &str) {
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
    assert!(finished.stderr.contains(words), "no `{words}` in: {}", finished.stderr);
}

#[test]
fn boto3_and_repeated_calls_share_one_session_and_another_certificate_has_its_own() {
    let site = Site::new("helper-process", |_| {});
    let at_once: Vec<Running> =
        (0..8).map(|_| site.world.start("helper", &mut site.session(&["credential-process"]))).collect();
    let keys: Vec<String> = at_once.into_iter().map(|process| key_of(&process.finish(LIMIT))).collect();
    site.world.forget_output("helper");
    let first = keys[0].clone();
    assert!(keys.iter().all(|key| *key == first) && site.calls() == 1, "{keys:?}");
    if let Some(python) = python() {
        let tool = site.world.path("bin/aws_signing_helper");
        let command = format!("{} credential-process {}", tool.display(), site.flags());
        site.world.configure(&format!("[profile site]\nregion = us-east-1\ncredential_process = {command}\n"));
        for _ in ["first", "second"] {
            let mut boto3 = python.script(&site.world, "default_caller.py");
            let said = site.world.run_foreign("boto3", boto3.env("AWS_PROFILE", "site"));
            assert!(said.stdout.contains(":assumed-role/site/"), "{}{}", said.stdout, said.stderr);
            assert!(said.stdout.trim_end().ends_with("custom-process"), "{}", said.stdout);
        }
    } else {
        eprintln!("skipped: boto3 with credential-process: no target/py");
    }
    assert_eq!(key_of(&site.run(&mut site.session(&["credential-process", "--debug"]))), first);
    assert_eq!(site.calls(), 1);
    let longer = key_of(&site.run(&mut site.session(&["credential-process", "--session-duration=7200"])));
    site.ca.issue("p", P256, LEAF);
    let renewed = key_of(&site.run(&mut site.session(&["credential-process"])));
    assert!(longer != first && renewed != first && site.calls() == 3, "{}", site.calls());
}

#[test]
fn what_fails_says_nothing_on_stdout_and_leaves_the_file_as_it_was() {
    let site = Site::new("helper-refusals", |_| {});
    let old = "[site]\naws_access_key_id = ASIAOLD\naws_secret_access_key = old\naws_session_token = old\n";
    site.world.write(".aws/credentials", old);
    for (number, effect) in [
        Effect::Error { status: 403, code: "AccessDeniedException".to_owned() },
        Effect::Html(200),
        Effect::Truncate(40),
    ]
    .into_iter()
    .enumerate()
    {
        site.world.cloud().clear_faults();
        site.world.cloud().fault(Fault::new(CALL, effect));
        // Another duration is another entry of the cache, where no failure is remembered.
        let duration = format!("--session-duration={}", 900 + number);
        refused(&site.run(&mut site.session(&["credential-process", &duration])), "error:");
        refused(&site.run(&mut site.session(&["update", "--once", "--profile", "site", &duration])), "error:");
    }
    assert_eq!(fs::read_to_string(site.world.path(".aws/credentials")).unwrap(), old);
    site.world.cloud().clear_faults();
    // Region and name reach the service, which does not want them.
    let elsewhere = ["credential-process", "--region", "us-east-1"];
    refused(&site.run(&mut site.session(&elsewhere)), "not of this region");
    let named = ["credential-process", "--role-session-name", "router"];
    refused(&site.run(&mut site.session(&named)), "leave out the session's name");
    let calls = site.calls();
    for (flags, words) in [
        (&["--cert-selector", "Key=x509Subject,Value=CN=x"][..], "certificate stores"),
        (&["--pkcs11-lib=/usr/lib/x.so"], "PKCS#11"),
        (&["--no-tpm-key-password"], "keys of a TPM"),
        (&["--private-key", "handle:0x81000001"], "keys of a TPM"),
        (&["--certificate", "pkcs11:object=x"], "PKCS#11"),
        (&["--certificate", "/no/such/file"], "/no/such/file"),
        (&["--role-arn", "site"], "not the ARN of a role"),
        (&["--session-duration", "60"], "900 to 43200"),
        (&["--endpoint", "http://10.0.0.1"], "`--endpoint` `http://10.0.0.1` is plain http"),
        (&["--frob"], "--frob"),
    ] {
        refused(&site.run(site.session(&["credential-process"]).args(flags)), words);
    }
    refused(&site.run(&mut site.tool(&["credential-process"])), "--trust-anchor-arn");
    assert_eq!(site.calls(), calls, "nothing of this was asked of AWS");
}

#[test]
fn update_once_changes_its_section_and_no_other_byte() {
    let site = Site::new("helper-update", |_| {});
    let (head, tail) = (
        "# mine\n[other]\naws_access_key_id=AKIAOTHER\naws_secret_access_key  = x\n\n",
        "; the end\n[last]\noutput =json",
    );
    let old = "[site]\naws_access_key_id = ASIAOLD\naws_secret_access_key = old\naws_session_token = old\nregion = x\n";
    site.world.write(".aws/credentials", &format!("{head}{old}{tail}"));
    let file = site.world.path(".aws/credentials");
    let once = site.run(&mut site.session(&["update", "--once", "--profile", "site"]));
    assert_eq!((once.code, once.stdout.as_str()), (Some(0), ""), "{}", once.stderr);
    let written = fs::read_to_string(&file).unwrap();
    let section = written.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)).unwrap();
    let key = key_of(&site.run(&mut site.session(&["credential-process"])));
    assert!(section.starts_with(&format!("[site]\naws_access_key_id = {key}\n")), "the set of the cache");
    assert!(section.ends_with("region = x\n") && !section.contains("old") && section.lines().count() == 5);
    assert!(is_private(&file));
    let lasting = site.run(&mut site.session(&["update", "--once", "--profile", "other"]));
    refused(&lasting, "a long-lived key, which would be lost");
    assert_eq!((fs::read_to_string(&file).unwrap(), site.calls()), (written, 1));
    let new = site.world.path("deep/new/credentials");
    let mut elsewhere = site.session(&["update", "--once=true"]);
    assert_eq!(site.run(elsewhere.env("AWS_SHARED_CREDENTIALS_FILE", &new)).code, Some(0));
    assert!(fs::read_to_string(&new).unwrap().starts_with("[default]\n") && is_private(&new));
}

/// Key, secret and token of the only section.
fn set_in(text: &str) -> Option<[String; 3]> {
    let value = |key: &str| text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(" = ")?.to_owned()));
    Some([value("aws_access_key_id")?, value("aws_secret_access_key")?, value("aws_session_token")?])
}

/// Reads the file until `wanted` sets were seen in it; none of them is ever mixed with another.
#[track_caller]
fn watch(site: &Site, update: &mut Running, seen: &mut BTreeMap<String, [String; 3]>, wanted: usize) {
    until(Duration::from_secs(12), "another set is written", || {
        assert!(update.runs(), "{}", update.stderr());
        if let Some(set) = fs::read_to_string(site.world.path(".aws/credentials")).ok().as_deref().and_then(set_in) {
            let known = seen.entry(set[0].clone()).or_insert_with(|| set.clone());
            assert!(*known == set, "a mixed set");
        }
        seen.len() >= wanted
    });
}

#[test]
fn update_rotates_short_sessions_and_goes_on_after_an_outage() {
    let site = Site::new("helper-rotation", |settings| settings.anywhere_lifetime = Some(Duration::from_secs(2)));
    let mut update = site.world.start("update", &mut site.session(&["update"]));
    let mut seen = BTreeMap::new();
    watch(&site, &mut update, &mut seen, 2);
    let denied = Effect::Error { status: 403, code: "AccessDeniedException".to_owned() };
    site.world.cloud().fault(Fault::new(CALL, denied));
    until(LIMIT, "the outage is told", || update.stderr().contains("trying again"));
    assert!(set_in(&fs::read_to_string(site.world.path(".aws/credentials")).unwrap()).is_some(), "the old set stays");
    site.world.cloud().clear_faults();
    let wanted = seen.len() + 1;
    watch(&site, &mut update, &mut seen, wanted);
    update.signal(Signal::TERM);
    assert_eq!(update.finish(LIMIT).code, Some(0));
}

/// Status, and the answer's body.
fn ask(address: SocketAddr, request: &str, header: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
    write!(stream, "{request} HTTP/1.1\r\nhost: {address}\r\n{header}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned())
}

const ROLES: &str = "GET /latest/meta-data/iam/security-credentials/";

fn imds_token(address: SocketAddr) -> String {
    let (status, token) = ask(address, "PUT /latest/api/token", "x-aws-ec2-metadata-token-ttl-seconds: 60");
    assert_eq!(status, 200);
    format!("x-aws-ec2-metadata-token: {token}")
}

#[test]
fn serve_is_imdsv2_with_a_hop_limit_and_boto3_finds_the_role_there() {
    let site = Site::new("helper-serve", |_| {});
    let address = free_address();
    let port = address.port().to_string();
    let words = ["serve", "--port", &port, "--hop-limit", "3"];
    let process = site.world.start("serve", &mut site.session(&words));
    until(LIMIT, "the address is told", || process.stdout().contains("METADATA"));
    let url = format!("http://{address}/");
    assert_eq!(process.stdout(), format!("export AWS_EC2_METADATA_SERVICE_ENDPOINT='{url}'\n"));
    let token = imds_token(address);
    assert_eq!(ask(address, ROLES, ""), ask(address, ROLES, "x-aws-ec2-metadata-token: guess"));
    assert_eq!(ask(address, ROLES, "").0, 401);
    assert_eq!(ask(address, ROLES, &token), (200, "site".to_owned()));
    assert_eq!(ask(address, "GET /latest/meta-data/placement/region", &token).1, "eu-central-1");
    let (status, body) = ask(address, &format!("{ROLES}site"), &token);
    let document: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &document["Code"], &document["Type"]), (200, &"Success".into(), &"AWS-HMAC".into()));
    let taken = site.run(&mut site.session(&words));
    refused(&taken, "cannot listen");
    assert_eq!(site.calls(), 1);
    if let Some(python) = python() {
        let mut boto3 = python.script(&site.world, "default_caller.py");
        boto3.env_remove("AWS_EC2_METADATA_DISABLED").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
        let said = site.world.run_foreign("boto3", boto3.env("AWS_DEFAULT_REGION", "us-east-1"));
        assert!(said.stdout.trim_end().ends_with("iam-role"), "{}{}", said.stdout, said.stderr);
    } else {
        eprintln!("skipped: boto3 through serve: no target/py");
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/hops_of.py");
    let hops = site.world.run_foreign("hops", site.world.foreign("python3").args([script, &port]));
    match hops.code {
        Some(77) => eprintln!("skipped: the hop limit on the wire: raw sockets are not allowed"),
        _ => assert_eq!(hops.stdout.trim_end(), "3", "{}", hops.stderr),
    }
    process.signal(Signal::INT);
    assert_eq!(process.finish(LIMIT).code, Some(0));
}

#[test]
fn serve_hands_out_nothing_that_has_ended_and_begins_without_a_network() {
    let site = Site::new("helper-serve-outage", |settings| settings.anywhere_lifetime = Some(Duration::from_secs(2)));
    site.world.cloud().fault(Fault::new(CALL, Effect::Reset));
    let address = free_address();
    let mut process = site.world.start("serve", &mut site.session(&["serve", "--port", &address.port().to_string()]));
    until(Duration::from_secs(15), "it serves", || {
        assert!(process.runs(), "{}", process.stderr());
        process.stdout().contains("METADATA")
    });
    let token = imds_token(address);
    let credentials = || ask(address, &format!("{ROLES}site"), &token);
    let (status, body) = credentials();
    assert!(status == 503 && !body.contains("SecretAccessKey"), "{status} {body}");
    site.world.cloud().clear_faults();
    until(Duration::from_secs(15), "credentials are served", || credentials().0 == 200);
    site.world.cloud().fault(Fault::new(CALL, Effect::Reset));
    until(Duration::from_secs(15), "the set has ended", || {
        let (status, body) = credentials();
        assert!(status == 503 || body.contains("\"Code\":\"Success\""), "{status} {body}");
        status == 503
    });
}

#[test]
fn signatures_and_certificates_are_shown_as_that_tool_shows_them() {
    let site = Site::new("helper-diagnosis", |_| {});
    let (ca, path) = (&site.ca, |name: &str| site.ca.path(name).display().to_string());
    ca.key("r", "genrsa 2048");
    ca.certify("r", LEAF, "ca", "-sha256 -days 30 -set_serial 77");
    let facts = site.run(&mut site.tool(&["read-certificate-data", "--certificate", &path("r.pem")]));
    ca.run("x509 -in r.pem -outform DER -out r.der");
    let base64 = ca.run("base64 -A -in r.der");
    assert_eq!(
        facts.stdout,
        format!(
            r#"{{"keyType":"RSA","certificateData":"{base64}","serialNumber":"77","supportedAlgorithms":["RSASHA256","RSASHA384","RSASHA512"]}}"#
        ),
        "{}",
        facts.stderr
    );
    ca.run("rsa -in r.key -RSAPublicKey_out -outform DER -out public.der");
    ca.write("owned", [&b"IAM RA"[..], &ca.bytes("public.der")].concat());
    ca.run("dgst -sha256 -binary -out owner owned");
    let text = [&b"AWS Roles Anywhere Credential Helper Signing Test1"[..], &ca.bytes("owner")].concat();
    ca.write("message", text);
    ca.run("pkey -in r.key -pubout -out public");
    ca.run("pkcs8 -topk8 -in r.key -out sealed.key -passout pass:opensesame -v2 aes-256-cbc");
    ca.write("password", "opensesame\n");
    for digest in ["SHA256", "SHA384", "SHA512"] {
        let sign = |more: &[&str]| {
            let finished = site.run(site.tool(&["sign-string", "--digest", digest]).args(more));
            assert_eq!(finished.code, Some(0), "{}", finished.stderr);
            finished
        };
        let hex = sign(&["--format", "text", "--private-key", &path("r.key")]).stdout;
        let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        ca.write("signature", pairs.collect::<Vec<u8>>());
        let said = ca.run(&format!("dgst -{} -verify public -signature signature message", digest.to_lowercase()));
        assert_eq!(said.trim(), "Verified OK");
        assert_eq!(sign(&["--private-key", &path("r.key")]).stdout, format!("\"{hex}\""), "JSON is the default");
        let sealed = path("sealed.key");
        let file = sign(&["--format=text", "--private-key", &sealed, "--pkcs8-password-file", &path("password")]);
        let argument = sign(&["--format=text", "--private-key", &sealed, "--pkcs8-password", "opensesame"]);
        assert_eq!((&file.stdout, &argument.stdout), (&hex, &hex));
        assert!(argument.stderr.contains("other users see") && file.stderr.is_empty());
    }
    let raw = site.tool(&["sign-string", "--format", "bin", "--private-key", &path("r.key")]).output().unwrap();
    ca.write("signature", raw.stdout);
    assert_eq!(ca.run("dgst -sha256 -verify public -signature signature message").trim(), "Verified OK");
    refused(&site.run(&mut site.tool(&["sign-string", "--private-key", &path("sealed.key")])), "no password");
    refused(&site.run(&mut site.tool(&["read-certificate-data", "--certificate", &path("r.key")])), "no certificate");
    assert_eq!(site.calls(), 0);
}

#[test]
fn servers_are_checked_unless_told_otherwise_and_proxies_used_when_told_so() {
    if !Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        skip!("--no-verify-ssl: no python3 for a TLS server");
    }
    let site = Site::new("helper-tls", |_| {});
    let (front, upstream) = (free_address(), site.world.endpoint().rsplit(':').next().unwrap().to_owned());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/python/tls_front.py");
    let (certificate, key, port) = (site.ca.path("p.pem"), site.ca.path("p.key"), front.port().to_string());
    let mut python = site.world.foreign("python3");
    python.args([script, certificate.to_str().unwrap(), key.to_str().unwrap(), &port, &upstream]);
    let server = site.world.start("front", &mut python);
    until(LIMIT, "the TLS server listens", || server.stdout().contains("ready"));
    let endpoint = format!("--endpoint=https://{front}");
    refused(&site.run(&mut site.session(&["credential-process", &endpoint])), "certificate");
    let words = ["credential-process", &endpoint, "--no-verify-ssl", "--session-duration", "901"];
    let unchecked = site.run(&mut site.session(&words));
    assert!(unchecked.stderr.contains("everybody on the way"), "{}", unchecked.stderr);
    key_of(&unchecked);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let variable = format!("http://{}", proxy.local_addr().unwrap());
    let away = ["credential-process", "--endpoint=https://rolesanywhere.invalid"];
    let called = |more: &[&str]| {
        let mut command = site.session(&away);
        let mut process = site.world.start("proxied", command.args(more).env("HTTPS_PROXY", &variable));
        let mut connected = false;
        until(Duration::from_secs(15), "it has called or ended", || {
            connected = connected || proxy.accept().is_ok();
            connected || !process.runs()
        });
        connected
    };
    assert!(called(&["--with-proxy"]) && !called(&["--session-duration=902"]));
}
