//! Real Bazel fetches through the proxy and builds with what it fetched, while sessions last 5 s. It needs nothing but
//! Debian's `bazel-bootstrap`: the consumers are genrules (tests/bazel).

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use bowline_fakeaws::{Bucket, Effect, Fault};
use bowline_host::clock;
use sha2::{Digest as _, Sha256};

use crate::harness::{Daemon, Finished, World, copy_tree, run, skip};

const BAZEL: &str = "/usr/bin/bazel";

/// Where Debian keeps the jars that the workspace asks for (libguava-java, libcommons-lang3-java).
const REPOSITORY: &str = "/usr/share/maven-repo";
const GUAVA: &str = "com/google/guava/guava/31.1-jre/guava-31.1-jre.jar";
const LANG3: &str = "org/apache/commons/commons-lang3/3.12.0/commons-lang3-3.12.0.jar";
const WORDS: &str = "example/words/1.0/words-1.0.tar.gz";

/// Bazel starts a JVM, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(100);

/// What this machine lacks.
fn missing() -> Option<String> {
    if !Path::new(BAZEL).exists() {
        return Some("no bazel (Debian: bazel-bootstrap; `cargo xtask test --full` installs it as root)".to_owned());
    }
    let absent = [GUAVA, LANG3].into_iter().find(|jar| !Path::new(REPOSITORY).join(jar).exists())?;
    Some(format!("no {absent} in {REPOSITORY} (Debian 12: libguava-java, libcommons-lang3-java)"))
}

/// A workspace, a bucket with what it fetches, and a daemon in front of that.
struct Project {
    world: World,
    daemon: Daemon,
    files: BTreeMap<&'static str, Vec<u8>>,
}

