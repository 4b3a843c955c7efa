//! `bowline doctor --bundle FILE.tar.gz`: what whoever helps needs to see, without a secret.
//!
//! Of files with secrets only mode, size and age are told, of the environment only names. All else goes through
//! `redaction`. Nothing is sent anywhere: a person looks at the file and hands it on.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind, Secret, atomic, utc};
use bowline_credentials::client::{self, Answer};
use bowline_host::Check;
use serde_json::{Value, json};

use super::{
    Patient,
    archive::{File, tar_gz},
    redaction::Known,
    verdict,
};
use crate::{
    commands::audit::{places, verify_own},
    loopback, output,
};

const DIRECTORY: &str = "bowline-support";
/// Variables whose values say how a machine is set up, and are no secrets.
const SHOWN: [&str; 12] = [
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE",
    "BOWLINE_CONFIG",
    "BOWLINE_SOCKET",
    "HOME",
    "LANG",
    "LOG_LEVEL",
    "TERM",
    "XDG_RUNTIME_DIR",
];
/// Settings of AWS files that are shown with their values.
const HARMLESS: [&str; 10] = [
    "credential_source",
    "duration_seconds",
    "output",
    "region",
    "role_arn",
    "services",
    "source_profile",
    "sso_region",
    "sso_registration_scopes",
    "sso_session",
];

/// Writes the bundle with what `checks` found.
pub(super) fn write(patient: &Patient, checks: &[Check], path: &Path) -> Result<(), Fault> {
    let known = Known::new(secrets(patient));
    let files: Vec<File> = parts(patient, checks)
        .into_iter()
        .map(|File { name, text }| File { name, text: known.redact(&text) })
        .collect();
    let archive = tar_gz(DIRECTORY, &files, patient.now().as_second());
    atomic::write_private(path, &archive).map_err(|cause| {
        Fault::new(Kind::Refused, "doctor", format!("cannot write `{}`", path.display()))
            .cause(cause)
            .hint("name a file in a directory that you may write to")
    })?;
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    output::say(&format!(
        "wrote {} ({}), readable by you alone.\nSecrets, accounts and addresses behind hosts are hidden; look yourself before you hand it on:\n  tar -xzf {0} -O | less",
        path.display(),
        names.join(", ")
    ));
    Ok(())
}

fn parts(patient: &Patient, checks: &[Check]) -> Vec<File> {
    let page = patient.settings().daemon.listen;
    let file = |name, text| File { name, text };
    vec![
        file("README.txt", readme(patient)),
        file("doctor.txt", checks.iter().map(verdict::text).collect()),
        file("status.json", status(patient)),
        file("troubles.json", from_page(page, "/troubles.json")),
        file("metrics.txt", from_page(page, "/metrics")),
        file("bowline.toml", configuration(patient)),
        file("aws-config.txt", aws_files(patient)),
        file("environment.txt", environment(patient)),
        file("files.txt", listing(patient)),
        file("audit.txt", audit(patient)),
    ]
}

fn readme(patient: &Patient) -> String {
    let system = rustix::system::uname();
    format!(
        "Made by `bowline doctor --bundle` at {}.\nbowline {} on {} {} {}, uid {}\n\n\
         doctor.txt       what the doctor found\nstatus.json      how the daemon and its jobs stand\n\
         troubles.json    the last warnings of the daemon's log\nmetrics.txt      what it counts\n\
         bowline.toml     the configuration\naws-config.txt   sections and keys of the AWS files\n\
         environment.txt  names of variables\nfiles.txt        modes, sizes and ages of files, nothing of what is in them\n\
         audit.txt        whether the audit log is whole\n\nWhat is or looks like a secret, an account or a person is hidden.\n",
        utc(patient.now()),
        env!("CARGO_PKG_VERSION"),
        system.sysname().to_string_lossy(),
        system.release().to_string_lossy(),
        system.machine().to_string_lossy(),
        rustix::process::geteuid().as_raw(),
    )
}

fn status(patient: &Patient) -> String {
    let world = &patient.world;
    match client::status(&world.environment.daemon_socket(), &world.context()) {
        Ok(Answer::Good(text)) => match serde_json::from_str::<Value>(text.expose()) {
            Ok(document) => format!("{document:#}\n"),
            Err(error) => format!("the daemon's answer cannot be read: {error}\n"),
        },
        Ok(Answer::Fault(fault)) => format!("the daemon says: {}\n", fault.chain()),
        Err(reason) => format!("{reason}\n"),
    }
}

