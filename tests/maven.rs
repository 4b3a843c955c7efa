//! Real Maven builds a project through the proxy, from an empty local repository, while sessions last 5 s.

use std::{path::Path, process::Command, time::Duration};

use crate::harness::{World, copy_tree, run, skip};

/// Debian's own repository: what libmaven-*-plugin-java and libsurefire-java install.
pub(crate) const REPOSITORY: &str = "/usr/share/maven-repo";

/// The plugins that tests/maven/project asks for.
const PLUGINS: [&str; 4] = [
    "maven-resources-plugin/3.3.0",
    "maven-compiler-plugin/3.10.1",
    "maven-surefire-plugin/2.22.3",
    "maven-jar-plugin/3.3.0",
];

const REPOSITORIES: &str = "
[[artifacts.repository]]
path = \"/one\"
from = \"s3://maven-one\"

[[artifacts.repository]]
path = \"/two\"
from = \"s3://maven-two\"
";

/// What this machine lacks for a build.
pub(crate) fn missing() -> Option<String> {
    if !Path::new("/usr/bin/mvn").exists() {
        return Some("no mvn (Debian: maven)".to_owned());
    }
    let plugins = Path::new(REPOSITORY).join("org/apache/maven/plugins");
    let absent = PLUGINS.into_iter().find(|plugin| !plugins.join(plugin).exists())?;
    Some(format!("no {absent} in {REPOSITORY} (Debian 12: libmaven-*-plugin-java, libsurefire-java)"))
}

/// A fresh copy of the project, built from an empty local repository against `mirror`.
pub(crate) fn build(world: &World, name: &str, mirror: &str) -> Command {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/maven");
    let project = world.path(name);
    copy_tree(&sources.join("project"), &project);
    let mut mvn = world.foreign("/usr/bin/mvn");
    mvn.current_dir(&project).args(["-B", "-ntp", "-s"]).arg(sources.join("settings.xml"));
    mvn.arg(format!("-Dmirror.url={mirror}")).arg(format!("-Dmaven.repo.local={}", project.join("m2").display()));
    mvn.arg("package");
    mvn
}

#[test]
fn maven_builds_cold_while_sessions_of_five_seconds_rotate() {
    if let Some(missing) = missing() {
        skip!("Maven through the proxy: {missing}");
    }
    let world = World::new("maven", |settings| settings.role_lifetime = Duration::from_secs(5));
    world.cloud().add_directory("maven-one", Path::new(REPOSITORY));
    world.cloud().add_directory("maven-two", Path::new(REPOSITORY));
    world.sign_in();
    let daemon = world.daemon(REPOSITORIES);
    for round in ["one", "two"] {
        let mirror = format!("http://{}/{round}", daemon.artifacts);
        let built = run(&mut build(&world, round, &mirror), &world.path("mvn"), Duration::from_secs(15));
        assert!(built.stdout.contains("BUILD SUCCESS"), "{}\n{}", built.stdout, daemon.process.stderr());
        assert!(world.path(round).join("target/knot-1.0.jar").exists());
    }
    let counts = world.cloud().counts();
    assert!(counts.sum("s3.GetObject.200") >= 200, "both builds were cold: {:?}", counts.calls);
    assert!(counts.sum("sso.GetRoleCredentials.ok") >= 3, "sessions rotated under the builds: {:?}", counts.calls);
    let answered = counts.sum("s3.GetObject.200") + counts.sum("s3.GetObject.404.NoSuchKey");
    assert_eq!(counts.sum("s3.GetObject"), answered, "S3 never refused: {:?}", counts.calls);
}
