//! `bowline exec PROFILE --container IMAGE`: the endpoint for a container. Its environment holds an address and a path,
//! and no key; the token file is mounted read-only, as a directory, so that a rotation by rename shows inside.

use std::{path::Path, process::ExitCode};

use bowline_base::{Fault, shell::quoted};
use bowline_credentials::delivery::env::endpoint_environment;

use super::{exec::parent, scope::Scope};
use crate::{output, world::World};

/// Where the token file appears in the container.
const INSIDE: &str = "/run/bowline";

pub(super) fn run(
    world: &World,
    scope: Scope,
    image: &str,
    region: Option<&str>,
    command: &[String],
) -> Result<ExitCode, Fault> {
    let arguments = arguments(scope.directory(), &scope.exports(), region, image, command);
    let engine = ["docker", "podman"].into_iter().find(|engine| {
        let probe = [*engine, "version"].map(ToOwned::to_owned);
        scope.succeeds(&probe, world.environment.all())
    });
    let Some(engine) = engine else {
        output::data(&format!("docker {}\n", arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")))?;
        output::say("note: no container engine answers here; run the line above, the endpoint is served until Ctrl+C");
        return scope.stay().map(|()| ExitCode::SUCCESS);
    };
    let argv: Vec<String> = std::iter::once(engine.to_owned()).chain(arguments).collect();
    scope.run(&argv, &endpoint_environment(parent(world), &[], region))
}

/// On the host's network: SDKs take a plain-http address on loopback only.
fn arguments(
    directory: &Path,
    exports: &[(&'static str, String)],
    region: Option<&str>,
    image: &str,
    command: &[String],
) -> Vec<String> {
    let mut arguments = ["run", "--rm", "--interactive", "--network", "host"].map(ToOwned::to_owned).to_vec();
    arguments.extend(["--volume".to_owned(), format!("{}:{INSIDE}:ro", directory.display())]);
    let mut variable = |name: &str, value: &str| arguments.extend(["--env".to_owned(), format!("{name}={value}")]);
    for (name, value) in exports {
        let inside = value.replace(&directory.display().to_string(), INSIDE);
        variable(name, &inside);
    }
    if let Some(region) = region {
        variable("AWS_REGION", region);
    }
    arguments.push(image.to_owned());
    arguments.extend_from_slice(command);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_given_an_address_and_a_mounted_file_and_no_key() {
        let exports = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:4711/v1/role/build".to_owned()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/run/x/exec-1/token".to_owned()),
        ];
        let command = ["sh".to_owned(), "-c".to_owned(), "a b".to_owned()];
        let arguments = arguments(Path::new("/run/x/exec-1"), &exports, Some("eu-central-1"), "alpine:3", &command);
        assert_eq!(
            arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
            "run --rm --interactive --network host --volume /run/x/exec-1:/run/bowline:ro \
             --env AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:4711/v1/role/build \
             --env AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/bowline/token --env AWS_REGION=eu-central-1 \
             alpine:3 sh -c 'a b'"
        );
    }
}