fn from_page(page: SocketAddr, path: &str) -> String {
    match loopback::get(page, path) {
        Ok(answer) => answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(answer),
        Err(error) => format!("the status page does not answer on {page}: {error}\n"),
    }
}

fn configuration(patient: &Patient) -> String {
    match &patient.file {
        None => "there is no bowline.toml\n".to_owned(),
        Some(path) => fs::read_to_string(path).unwrap_or_else(|error| format!("it cannot be read: {error}\n")),
    }
}

fn aws_files(patient: &Patient) -> String {
    let config = match patient.world.aws_config() {
        Ok(config) => config,
        Err(fault) => return format!("they cannot be read: {}\n", fault.chain()),
    };
    let mut text = String::new();
    for profile in config.profiles() {
        writeln!(text, "[profile {}]", profile.name()).expect("a String takes everything");
        let settings = [profile.in_config(), profile.in_credentials()].into_iter().flatten();
        for key in settings.flat_map(|section| section.settings.keys()) {
            let value = profile.text(key).filter(|_| HARMLESS.contains(&key.as_str())).unwrap_or("[not shown]");
            writeln!(text, "{key} = {value}").expect("a String takes everything");
        }
    }
    text
}

fn environment(patient: &Patient) -> String {
    let line = |(name, value): (&String, &String)| {
        let shown = SHOWN.contains(&name.as_str()) || name.starts_with("XDG_");
        if shown { format!("{name}={value}\n") } else { format!("{name} is set\n") }
    };
    patient.world.environment.all().iter().map(line).collect()
}

/// Of our own directories and of the AWS files: mode, owner, size, age, name.
fn listing(patient: &Patient) -> String {
    let environment = &patient.world.environment;
    let locations = &patient.world.setup.locations;
    let mut roots = vec![
        locations.config.clone(),
        locations.credentials.clone(),
        environment.runtime_directory(),
        environment.state_directory(),
        environment.data_directory(),
    ];
    // The machine's service has another than root.
    roots.extend(
        environment
            .daemon_socket()
            .parent()
            .filter(|folder| !roots.iter().any(|root| root == folder))
            .map(Path::to_owned),
    );
    let now = patient.now().as_second();
    let mut text = "mode    uid      bytes    age s  file\n".to_owned();
    for root in roots {
        list(&root, now, 3, &mut text);
    }
    text
}

fn list(path: &Path, now: i64, depth: u8, text: &mut String) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        writeln!(text, "missing                        {}", path.display()).expect("a String takes everything");
        return;
    };
    let (mode, age) = (metadata.mode() & 0o7777, now.saturating_sub(metadata.mtime()));
    let line = format!("{mode:04o} {:6} {:10} {age:8}  {}", metadata.uid(), metadata.len(), path.display());
    writeln!(text, "{line}").expect("a String takes everything");
    if !metadata.is_dir() || depth == 0 {
        return;
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|one| one.path()).collect();
    entries.sort();
    for entry in entries.iter().take(MOST) {
        list(entry, now, depth - 1, text);
    }
    if entries.len() > MOST {
        writeln!(text, "… and {} more in {}", entries.len() - MOST, path.display()).expect("a String takes everything");
    }
}

/// Entries of one directory that are listed.
const MOST: usize = 50;

fn audit(patient: &Patient) -> String {
    let verdict = verify_own(&places(&patient.world.environment, &patient.settings().audit));
    match verdict {
        Ok(verdict) => {
            let bad = verdict.bad.as_ref().map(|bad| format!("{}:{} {}", bad.file, bad.line, bad.flaw));
            format!("{:#}\n", json!({ "lines": verdict.lines, "signed_to": verdict.signed_to, "bad": bad }))
        }
        Err(fault) => format!("{}\n", fault.chain()),
    }
}

/// What must not leave, by its value: variables that hold secrets, and the keys of the AWS files.
fn secrets(patient: &Patient) -> Vec<Secret> {
    let secretive = |name: &str| {
        ["SECRET", "TOKEN", "PASSWORD", "PASSPHRASE", "KEY", "CREDENTIAL", "AUTH"]
            .iter()
            .any(|word| name.contains(word))
    };
    let variables = patient.world.environment.all().iter().filter(|(name, _)| secretive(name));
    let mut all: Vec<Secret> = variables.map(|(_, value)| Secret::new(value.as_str())).collect();
    if let Ok(config) = patient.world.aws_config() {
        for profile in config.profiles() {
            let keys = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
            all.extend(keys.iter().filter_map(|key| profile.text(key)).map(Secret::new));
        }
    }
    all
}
