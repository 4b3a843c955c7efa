//! `vpn setup`: which server, known by which certificate, with which key; and both again for the other commands.

use std::{fs, io, io::Read as _, path::PathBuf, sync::Arc};

use bowline_base::{Fault, Kind, Secret, atomic};
use bowline_host::{HttpWire, client::Outside, client::random_bytes, tls::Pin};
use bowline_vault::envelope::{SealingKey, is_sealed, open_value};
use bowline_vpn::client::{Account, Api, Owner};

use crate::{
    cli::VpnSetup,
    environment::Environment,
    output, terminal,
    world::{self, small_runtime},
};

pub(super) fn setup(environment: &Environment, arguments: &VpnSetup) -> Result<(), Fault> {
    let account = Account::new(&arguments.url, arguments.pin)?;
    let key = key(environment, arguments)?;
    let api = api_of(environment, account.clone(), key.clone())?;
    let asked = small_runtime()?.block_on(async {
        api.health().await?;
        api.owner().await
    });
    let whose = match asked.map_err(|fault| with_certificate(environment, &account, fault))? {
        Owner::Administrator => "the administrator's key",
        Owner::User => "a user's key",
    };
    let folder = folder(environment);
    let kept = |cause: io::Error| {
        Fault::new(Kind::Config, "vpn", format!("cannot write into `{}`", folder.display())).cause(cause)
    };
    atomic::private_directory(&folder).map_err(kept)?;
    let (text, how) = sealed(environment, &key)?;
    atomic::write_private(&folder.join("account.json"), account.text().as_bytes()).map_err(kept)?;
    atomic::write_private(&folder.join("key"), text.expose().as_bytes()).map_err(kept)?;
    output::say(&format!("set up: {}; {whose}, {how}", account.url));
    Ok(())
}

/// The API of the server that was set up.
pub(super) fn api(environment: &Environment) -> Result<Api, Fault> {
    let (account, key) = (account(environment)?, kept_key(environment)?);
    api_of(environment, account, key)
}

/// The server that was set up.
pub(super) fn account(environment: &Environment) -> Result<Account, Fault> {
    let path = folder(environment).join("account.json");
    let missing = || {
        Fault::new(Kind::Config, "vpn", "no server is set up")
            .hint("bowline vpn setup https://HOST:8000 --pin sha256:…")
    };
    let text = fs::read_to_string(path).map_err(|_| missing())?;
    Account::parse(&text).ok_or_else(missing)
}

/// The key for it.
pub(super) fn kept_key(environment: &Environment) -> Result<Secret, Fault> {
    if let Some(key) = environment.var("BOWLINE_VPN_KEY") {
        return Ok(Secret::new(key.trim()));
    }
    let wrong = |what: &str| {
        Fault::new(Kind::Config, "vpn", format!("the key for the server {what}")).hint("bowline vpn setup")
    };
    let text = fs::read_to_string(folder(environment).join("key")).map(Secret::new);
    let text = text.map_err(|cause| wrong("cannot be read").cause(cause))?;
    if !is_sealed(text.expose()) {
        return Ok(text);
    }
    let path = world::setup(environment)?.vault.ssh_key;
    let file = bowline_credentials::vault::key_file(&path)?;
    open_value(&text, &file)
        .ok_or_else(|| wrong(&format!("was sealed with other bytes than those of `{}`", path.display())))
}

/// The client's state: `vpn` in the state directory.
pub(super) fn folder(environment: &Environment) -> PathBuf {
    environment.state_directory().join("vpn-client")
}

fn api_of(environment: &Environment, account: Account, key: Secret) -> Result<Api, Fault> {
    let outside = Outside { pin: account.pin, ..environment.outside() };
    Ok(Api::new(Arc::new(HttpWire::new(&outside)?), account, key))
}

/// From the file, the environment, the terminal or stdin.
fn key(environment: &Environment, arguments: &VpnSetup) -> Result<Secret, Fault> {
    let wrong = |what: String| Fault::new(Kind::Config, "vpn", what).hint("bowline vpn setup URL --key-file FILE");
    let found = match (&arguments.key_file, environment.var("BOWLINE_VPN_KEY")) {
        (Some(path), _) => {
            let read = fs::read_to_string(path);
            Secret::new(read.map_err(|cause| wrong(format!("cannot read `{}`", path.display())).cause(cause))?.trim())
        }
        (None, Some(key)) => Secret::new(key.trim()),
        (None, None) => match terminal::ask_hidden("Key for the server: ")? {
            Some(key) => key,
            None => from_stdin().map_err(|cause| wrong("cannot read stdin".to_owned()).cause(cause))?,
        },
    };
    if found.is_blank() { Err(wrong("no key was given".to_owned())) } else { Ok(found) }
}

fn from_stdin() -> io::Result<Secret> {
    let mut text = String::new();
    io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// The text to keep, and how that is told.
fn sealed(environment: &Environment, key: &Secret) -> Result<(Secret, String), Fault> {
    let path = world::setup(environment)?.vault.ssh_key;
    let file = bowline_credentials::vault::key_file(&path).ok();
    match file.and_then(|file| SealingKey::new(&file).ok()) {
        Some((sealing, _)) => {
            let text = Secret::new(sealing.seal(key, random_bytes()?));
            Ok((text, format!("sealed with the bytes of `{}`", path.display())))
        }
        None => Ok((
            key.clone(),
            format!("in a file for its owner only (no protected SSH key at `{}` to seal it with)", path.display()),
        )),
    }
}

/// A server that nobody vouches for is shown with its certificate, for a person to compare.
fn with_certificate(environment: &Environment, account: &Account, fault: Fault) -> Fault {
    if account.pin.is_some() || !account.url.starts_with("https:") || !fault.chain().contains("certificate") {
        return fault;
    }
    let nobody = Account { pin: Some(Pin::of(b"")), ..account.clone() };
    let shown = api_of(environment, nobody, Secret::new("-")).and_then(|api| small_runtime()?.block_on(api.health()));
    let chain = shown.err().map(|fault| fault.chain()).unwrap_or_default();
    let pin = chain.split("certificate is ").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
    match pin {
        Some(pin) => {
            fault.hint(format!("if the server printed the same: bowline vpn setup {} --pin {pin}", account.url))
        }
        None => fault,
    }
}
