//! How long a certificate is good, told before it ends: `doctor`, `check`, `status` and readiness on real certificates.

use std::{path::Path, process::Command, time::Duration};

use bowline_base::Timestamp;
use bowline_host::clock;
use serde_json::Value;

use crate::{
    doctor::doctor,
    harness::{World, fetch, free_address, until},
};

const CA: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nnew_certs_dir = .\nserial = serial\n\
                  default_md = sha256\npolicy = any\nunique_subject = no\n[any]\ncommonName = supplied\n";
const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
const ISSUER: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n";
const DAY: i64 = 86_400;

/// A world with a CA below `pki`, and one identity, `site`.
struct Pki(World);

impl Pki {
    fn new(name: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for (file, text) in
            [("ca.cnf", CA), ("leaf.ext", LEAF), ("issuer.ext", ISSUER), ("serial", "01\n"), ("index.txt", "")]
        {
            bowline_base::atomic::write_private(&scratch.path().join(file), text.as_bytes()).unwrap();
        }
        openssl(scratch.path(), "ecparam -name prime256v1 -genkey -noout -out ca.key");
        openssl(scratch.path(), "req -new -key ca.key -subj /CN=ca -out ca.csr");
        openssl(
            scratch.path(),
            "x509 -req -in ca.csr -signkey ca.key -days 30 -sha256 -extfile issuer.ext -out ca.pem",
        );
        let anchor = std::fs::read_to_string(scratch.path().join("ca.pem")).unwrap();
        let world = World::new(name, |settings| settings.trust_anchors = vec![anchor]);
        Command::new("cp").arg("-r").arg(scratch.path()).arg(world.path("pki")).status().unwrap();
        let pki = Self(world);
        pki.issue("site", "leaf", "ca", -DAY, 29 * DAY);
        pki.configure("");
        pki
    }

    /// `NAME.key` and `NAME.pem`, good from and to so many seconds from now.
    fn issue(&self, name: &str, extensions: &str, issuer: &str, begins: i64, ends: i64) {
        let folder = self.0.path("pki");
        let at = |seconds: i64| {
            let time = Timestamp::from_second(clock::now().wall.as_second() + seconds).unwrap();
            time.strftime("%Y%m%d%H%M%SZ").to_string()
        };
        openssl(&folder, &format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
        openssl(&folder, &format!("req -new -key {name}.key -subj /CN={name} -out {name}.csr"));
        let files = format!("-in {name}.csr -out {name}.pem -cert {issuer}.pem -keyfile {issuer}.key");
        let life = format!("-startdate {} -enddate {}", at(begins), at(ends));
        openssl(&folder, &format!("ca -batch -config ca.cnf -notext {files} {life} -extfile {extensions}.ext"));
    }

    fn configure(&self, daemon: &str) {
        let identity = "[identity.site]\nroles-anywhere = { certificate = \"pki/site.pem\", private-key = { file = \"pki/site.key\" }, \
                        trust-anchor = \"arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/t\", \
                        profile = \"arn:aws:rolesanywhere:eu-central-1:111122223333:profile/p\", \
                        role = \"arn:aws:iam::111122223333:role/site\" }\n";
        self.0.write("bowline.toml", &format!("{daemon}{identity}"));
    }

    fn config(&self) -> String {
        self.0.path("bowline.toml").to_str().unwrap().to_owned()
    }

    fn status(&self) -> (Value, String) {
        let json = self.0.run(&["status", "site", "--output", "json", "--config", &self.config()]);
        let all: Value = serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}: {}", json.stderr));
        let lines = all["credentials"].as_array().unwrap();
        let line = lines.iter().find(|line| line["kind"] == "certificate").unwrap_or_else(|| panic!("{all:#}"));
        (line.clone(), self.0.run(&["status", "--config", &self.config()]).stdout)
    }
}

