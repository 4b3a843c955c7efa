//! `artifacts serve` without a file: flags over environment over defaults, as one section of the configuration.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};

use crate::{
    cli::ArtifactsServe,
    config::{
        AccessSection, ArtifactsSection, CacheSection, KeySection, Origin, RepositorySection, SecretPlace, TlsSection,
    },
    environment::Environment,
};

/// The section that `arguments` and `environment` ask for, on top of what a configuration file has.
pub(crate) fn section(
    arguments: &ArtifactsServe,
    environment: &Environment,
    file: Option<ArtifactsSection>,
) -> Result<ArtifactsSection, Fault> {
    let told = listen(arguments, environment)?;
    let base = match file {
        Some(section) => section,
        None if told.is_some() => ArtifactsSection::default(),
        None => usual(environment.listen()?),
    };
    let repositories = match places(arguments, environment)? {
        from if from.is_empty() => base.repositories,
        from => vec![RepositorySection { path: "/".to_owned(), from }],
    };
    if repositories.is_empty() {
        return Err(nothing_to_serve());
    }
    Ok(ArtifactsSection {
        identity: arguments
            .profile
            .clone()
            .or_else(|| environment.var("AWS_PROFILE").map(ToOwned::to_owned))
            .or(base.identity),
        listen: told.unwrap_or(base.listen),
        cache: CacheSection {
            path: arguments.cache.as_deref().map(whole).transpose()?.or(base.cache.path),
            max_size: arguments.max_size.unwrap_or(base.cache.max_size),
            memory: arguments.memory.unwrap_or(base.cache.memory),
        },
        metadata_ttl: arguments.metadata_ttl.unwrap_or(base.metadata_ttl),
        negative_ttl: arguments.negative_ttl.unwrap_or(base.negative_ttl),
        upstream_timeout: arguments.upstream_timeout.unwrap_or(base.upstream_timeout),
        stale_for: base.stale_for,
        region: arguments.region.clone().or(base.region),
        access: access(arguments, base.access)?,
        tls: tls(arguments, base.tls)?,
        repositories,
    })
}

/// Where nothing else is said, at `ip`.
fn usual(ip: IpAddr) -> ArtifactsSection {
    let standard = ArtifactsSection::default();
    let listen = standard.listen.iter().map(|address| SocketAddr::new(ip, address.port())).collect();
    ArtifactsSection { listen, ..standard }
}

fn access(arguments: &ArtifactsServe, file: AccessSection) -> Result<AccessSection, Fault> {
    let token = |path: &PathBuf| -> Result<AccessSection, Fault> {
        let secret = SecretPlace::File(whole(path)?);
        let key = KeySection { name: "token-file".to_owned(), scheme: bowline_artifacts::Scheme::Token, secret };
        Ok(AccessSection::Keys(vec![key]))
    };
    match (&arguments.token_file, arguments.open) {
        (Some(path), _) => token(path),
        (None, true) => Ok(AccessSection::Open),
        (None, false) => Ok(file),
    }
}

fn tls(arguments: &ArtifactsServe, file: Option<TlsSection>) -> Result<Option<TlsSection>, Fault> {
    match (&arguments.tls_certificate, &arguments.tls_private_key) {
        (Some(certificate), Some(key)) => {
            Ok(Some(TlsSection { certificate: whole(certificate)?, private_key: whole(key)? }))
        }
        _ => Ok(file),
    }
}

fn whole(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|cause| wrong(cause.to_string(), "a path"))
}

fn places(arguments: &ArtifactsServe, environment: &Environment) -> Result<Vec<Origin>, Fault> {
    let bucket = environment.var("S3_BUCKET_NAME").map(|name| format!("s3://{}", name.trim_start_matches("s3://")));
    let texts = if arguments.from.is_empty() { bucket.into_iter().collect() } else { arguments.from.clone() };
    texts
        .iter()
        .map(|text| Origin::parse(&absolute(text)).map_err(|message| wrong(message, "s3://bucket/prefix")))
        .collect()
}

