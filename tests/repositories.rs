//! Repositories for others: over TLS with a token, in front of a web repository, filled ahead, looked at and emptied.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};

use crate::harness::{Finished, Running, World, free_address, skip, until};

const JAR: &str = "g/a/1.0/a-1.0.jar";
const TOKEN: &str = "a-token-of-the-build-farm";

/// `artifacts serve` over TLS with a token, in front of a plain one that plays Maven Central.
struct Farm {
    world: World,
    address: SocketAddr,
    /// Running for as long as the farm.
    _processes: [Running; 2],
}

impl Farm {
    fn new(name: &str, files: &Path) -> Self {
        let world = World::new(name, |_| {});
        let (central, address) = (free_address(), free_address());
        let directory = files.display().to_string();
        let plain = ["artifacts", "serve", "--from", &directory, "--listen", &central.to_string()];
        let plain = world.start("central", world.bowline(&plain).env("XDG_CACHE_HOME", world.path("central")));
        let tls = world.run(&["artifacts", "tls", "init", "--directory", &world.path("tls").display().to_string()]);
        assert_eq!(tls.code, Some(0), "{}", tls.stderr);
        assert!(
            tls.stdout.contains("keytool -importcert") && tls.stdout.contains("startup --host_jvm_args"),
            "{}",
            tls.stdout
        );
        world.write("token", TOKEN);
        let path = |relative: &str| world.path(relative).display().to_string();
        world.write(
            "bowline.toml",
            &format!(
                "[artifacts]\nlisten = \"{address}\"\ncache = {{ path = \"{}\" }}\n\
                 access = {{ tokens = [{{ name = \"farm\", file = \"{}\" }}] }}\n\
                 tls = {{ certificate = \"{}\", private-key = \"{}\" }}\n\
                 [[artifacts.repository]]\npath = \"/maven2\"\nfrom = \"http://{central}\"\n\
                 [artifacts-client]\nurl = \"https://localhost:{}/maven2\"\ntoken = {{ file = \"{}\" }}\n",
                path("cache"),
                path("token"),
                path("tls/server.pem"),
                path("tls/server.key"),
                address.port(),
                path("token"),
            ),
        );
        let config = path("bowline.toml");
        let secure = world.start("secure", &mut world.bowline(&["artifacts", "serve", "--config", &config]));
        until(Duration::from_secs(10), "both listen", || {
            [central, address].iter().all(|address| std::net::TcpStream::connect(address).is_ok())
        });
        Self { world, address, _processes: [plain, secure] }
    }

    /// curl with the authority and the token.
    fn curl(&self, arguments: &[&str], path: &str) -> Finished {
        let bearer = format!("authorization: Bearer {TOKEN}");
        self.plain_curl(&[&["-H", &bearer], arguments].concat(), path)
    }

    fn plain_curl(&self, arguments: &[&str], path: &str) -> Finished {
        let mut curl = self.world.foreign("curl");
        curl.args(["-sS", "--max-time", "10", "--cacert"]).arg(self.world.path("tls/ca.pem")).args(arguments);
        self.world.run_foreign("curl", curl.arg(format!("https://localhost:{}{path}", self.address.port())))
    }

