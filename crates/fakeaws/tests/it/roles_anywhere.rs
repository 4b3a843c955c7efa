//! `CreateSession`: requests signed by the real `openssl`, and every kind of certificate that AWS refuses.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bowline_base::{Now, Timestamp};
use bowline_fakeaws::{Cloud, Settings};
use bytes::Bytes;
use http::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const LEAF: &str = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n";
const ISSUER: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n";

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        for root in ["ca", "other"] {
            desk.request(root);
            desk.run(
                &format!("x509 -req -in {root}.csr -signkey {root}.key -days 90 -extfile {root}.ext -out {root}.pem"),
                ISSUER,
                root,
            );
        }
        desk
    }

    fn request(&self, name: &str) {
        self.run(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"), "", name);
        self.run(&format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"), "", name);
    }

    fn issue(&self, name: &str, issuer: &str, extensions: &str, options: &str) {
        self.request(name);
        let files = format!("-CA {issuer}.pem -CAkey {issuer}.key -extfile {name}.ext -out {name}.pem");
        self.run(&format!("x509 -req -in {name}.csr {files} -set_serial 258 {options}"), extensions, name);
    }

    fn run(&self, words: &str, extensions: &str, name: &str) -> Vec<u8> {
        bowline_base::atomic::write_private(&self.0.path().join(format!("{name}.ext")), extensions.as_bytes()).unwrap();
        let done = Command::new("openssl").args(words.split_whitespace()).current_dir(self.0.path()).output().unwrap();
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    fn header(&self, name: &str) -> String {
        STANDARD.encode(self.run(&format!("x509 -in {name}.pem -outform DER"), "", "x"))
    }

    fn cloud(&self, now: Timestamp) -> Cloud {
        let anchor = std::fs::read_to_string(self.0.path().join("ca.pem")).unwrap();
        Cloud::new(Settings { trust_anchors: vec![anchor], ..Settings::default() }, at(now))
    }

    fn sign(&self, key: &str, text: &str) -> String {
        bowline_base::atomic::write_private(&self.0.path().join("text"), text.as_bytes()).unwrap();
        hex(&self.run(&format!("dgst -sha256 -sign {key}.key text"), "", "x"))
    }

    fn ask(&self, leaf: &str, change: impl FnOnce(&mut Ask)) -> (u16, Value) {
        let now = bowline_host::clock::now().wall;
        let mut ask = Ask {
            key: leaf.to_owned(),
            chain: None,
            serial: "258".to_owned(),
            at: now,
            scope: "eu-central-1/rolesanywhere",
            now,
        };
        change(&mut ask);
        let stamp = ask.at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut headers =
            vec![("host", "fake".to_owned()), ("x-amz-date", stamp.clone()), ("x-amz-x509", self.header(leaf))];
        headers.extend(ask.chain.map(|name| ("x-amz-x509-chain", self.header(name))));
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let canonical =
            format!("POST\n/sessions\n{QUERY}\n{lines}\n{}\n{}", names.join(";"), hex(&Sha256::digest(b"{}")));
        let scope = format!("{}/{}/aws4_request", &stamp[..8], ask.scope);
        let text = format!("AWS4-X509-ECDSA-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let signature = self.sign(&ask.key, &text);
        let authorization = format!(
            "AWS4-X509-ECDSA-SHA256 Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            ask.serial,
            names.join(";")
        );
        let mut request = Request::post(format!("/sessions?{QUERY}")).header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = self.cloud(ask.now).handle(at(ask.now), request.body(Bytes::from_static(b"{}")).unwrap());
        (reply.response.status().as_u16(), serde_json::from_slice(reply.response.body()).unwrap())
    }
}

struct Ask {
    key: String,
    chain: Option<&'static str>,
    serial: String,
    at: Timestamp,
    scope: &'static str,
    now: Timestamp,
}

const QUERY: &str = "profileArn=arn%3Aaws%3Arolesanywhere%3Aeu-central-1%3A111122223333%3Aprofile%2Fp\
    &roleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fsite\
    &trustAnchorArn=arn%3Aaws%3Arolesanywhere%3Aeu-central-1%3A111122223333%3Atrust-anchor%2Ft";

fn at(wall: Timestamp) -> Now {
    Now { wall, ..bowline_host::clock::now() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refused(answer: (u16, Value), why: &str) {
    let (status, body) = answer;
    assert!(status == 403 && body["message"].as_str().unwrap().contains(why), "{why}: {status} {body}");
}

#[test]
fn what_openssl_signs_is_believed_straight_or_over_an_intermediate() {
    let desk = Desk::new();
    desk.issue("p", "ca", LEAF, "-sha256 -days 30");
    let (status, body) = desk.ask("p", |_| ());
    assert_eq!(status, 201, "{body}");
    assert!(body["credentialSet"][0]["assumedRoleUser"]["arn"].as_str().unwrap().ends_with("assumed-role/site/258"));
    desk.issue("inter", "ca", ISSUER, "-sha256 -days 30");
    desk.issue("q", "inter", LEAF, "-sha256 -days 30");
    assert_eq!(desk.ask("q", |ask| ask.chain = Some("inter")).0, 201);
    refused(desk.ask("q", |_| ()), "Untrusted Signing Certificate.");
}

#[test]
fn every_kind_of_bad_certificate_is_refused() {
    let desk = Desk::new();
    for (issuer, extensions, options, why) in [
        ("other", LEAF, "-sha256 -days 30", "Untrusted Signing Certificate."),
        ("ca", ISSUER, "-sha256 -days 30", "CA certificate"),
        ("ca", "keyUsage=keyEncipherment\n", "-sha256 -days 30", "key usage"),
        ("ca", "basicConstraints=CA:FALSE\n", "-sha256 -days 30", "key usage"),
        ("ca", LEAF, "-sha1 -days 30", "insecure algorithm"),
    ] {
        desk.issue("p", issuer, extensions, options);
        refused(desk.ask("p", |_| ()), why);
    }
    desk.issue("p", "ca", LEAF, "-sha256 -days 30");
    let later = bowline_host::clock::now().wall + std::time::Duration::from_secs(31 * 86400);
    refused(desk.ask("p", |ask| (ask.at, ask.now) = (later, later)), "expired or not yet valid");
    // A leaf may not play the CA.
    desk.issue("q", "p", LEAF, "-sha256 -days 30");
    refused(desk.ask("q", |ask| ask.chain = Some("p")), "Untrusted Signing Certificate.");
}

#[test]
fn every_kind_of_bad_signature_is_refused() {
    let desk = Desk::new();
    desk.issue("p", "ca", LEAF, "-sha256 -days 30");
    refused(desk.ask("p", |ask| ask.key = "ca".to_owned()), "Invalid signature");
    refused(desk.ask("p", |ask| ask.serial = "259".to_owned()), "serial number");
    refused(desk.ask("p", |ask| ask.scope = "eu-central-1/sts"), "WrongService");
    let minutes = |count: u64| std::time::Duration::from_secs(60 * count);
    refused(desk.ask("p", |ask| ask.at -= minutes(6)), "Signature expired");
    refused(desk.ask("p", |ask| ask.at += minutes(6)), "not yet current");
}
