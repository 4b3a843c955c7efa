//! From the flags to an identity and its world. What stands for a key outside of files is refused here.

use std::path::{Path, PathBuf};

use bowline_aws::{Endpoints, Service};
use bowline_awsfiles::{self as awsfiles, RolesAnywhere};
use bowline_base::{Fault, Kind};
use bowline_credentials::x509;
use bowline_host::client::Outside;

use super::cli::{Absent, Password, Session};
use crate::{environment::Environment, output, world::World};

/// What the identity of the flags is called.
const NAME: &str = "aws_signing_helper";

/// A world with the identity that `session` describes in it, and the name of that.
pub(super) fn open(environment: Environment, session: &Session) -> Result<(World, String), Fault> {
    let identity = identity(session)?;
    let around = environment.outside();
    // The tool goes through a proxy only when it is told to.
    let https_proxy = around.https_proxy.filter(|_| session.switches.with_proxy);
    let unverified = session.switches.no_verify_ssl;
    if unverified {
        output::say(
            "note: with --no-verify-ssl everybody on the way to AWS can take the credentials; AWS_CA_BUNDLE names a CA",
        );
    }
    let mut world = World::by_way_of(environment, &Outside { https_proxy, unverified, ..around })?;
    if let Some(url) = &session.endpoint {
        world.setup.endpoints = endpoint(url)?.or(&world.setup.endpoints);
    }
    world.setup.identities = vec![identity];
    Ok((world, NAME.to_owned()))
}

/// The name of the role, without its path: what instance metadata calls it.
pub(super) fn role_name(arn: &str) -> Result<&str, Fault> {
    let role = arn.strip_prefix("arn:").and_then(|rest| rest.split_once(":role/")).map(|(_, path)| path);
    let name = role.and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    name.ok_or_else(|| {
        wrong(format!("`{arn}` is not the ARN of a role")).hint("write it as arn:aws:iam::ACCOUNT:role/NAME")
    })
}

/// The file with a key or certificate, with an absolute path.
pub(super) fn file(path: &Path) -> Result<PathBuf, Fault> {
    let text = path.to_string_lossy();
    if text.starts_with("pkcs11:") {
        return Err(not_here("PKCS#11 tokens", &format!("`{text}`")));
    }
    if text.starts_with("handle:") {
        return Err(not_here("keys of a TPM", &format!("`{text}`")));
    }
    std::path::absolute(path).map_err(|cause| wrong(format!("`{text}` has no absolute path")).cause(cause))
}

/// Says no to flags that stand for a key outside of files.
pub(super) fn refuse(absent: &Absent) -> Result<(), Fault> {
    let (store, token, tpm) = ("the operating system's certificate stores", "PKCS#11 tokens", "keys of a TPM");
    let given = [
        (absent.cert_selector.is_some(), "--cert-selector", store),
        (absent.system_store_name.is_some(), "--system-store-name", store),
        (absent.use_latest_expiring_certificate, "--use-latest-expiring-certificate", store),
        (absent.pkcs11_lib.is_some(), "--pkcs11-lib", token),
        (absent.reuse_pin, "--reuse-pin", token),
        (absent.tpm_key_password.is_some(), "--tpm-key-password", tpm),
        (absent.no_tpm_key_password, "--no-tpm-key-password", tpm),
    ];
    match given.iter().find(|(is_given, ..)| *is_given) {
        Some((_, flag, what)) => Err(not_here(what, &format!("`{flag}`"))),
        None => Ok(()),
    }
}

/// Where the password of a key is. Warns of one that everybody can read.
pub(super) fn password(given: &Password) -> Option<awsfiles::Password> {
    if let Some(path) = &given.pkcs8_password_file {
        return Some(awsfiles::Password::File(path.clone()));
    }
    let password = given.pkcs8_password.clone().filter(|password| !password.is_blank())?;
    output::say("note: other users see a password on the command line; put it into a file for --pkcs8-password-file");
    Some(awsfiles::Password::Given(password))
}

pub(super) fn wrong(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Config, NAME, message)
}

fn identity(session: &Session) -> Result<RolesAnywhere, Fault> {
    refuse(&session.absent)?;
    role_name(&session.role_arn)?;
    let lacking = || wrong("`--certificate` is missing").hint("add `--certificate FILE`");
    let certificate = file(session.certificate.as_deref().ok_or_else(lacking)?)?;
    let private_key = session.private_key.as_deref().map(file).transpose()?;
    Ok(RolesAnywhere {
        name: NAME.to_owned(),
        edition: Some(x509::edition(&certificate)?),
        certificate,
        intermediates: session.intermediates.as_deref().map(file).transpose()?,
        private_key,
        password: password(&session.password),
        trust_anchor: session.trust_anchor_arn.clone(),
        profile: session.profile_arn.clone(),
        role: session.role_arn.clone(),
        session_name: session.role_session_name.clone().filter(|name| !name.is_empty()),
        duration: Some(session.session_duration),
        region: session.region.clone().filter(|region| !region.is_empty()),
    })
}

fn endpoint(url: &str) -> Result<Endpoints, Fault> {
    let variable = Service::RolesAnywhere.variable();
    Endpoints::from_lookup(|name| (name == variable).then(|| url.to_owned())).map_err(|fault| {
        let message = fault.message.replace(variable, "`--endpoint`");
        Fault { message, ..fault }.hint("write it like `https://host` or `http://127.0.0.1:4566`")
    })
}

fn not_here(what: &str, given: &str) -> Fault {
    wrong(format!("{given}: Bowline signs with keys in files, and does not know {what}"))
        .hint("give `--certificate FILE --private-key FILE`, or keep AWS's own aws_signing_helper for this key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_named_without_its_path() {
        assert_eq!(role_name("arn:aws:iam::111122223333:role/site").unwrap(), "site");
        assert_eq!(role_name("arn:aws-cn:iam::111122223333:role/a/b/site").unwrap(), "site");
        for bad in ["", "site", "arn:aws:iam::1:user/x", "arn:aws:iam::1:role/"] {
            assert!(role_name(bad).unwrap_err().message.contains("not the ARN of a role"), "{bad}");
        }
    }

    #[test]
    fn what_is_not_in_a_file_is_refused_by_its_name() {
        let told = |absent: &Absent| refuse(absent).unwrap_err().message;
        assert!(told(&Absent { pkcs11_lib: Some("x".into()), ..Absent::default() }).contains("PKCS#11"));
        assert!(told(&Absent { no_tpm_key_password: true, ..Absent::default() }).contains("TPM"));
        assert!(told(&Absent { cert_selector: Some("x".into()), ..Absent::default() }).contains("certificate stores"));
        assert!(refuse(&Absent::default()).is_ok());
        assert!(file(Path::new("pkcs11:object=x")).is_err() && file(Path::new("handle:0x81000000")).is_err());
        assert!(file(Path::new("a.pem")).unwrap().is_absolute());
    }
}
