//! `bowline artifacts tls init` and `setup`: what the server needs to serve TLS, and what build tools need to use it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};
use bowline_host::{authority, clock};

use super::proxy_place;
use crate::{
    cli::{ArtifactsSetup, ArtifactsTlsInit, BuildTool},
    environment::Environment,
    output,
};

pub(crate) fn tls_init(environment: &Environment, arguments: &ArtifactsTlsInit) -> Result<(), Fault> {
    let directory = arguments.directory.clone().unwrap_or_else(|| environment.state_directory().join("tls"));
    let directory = std::path::absolute(&directory)
        .map_err(|cause| Fault::new(Kind::Config, "tls", "the directory has no absolute path").cause(cause))?;
    let mut names = arguments.name.clone();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let made = authority::make(&directory, &names, clock::now().wall)?;
    let kept = if made.kept_authority { "the authority was there and is kept" } else { "a new authority was made" };
    output::say(&format!("{kept}; the server's certificate is for {} and lasts 397 days", names.join(", ")));
    output::data(&instructions(&made, &names[0]))
}

fn instructions(made: &authority::Made, host: &str) -> String {
    let (authority, store) = (made.authority.display(), made.authority.with_file_name("truststore.p12"));
    let store = store.display();
    format!(
        "# bowline.toml, in [artifacts]:\n\
         tls = {{ certificate = \"{}\", private-key = \"{}\" }}\n\n\
         # On each client, once; copy {authority} there (never ca.key):\n\
         keytool -importcert -noprompt -alias bowline -file {authority} -keystore {store} -storetype PKCS12 -storepass changeit\n\n\
         # .bazelrc:\n\
         startup --host_jvm_args=-Djavax.net.ssl.trustStore={store}\n\
         startup --host_jvm_args=-Djavax.net.ssl.trustStorePassword=changeit\n\n\
         # Maven, in .mvn/jvm.config; its settings.xml: bowline artifacts setup maven --url https://{host}:9000/\n\
         -Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit\n\n\
         # curl:\n\
         curl --cacert {authority} https://{host}:9000/healthz\n",
        made.certificate.display(),
        made.private_key.display(),
    )
}

pub(crate) fn print(environment: &Environment, file: Option<PathBuf>, arguments: &ArtifactsSetup) -> Result<(), Fault> {
    let place = proxy_place::find(environment, file, arguments.url.as_deref(), None::<&Path>)?;
    match arguments.tool {
        BuildTool::Bazel => output::data(&downloader(&place.url, &arguments.instead_of)?),
        BuildTool::Maven => output::data(&settings(&place.url)),
    }
}

/// Rules of Bazel's downloader: the proxy first, the repository itself when it does not answer.
fn downloader(url: &str, instead_of: &[String]) -> Result<String, Fault> {
    let mut text = String::from(
        "# In .bazelrc (before Bazel 5: --experimental_downloader_config):\n#   common --downloader_config=.bazel_downloader.cfg\n",
    );
    for repository in instead_of {
        let bare = repository
            .trim_end_matches('/')
            .split_once("://")
            .map(|(_, rest)| rest)
            .filter(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._/:~".contains(c)));
        let bare = bare.ok_or_else(|| {
            Fault::new(Kind::Config, "setup", format!("`{repository}` is no repository"))
                .hint("write it as https://repo1.maven.org/maven2")
        })?;
        let pattern = bare.replace('.', "\\.");
        writeln!(text, "rewrite {pattern}/(.*) {url}/$1").ok();
        writeln!(text, "rewrite ({pattern}/.*) https://$1").ok();
    }
    Ok(text)
}

/// A settings.xml; the token comes from the environment, so that the file holds no secret.
fn settings(url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- Where the proxy asks for a token: export BOWLINE_ARTIFACTS_TOKEN before mvn. -->\n\
         <settings xmlns=\"http://maven.apache.org/SETTINGS/1.2.0\">\n\
         \x20 <servers>\n\
         \x20   <server>\n\
         \x20     <id>bowline</id>\n\
         \x20     <username>token</username>\n\
         \x20     <password>${{env.BOWLINE_ARTIFACTS_TOKEN}}</password>\n\
         \x20   </server>\n\
         \x20 </servers>\n\
         \x20 <mirrors>\n\
         \x20   <mirror>\n\
         \x20     <id>bowline</id>\n\
         \x20     <url>{url}/</url>\n\
         \x20     <mirrorOf>*</mirrorOf>\n\
         \x20   </mirror>\n\
         \x20 </mirrors>\n\
         </settings>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_downloader_asks_the_proxy_first_and_the_repository_itself_after_it() {
        let text = downloader("http://localhost:9000", &["https://repo1.maven.org/maven2/".to_owned()]).unwrap();
        let rules: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            rules,
            [
                "rewrite repo1\\.maven\\.org/maven2/(.*) http://localhost:9000/$1",
                "rewrite (repo1\\.maven\\.org/maven2/.*) https://$1",
            ]
        );
        for bad in ["repo1.maven.org", "https://x/ y", "https://x\nblock *"] {
            assert!(downloader("http://localhost:9000", &[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