    fn bowline(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.bowline(arguments);
        command.arg("--config").arg(self.world.path("bowline.toml"));
        command.env("SSL_CERT_FILE", self.world.path("tls/ca.pem"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.world.run_foreign("bowline", &mut self.bowline(arguments))
    }
}

fn files(home: &Path) {
    fs::create_dir_all(home.join("g/a/1.0")).unwrap();
    bowline_base::atomic::write_private(&home.join(JAR), vec![b'j'; 300_000].as_ref()).unwrap();
    bowline_base::atomic::write_private(&home.join("g/a/1.0/a-1.0.pom"), "<project/>".as_ref()).unwrap();
}

#[test]
fn curl_reads_over_tls_with_a_token_resumes_and_is_refused_without() {
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    let farm = Farm::new("farm-curl", home.path());
    let path = format!("/maven2/{JAR}");
    let refused = farm.plain_curl(&["-o", "/dev/null", "-w", "%{http_code}"], &path);
    assert_eq!(refused.stdout, "401", "{}", refused.stderr);
    let first = farm.world.path("part.jar").display().to_string();
    let part = farm.curl(&["-r", "0-99999", "-o", &first, "-w", "%{http_code}"], &path);
    assert_eq!(part.stdout, "206", "{}", part.stderr);
    let resumed = farm.curl(&["-C", "-", "-o", &first, "-w", "%{http_code}"], &path);
    assert_eq!((resumed.code, resumed.stdout.as_str()), (Some(0), "206"), "{}", resumed.stderr);
    assert_eq!(fs::read(&first).unwrap(), vec![b'j'; 300_000]);
    let basic = farm.plain_curl(&["-u", &format!("any:{TOKEN}"), "-o", "/dev/null", "-w", "%{http_code}"], &path);
    assert_eq!(basic.stdout, "200");
    // A replaced token is taken without a restart.
    farm.world.write("token", "the-next-token-of-the-build-farm");
    let with = |token: &str| {
        let user = format!("any:{token}");
        farm.plain_curl(&["-u", &user, "-o", "/dev/null", "-w", "%{http_code}"], &path).stdout == "200"
    };
    until(Duration::from_secs(10), "the new token opens", || with("the-next-token-of-the-build-farm"));
    assert!(!with(TOKEN), "the old one does not");
    farm.world.write("token", TOKEN);
    until(Duration::from_secs(10), "it is taken back", || with(TOKEN));
    // A line of the server's certificate that no other has.
    let signature = || {
        let pem = fs::read_to_string(farm.world.path("tls/server.pem")).unwrap();
        let lines: Vec<&str> = pem.lines().take_while(|line| !line.starts_with("-----END")).collect();
        lines[lines.len() - 2].to_owned()
    };
    let old = signature();
    assert!(farm.curl(&["-o", "/dev/null", "-w", "%{certs}"], &path).stdout.contains(&old));
    let renewed = farm.run(&["artifacts", "tls", "init", "--directory", &farm.world.path("tls").display().to_string()]);
    assert!(renewed.stderr.contains("the authority was there"), "{}", renewed.stderr);
    assert_ne!(signature(), old);
    until(Duration::from_secs(10), "the renewed certificate is in use and trusted", || {
        let shown = farm.curl(&["-o", "/dev/null", "-w", "%{certs}"], &path);
        shown.code == Some(0) && shown.stdout.contains(&signature())
    });
}

#[test]
fn a_cache_is_filled_ahead_looked_at_and_emptied_while_it_is_in_use() {
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    let farm = Farm::new("farm-cache", home.path());
    let list = farm.world.path("list").display().to_string();
    farm.world.write("list", "g:a:1.0\ng/a/1.0/a-1.0.pom\n");
    let fetched = farm.run(&["artifacts", "prefetch", &list]);
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    assert!(fetched.stderr.contains("2 files"), "{}", fetched.stderr);
    let listed = farm.run(&["artifacts", "ls", "--output", "json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let keys: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&JAR) && keys.contains(&"g/a/1.0/a-1.0.pom"), "{keys:?}");
    let cached = || farm.curl(&["-o", "/dev/null", "-w", "%header{x-bowline-cache}"], &format!("/maven2/{JAR}")).stdout;
    assert_eq!(cached(), "hit");
    let purged = farm.run(&["artifacts", "purge", JAR]);
    assert!(purged.code == Some(0) && purged.stderr.contains("removed 1 files"), "{}", purged.stderr);
    assert_eq!(cached(), "miss");
    assert_eq!(farm.run(&["artifacts", "purge", "g/none.jar"]).code, Some(1));
    assert_eq!(farm.run(&["artifacts", "purge", "/"]).code, Some(0));
    assert_eq!(farm.run(&["artifacts", "ls"]).stdout, "");
}

#[test]
fn a_lock_file_s_sums_are_held_against_what_comes_and_exit_codes_are_honest() {
    let home = tempfile::tempdir().unwrap();
    files(home.path());
    let farm = Farm::new("farm-lock", home.path());
    let lock =
        |sum: &str| json!({ "version": "2", "artifacts": { "g:a": { "version": "1.0", "shasums": { "jar": sum } } } });
    farm.world.write("wrong.json", &lock(&"0".repeat(64)).to_string());
    let wrong =
        farm.run(&["artifacts", "prefetch", &farm.world.path("wrong.json").display().to_string(), "--output", "json"]);
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert_eq!(serde_json::from_str::<Value>(&wrong.stdout).unwrap()["wrong"], json!([JAR]));
    farm.world.write("list", "g:missing:1\n");
    let list = farm.world.path("list").display().to_string();
    assert_eq!(farm.run(&["artifacts", "prefetch", &list]).code, Some(1));
    let nobody = format!("http://{}", free_address());
    assert_eq!(farm.run(&["artifacts", "prefetch", &list, "--url", &nobody]).code, Some(4));
    farm.world.write("nonsense", "not a path\n");
    assert_eq!(farm.run(&["artifacts", "prefetch", &farm.world.path("nonsense").display().to_string()]).code, Some(2));
}

#[test]
fn bazel_gets_the_token_for_this_place_alone() {
    let home = tempfile::tempdir().unwrap();
    let farm = Farm::new("farm-bazel", home.path());
    let ask = |uri: &str| {
        farm.world.write("request", &json!({ "uri": uri }).to_string());
        let mut shell = farm.world.foreign("sh");
        let line = format!(
            "exec {} bazel-credential-helper get --config bowline.toml < request",
            env!("CARGO_BIN_EXE_bowline")
        );
        let answer = farm.world.run_foreign("helper", shell.args(["-c", &line]));
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        serde_json::from_str::<Value>(&answer.stdout).unwrap()
    };
    let own = ask(&format!("https://localhost:{}/maven2/g/a.jar", farm.address.port()));
    assert_eq!(own["headers"]["Authorization"], json!([format!("Bearer {TOKEN}")]));
    assert_eq!(ask("https://repo1.maven.org/maven2/x.jar"), json!({ "headers": {} }));
    let rules = farm.run(&["artifacts", "setup", "bazel"]);
    let expected =
        format!("rewrite repo1\\.maven\\.org/maven2/(.*) https://localhost:{}/maven2/$1\n", farm.address.port());
    assert!(rules.stdout.contains(&expected), "{}", rules.stdout);
}

#[test]
fn an_address_that_others_reach_is_not_served_without_a_word_about_who_may_read() {
    let world = World::new("farm-open", |_| {});
    let directory = world.path("run").display().to_string();
    let refused = world.run(&["artifacts", "serve", "--from", &directory, "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("nothing says who may read"), "{}", refused.stderr);
}

#[test]
fn real_maven_through_tls_with_a_token_in_its_settings() {
    for needed in ["/usr/bin/mvn", "/usr/bin/keytool"] {
        if !Path::new(needed).exists() {
            skip!("Maven through TLS: no {needed}");
        }
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("g/parent/1")).unwrap();
    let parent = "<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>parent</artifactId>\
                  <version>1</version><packaging>pom</packaging></project>";
    bowline_base::atomic::write_private(&home.path().join("g/parent/1/parent-1.pom"), parent.as_ref()).unwrap();
    let farm = Farm::new("farm-maven", home.path());
    let store = farm.world.path("truststore.p12").display().to_string();
    let authority = farm.world.path("tls/ca.pem").display().to_string();
    let mut keytool = farm.world.foreign("keytool");
    keytool.args(["-importcert", "-noprompt", "-alias", "bowline", "-storetype", "PKCS12", "-storepass", "changeit"]);
    let imported = farm.world.run_foreign("keytool", keytool.args(["-file", &authority, "-keystore", &store]));
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    let settings = farm.run(&["artifacts", "setup", "maven"]);
    farm.world.write("settings.xml", &settings.stdout);
    farm.world.write(
        "pom.xml",
        "<project><modelVersion>4.0.0</modelVersion>\
         <parent><groupId>g</groupId><artifactId>parent</artifactId><version>1</version></parent><artifactId>x</artifactId><packaging>pom</packaging></project>",
    );
    let mut mvn = farm.world.foreign("/usr/bin/mvn");
    mvn.args(["-B", "-ntp", "-s", "settings.xml", "-Dmaven.repo.local=m2", "validate"]);
    mvn.env("BOWLINE_ARTIFACTS_TOKEN", TOKEN);
    mvn.env("MAVEN_OPTS", format!("-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"));
    let built = farm.world.run_foreign("mvn", &mut mvn);
    assert!(built.stdout.contains("BUILD SUCCESS"), "{}\n{}", built.stdout, built.stderr);
    let listed = farm.run(&["artifacts", "ls", "g/parent/"]);
    assert!(listed.stdout.contains("g/parent/1/parent-1.pom"), "{}", listed.stdout);
}