/// A directory on the command line may be relative to where the user is.
fn absolute(text: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| path.display().to_string())
}

fn listen(arguments: &ArtifactsServe, environment: &Environment) -> Result<Option<Vec<SocketAddr>>, Fault> {
    if !arguments.listen.is_empty() {
        return Ok(Some(arguments.listen.clone()));
    }
    let Some(port) = environment.var("PROXY_PORT") else { return Ok(None) };
    let port: u16 = port.parse().map_err(|_| wrong(format!("PROXY_PORT `{port}` is not a port"), "PROXY_PORT=9000"))?;
    Ok(Some(vec![SocketAddr::new(environment.listen()?, port)]))
}

fn nothing_to_serve() -> Fault {
    Fault::new(Kind::Config, "artifacts", "no repository to serve").hint(
        "bowline artifacts serve --profile PROFILE --from s3://bucket/prefix, or set S3_BUCKET_NAME, or write [[artifacts.repository]]",
    )
}

fn wrong(message: String, example: &str) -> Fault {
    Fault::new(Kind::Config, "artifacts", message).hint(format!("write it as {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Artifacts, Cli, Command};
    use clap::Parser as _;

    fn read(arguments: &[&str], variables: &[(&str, &str)]) -> Result<ArtifactsSection, Fault> {
        let line = ["bowline", "artifacts", "serve"].iter().chain(arguments);
        let Command::Artifacts(Artifacts::Serve(arguments)) = Cli::parse_from(line).command else { unreachable!() };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        section(&arguments, &Environment::of(variables), None)
    }

    #[test]
    fn the_predecessors_variables_are_enough() {
        let section =
            read(&[], &[("S3_BUCKET_NAME", "corp-maven"), ("PROXY_PORT", "9100"), ("AWS_PROFILE", "build")]).unwrap();
        assert_eq!(section.listen, [SocketAddr::from(([127, 0, 0, 1], 9100))]);
        assert_eq!(section.identity.as_deref(), Some("build"));
        assert_eq!(
            section.repositories[0].from,
            [Origin::S3 { bucket: "corp-maven".to_owned(), prefix: String::new() }]
        );
    }

    /// The image names every address; a file says itself where.
    #[test]
    fn where_nobody_says_where_the_environment_does() {
        let everywhere = ("BOWLINE_LISTEN", "0.0.0.0");
        let listen = |variables: &[(&str, &str)]| read(&["--from", "/srv"], variables).unwrap().listen[0].to_string();
        assert_eq!((listen(&[]).as_str(), listen(&[everywhere]).as_str()), ("127.0.0.1:9000", "0.0.0.0:9000"));
        assert_eq!(listen(&[everywhere, ("PROXY_PORT", "9100")]), "0.0.0.0:9100");
        let environment = Environment::of([("BOWLINE_LISTEN".to_owned(), "0.0.0.0".to_owned())].into());
        let file = ArtifactsSection {
            repositories: vec![RepositorySection {
                path: "/".to_owned(),
                from: vec![Origin::Directory("/srv".into())],
            }],
            ..ArtifactsSection::default()
        };
        let told = section(&ArtifactsServe::default(), &environment, Some(file)).unwrap();
        assert_eq!(told.listen[0].to_string(), "127.0.0.1:9000");
    }

    #[test]
    fn flags_win_over_the_environment() {
        let section = read(
            &["--from", "s3://other/x", "--listen", "127.0.0.1:1"],
            &[("S3_BUCKET_NAME", "corp"), ("PROXY_PORT", "2")],
        );
        let section = section.unwrap();
        assert_eq!(section.listen[0].port(), 1);
        assert_eq!(section.repositories[0].from, [Origin::S3 { bucket: "other".to_owned(), prefix: "x".to_owned() }]);
    }

    #[test]
    fn without_a_repository_the_next_command_is_told() {
        assert!(read(&[], &[]).unwrap_err().hint.unwrap().contains("S3_BUCKET_NAME"));
    }
}