fn openssl(folder: &Path, words: &str) {
    let done = Command::new("openssl").args(words.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_certificate_is_good_then_ending_then_ended_everywhere() {
    let pki = Pki::new("certificate-life");
    for (begins, ends, verdict, state, code) in [
        (-DAY, 29 * DAY, "ok", "good", 0),
        (-29 * DAY, DAY, "degraded", "ending", 0),
        (-30 * DAY, -DAY, "failed", "ended", 2),
        (DAY, 9 * DAY, "failed", "not-yet-good", 2),
    ] {
        pki.issue("site", "leaf", "ca", begins, ends);
        let found = doctor(&pki.0, &["certificates", "--config", &pki.config()], &[]);
        found.is("certificates.pair", "ok");
        found.is("certificates.end", verdict);
        assert_eq!(found.code, Some(i32::from(verdict == "failed")), "{}", found.said);
        let (line, text) = pki.status();
        assert_eq!((&line["name"], &line["state"]), (&"site".into(), &state.into()), "{line:#}");
        assert_eq!(line["command"].is_null(), state == "good", "{line:#}");
        let end = line["expires"].as_str().unwrap();
        assert!(text.contains("certificate site") && text.contains(end), "{text}");
        let check = pki.0.run(&["check", "--config", &pki.config()]);
        assert_eq!(check.code, Some(code), "{}", check.stderr);
        assert!(state == "good" || check.stderr.contains("bowline.toml:1:"), "{}", check.stderr);
    }
}

#[test]
fn keys_that_do_not_fit_and_chains_that_end_first_are_told() {
    let pki = Pki::new("certificate-pair");
    pki.issue("other", "leaf", "ca", -DAY, DAY);
    let good = std::fs::read_to_string(pki.0.path("pki/site.key")).unwrap();
    let look = || doctor(&pki.0, &["certificates", "--config", &pki.config()], &[]);
    pki.0.write("pki/site.key", &std::fs::read_to_string(pki.0.path("pki/other.key")).unwrap());
    let mismatch = look();
    mismatch.is("certificates.pair", "failed");
    assert!(mismatch.words("certificates.pair").contains("openssl pkey"), "{}", mismatch.said);
    let check = pki.0.run(&["check", "--config", &pki.config()]);
    assert!(check.code == Some(2) && check.stderr.contains("does not belong"), "{}", check.stderr);
    pki.0.write("pki/site.key", &good);
    for (ends, verdict) in [(29 * DAY, "ok"), (DAY, "degraded"), (-DAY, "failed")] {
        pki.issue("inter", "issuer", "ca", -9 * DAY, ends);
        pki.issue("site", "leaf", "inter", -DAY, 20 * DAY);
        let chain =
            ["site", "inter"].map(|name| std::fs::read_to_string(pki.0.path(&format!("pki/{name}.pem"))).unwrap());
        pki.0.write("pki/site.pem", &chain.concat());
        look().is("certificates.chain", verdict);
    }
}

#[test]
fn readiness_is_degraded_while_a_certificate_ends_and_good_once_it_is_renewed() {
    let pki = Pki::new("certificate-ready");
    pki.issue("site", "leaf", "ca", -29 * DAY, DAY);
    let page = free_address();
    pki.configure(&format!("[daemon]\nlisten = \"{page}\"\nkeep-fresh = [\"site\"]\n"));
    let _daemon = pki.0.start("run", &mut pki.0.bowline(&["run", "--config", &pki.config()]));
    let readiness = || -> Option<Value> { serde_json::from_slice(&fetch(page, "/readyz").ok()?.body).ok() };
    let certificate = || {
        let body = readiness()?;
        let checks = body["checks"].as_array()?;
        checks.iter().find(|check| check["id"] == "credentials.certificate.site").cloned()
    };
    until(Duration::from_secs(10), "the certificate is in use", || certificate().is_some());
    let check = certificate().unwrap();
    assert_eq!(check["verdict"], "degraded", "{check:#}");
    assert!(check["fix"].as_str().unwrap().contains("site.pem"), "{check:#}");
    assert_eq!(readiness().unwrap()["status"], "degraded");
    assert!(
        String::from_utf8(fetch(page, "/status.json").unwrap().body).unwrap().contains("credentials.certificate.site")
    );
    pki.issue("site", "leaf", "ca", -DAY, 29 * DAY);
    until(Duration::from_secs(5), "the renewed one is no reason any more", || {
        certificate().is_none_or(|check| check["verdict"] == "ok") && readiness().unwrap()["status"] == "ok"
    });
}