impl Project {
    fn new(name: &str) -> Self {
        let world = World::new(name, |settings| settings.role_lifetime = Duration::from_secs(2));
        let jar = |path: &str| fs::read(Path::new(REPOSITORY).join(path)).unwrap();
        let files = BTreeMap::from([(GUAVA, jar(GUAVA)), (LANG3, jar(LANG3)), (WORDS, words(&world))]);
        world.cloud().add_bucket("maven", Bucket::memory("us-east-1"));
        for (key, bytes) in &files {
            world.cloud().put_object(clock::now(), "maven", &format!("releases/{key}"), bytes.clone());
        }
        world.sign_in();
        copy_tree(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bazel"), &world.path("knots"));
        let daemon = world.daemon("[[artifacts.repository]]\nfrom = \"s3://maven/releases\"\n");
        Self { world, daemon, files }
    }

    fn proxy(&self) -> String {
        format!("http://{}/", self.daemon.artifacts)
    }

    /// The workspace fetches from `repository`; every file must have the checksum that is written down.
    fn name_repository(&self, repository: &str) {
        let sum = |key: &str| hex(&self.files[key]);
        let (guava, words, lang3) = (sum(GUAVA), sum(WORDS), sum(LANG3));
        let sums = format!("SHA256 = {{\"guava\": \"{guava}\", \"words\": \"{words}\", \"lang3\": \"{lang3}\"}}\n");
        self.world.write("knots/repository.bzl", &format!("REPOSITORY = \"{repository}\"\n{sums}"));
    }

    /// `bazel COMMAND` with nothing kept from before: no server, no output, no repository cache.
    #[track_caller]
    fn bazel(&self, name: &str, arguments: &[&str]) -> Finished {
        let path = |what: &str| self.world.path(&format!("{name}-{what}")).display().to_string();
        let mut bazel: Command = self.world.foreign(BAZEL);
        bazel.current_dir(self.world.path("knots"));
        bazel.args(["--batch".to_owned(), format!("--output_user_root={}", path("out"))]).args(arguments);
        bazel.args(["--color=no", "--curses=no"]).arg(format!("--repository_cache={}", path("cache")));
        run(&mut bazel, &self.world.path(name), PATIENCE)
    }

    /// That Bazel succeeded, with exactly the bytes of the bucket.
    #[track_caller]
    fn built(&self, finished: &Finished) {
        let log = || format!("{}\n{}\n{}", finished.stdout, finished.stderr, self.daemon.process.stderr());
        assert_eq!(finished.code, Some(0), "{}", log());
        let output = |name: &str| fs::read_to_string(self.world.path("knots/bazel-bin").join(name)).unwrap();
        let words = hex(b"bowline bend hitch\n");
        let fetched = output("fetched.txt");
        let sums: Vec<&str> = fetched.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(sums, [hex(&self.files[GUAVA]), words, hex(&self.files[LANG3])]);
        assert_eq!(output("knot.txt"), "Bowline\n", "javac and java ran with the fetched jar");
    }

    /// S3 was asked, and never refused a session.
    #[track_caller]
    fn s3_never_refused(&self) {
        let counts = self.world.cloud().counts();
        let answered = counts.sum("s3.GetObject.200") + counts.sum("s3.GetObject.404.NoSuchKey");
        assert!(answered >= 3 && counts.sum("s3.GetObject") == answered, "{:?}", counts.calls);
        assert!(counts.sum("sso.GetRoleCredentials.ok") >= 2, "sessions rotated under the build: {:?}", counts.calls);
    }
}

/// `words-1.0.tar.gz`, as GNU tar makes it.
fn words(world: &World) -> Vec<u8> {
    world.write("words-1.0/words.txt", "bowline bend hitch\n");
    let mut tar = world.foreign("/bin/tar");
    tar.args(["-czf", "words.tar.gz", "words-1.0"]);
    assert_eq!(world.run_foreign("tar", &mut tar).code, Some(0));
    fs::read(world.path("words.tar.gz")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn bazel_builds_through_the_proxy_while_sessions_of_two_seconds_rotate() {
    if let Some(missing) = missing() {
        skip!("Bazel through the proxy: {missing}");
    }
    let project = Project::new("bazel");
    project.name_repository(&project.proxy());
    // The line of docs/guide/bazel.md.
    project.world.write("knots/.bazelrc", "build --define=maven_repo=http://localhost:9000/\n");
    let build = project.bazel("build", &["build", "//:fetched", "//:knot", "//:defined"]);
    project.built(&build);
    let defined = fs::read_to_string(project.world.path("knots/bazel-bin/defined.txt")).unwrap();
    assert_eq!(defined, "http://localhost:9000/\n");
    let (refused, _) = build.stderr.split_once("words-1.0.tar.gz failed").expect("one place does not have it");
    assert!(refused.contains("elsewhere") && build.stderr.contains("404"), "{}", build.stderr);
    project.s3_never_refused();
}

#[test]
fn bazel_builds_from_central_through_the_proxy_by_the_downloader_config_alone() {
    if let Some(missing) = missing() {
        skip!("Bazel's downloader config: {missing}");
    }
    let project = Project::new("bazel-downloader");
    project.name_repository("https://repo1.maven.org/maven2/");
    let proxy = project.daemon.artifacts;
    let config = format!("rewrite repo1\\.maven\\.org/maven2/(.*) http://{proxy}/$1\nallow {}\nblock *\n", proxy.ip());
    project.world.write("knots/bazel_downloader.cfg", &config);
    project.world.write("knots/.bazelrc", "common --experimental_downloader_config=bazel_downloader.cfg\n");
    let build = project.bazel("build", &["build", "//:fetched", "//:knot"]);
    project.built(&build);
    assert!(build.stderr.contains("Rewritten [https://repo1.maven.org/maven2/"), "{}", build.stderr);
    project.s3_never_refused();
}

#[test]
fn bazel_never_takes_a_broken_download_or_other_bytes_for_what_was_pinned() {
    if let Some(missing) = missing() {
        skip!("Bazel's broken downloads: {missing}");
    }
    let project = Project::new("bazel-broken");
    project.name_repository(&project.proxy());
    // S3 breaks off, and again at each of the proxy's own resumptions: then the client is cut off, by a reset. Bazel 4 takes
    // an orderly end for the end of the file (bazelbuild/bazel#12010), and asks again after a reset.
    let cut = |bytes, times| Fault::new("s3.GetObject", Effect::Truncate(bytes)).object("guava").times(times);
    project.world.cloud().fault(cut(1_000_000, 1));
    project.world.cloud().fault(cut(0, 3));
    let broken = project.bazel("broken", &["fetch", "@guava//file"]);
    assert_eq!(broken.code, Some(0), "{}\n{}", broken.stderr, project.daemon.process.stderr());
    assert!(project.daemon.process.stderr().contains("cut off"), "the fill did break");
    let wrong = project.files[WORDS].iter().rev().copied().collect::<Vec<u8>>();
    project.world.cloud().put_object(clock::now(), "maven", &format!("releases/{WORDS}"), wrong);
    let refused = project.bazel("refuse", &["fetch", "@words//:words.txt"]);
    assert!(refused.code != Some(0) && refused.stderr.contains("Checksum was"), "{}", refused.stderr);
}

#[test]
fn bazel_fetches_on_when_s3_breaks_off_in_the_middle() {
    if let Some(missing) = missing() {
        skip!("Bazel's downloads in pieces: {missing}");
    }
    let project = Project::new("bazel-pieces");
    project.name_repository(&project.proxy());
    // The proxy asks for the rest by Range, and Bazel sees one whole download.
    project.world.cloud().fault(Fault::new("s3.GetObject", Effect::Truncate(1_000_000)).object("guava").times(2));
    let fetched = project.bazel("pieces", &["fetch", "@guava//file"]);
    assert_eq!(fetched.code, Some(0), "{}\n{}", fetched.stderr, project.daemon.process.stderr());
    let calls = project.world.cloud().counts().calls;
    assert!(project.world.cloud().counts().sum("s3.GetObject") >= 3, "two breaks, three questions: {calls:?}");
}
