//! Configuration files: `bowline.toml` and the AWS files, as far as they can be judged without a call.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use bowline_awsfiles::{Config, ConfigError, Profile, Source, SsoKey, SsoSession};
use bowline_host::Check;

use super::{Patient, ids, sso, verdict::*};
use crate::commands::check;

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let mut checks = vec![toml(patient)];
    let config = match patient.world.aws_config() {
        Ok(config) => config,
        Err(fault) => {
            checks.push(from_fault(ids::FILES_AWS, &fault));
            return checks;
        }
    };
    let path = patient.world.environment.var("PATH").unwrap_or_default().to_owned();
    let is_program = |program: &str| is_program(program, &path);
    checks.extend(aws(&config, &patient.world.setup.locations.config));
    checks.extend(profiles(&config));
    checks.extend(legacy(&config));
    checks.extend(scopes(&config));
    checks.extend(processes(&config, is_program));
    checks
}

fn toml(patient: &Patient) -> Check {
    let Some(file) = &patient.file else {
        return ok(ids::FILES_TOML, "there is no bowline.toml: everything has its default");
    };
    match &patient.config {
        Err(fault) => from_fault(ids::FILES_TOML, fault),
        Ok(config) => match check::profiles(&patient.world, file, config) {
            Err(fault) => from_fault(ids::FILES_TOML, &fault),
            Ok(()) => ok(ids::FILES_TOML, format!("`{}` has no mistake", file.display())),
        },
    }
}

fn aws(config: &Config, file: &Path) -> Vec<Check> {
    // Modes are a matter of their own: `files.mode`.
    let meant = config.warnings().iter().filter(|warning| !warning.message.contains("chmod"));
    let wrong = meant.map(|warning| {
        let why = format!("{}: {}", warning.origin, warning.message);
        degraded(
            ids::FILES_AWS,
            why,
            format!("edit line {} of `{}`", warning.origin.line, warning.origin.file.display()),
        )
    });
    or_ok(wrong.collect(), ids::FILES_AWS, || {
        let (profiles, sessions) = (config.profiles().count(), config.sso_sessions().count());
        format!("`{}` and its companion: {profiles} profiles, {sessions} sso-sessions", file.display())
    })
}

/// A profile that says nothing about credentials (a region, an output) is no mistake.
fn profiles(config: &Config) -> Vec<Check> {
    let wrong = config.profiles().filter_map(|profile| match config.resolve(profile.name()) {
        Ok(_) | Err(ConfigError::NoCredentials { .. }) => None,
        Err(error @ ConfigError::LoginSession { .. }) => {
            Some(degraded(ids::FILES_PROFILE, error.to_string(), error.hint()))
        }
        Err(error) => Some(failed(ids::FILES_PROFILE, error.to_string(), Some(error.hint()))),
    });
    or_ok(wrong.collect(), ids::FILES_PROFILE, || "every profile resolves".to_owned())
}

/// They work, but ask for a sign-in every 8 hours.
fn legacy(config: &Config) -> Vec<Check> {
    let old = |profile: &Profile| {
        let login = config.login(profile.name()).ok().flatten().filter(|_| profile.text("sso_start_url").is_some())?;
        let SsoKey::Legacy(_) = &login.key else { return None };
        let why = format!(
            "{}: profile `{}` has `sso_start_url` and no `sso_session`: its sign-in cannot be renewed",
            profile.origin(),
            profile.name()
        );
        Some(degraded(ids::FILES_LEGACY_SSO, why, sso::corrected(&login)))
    };
    let wrong = config.profiles().filter_map(old).collect();
    or_ok(wrong, ids::FILES_LEGACY_SSO, || "no profile signs in the old way".to_owned())
}

fn scopes(config: &Config) -> Vec<Check> {
    let lacking = |session: &SsoSession| {
        let (why, fix, none) = sso::lacks_scope(&session.login().ok()?)?;
        let why = format!("{}: `[sso-session {}]`: {why}", session.origin(), session.name());
        Some(if none { degraded(ids::FILES_SSO_SCOPE, why, fix) } else { failed(ids::FILES_SSO_SCOPE, why, Some(fix)) })
    };
    let wrong = config.sso_sessions().filter_map(lacking).collect();
    or_ok(wrong, ids::FILES_SSO_SCOPE, || format!("no sso-session lacks `{}`", sso::SCOPE))
}

fn processes(config: &Config, is_program: impl Fn(&str) -> bool) -> Vec<Check> {
    let missing = |profile: &Profile| {
        let Source::Process(process) = config.resolve(profile.name()).ok()? else { return None };
        let program = process.argv.first().filter(|program| !is_program(program))?;
        let why = format!("{}: profile `{}` runs `{program}`, which is not there", process.origin, profile.name());
        let fix = if program.starts_with("~/") {
            format!("write the whole path instead of `{program}`: no shell runs the line")
        } else {
            format!("install `{program}`, or write its whole path into credential_process")
        };
        Some(failed(ids::FILES_PROCESS, why, Some(fix)))
    };
    let wrong = config.profiles().filter_map(missing).collect();
    or_ok(wrong, ids::FILES_PROCESS, || "no credential_process runs a missing program".to_owned())
}

/// Whether the system would find something to run.
pub(super) fn is_program(name: &str, path: &str) -> bool {
    let runs = |file: PathBuf| {
        std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        runs(name.into())
    } else {
        path.split(':').any(|folder| runs(Path::new(folder).join(name)))
    }
}

#[cfg(test)]
mod tests {
    use bowline_awsfiles::Document;
    use bowline_host::Verdict;

    use super::*;

    fn config(text: &str) -> Config {
        Config::read(Some(&Document::parse(Path::new("config"), text.as_bytes()).unwrap()), None).unwrap()
    }

    fn verdicts(checks: &[Check]) -> Vec<(Verdict, bool)> {
        checks.iter().map(|check| (check.verdict, check.fix.is_some())).collect()
    }

    const GOOD: (Verdict, bool) = (Verdict::Ok, false);

    #[test]
    fn a_missing_source_is_named_with_its_line_and_a_bare_profile_is_none() {
        let checks = profiles(&config(
            "[profile a]\nrole_arn = r\nsource_profile = biuld\n[profile build]\nregion = x\n[default]\noutput = json\n",
        ));
        assert_eq!(verdicts(&checks), [(Verdict::Failed, true)]);
        assert!(checks[0].why.starts_with("config:3:") && checks[0].fix.as_deref() == Some("did you mean `build`?"));
        assert_eq!(verdicts(&profiles(&config("[default]\nregion = x\n"))), [GOOD]);
    }

    #[test]
    fn an_old_profile_gets_its_corrected_section() {
        let old = "[profile old]\nsso_start_url = https://corp\nsso_region = us-east-1\nsso_account_id = 1\n\
                   sso_role_name = r\n[profile child]\nrole_arn = r\nsource_profile = old\n";
        let checks = legacy(&config(old));
        assert_eq!(verdicts(&checks), [(Verdict::Degraded, true)]);
        assert!(checks[0].fix.as_ref().unwrap().contains("[sso-session main]\nsso_start_url = https://corp"));
    }

    #[test]
    fn scopes_that_lack_ours_fail_and_no_scopes_degrade() {
        let of = |scopes: &str| {
            config(&format!("[sso-session s]\nsso_start_url = https://corp\nsso_region = us-east-1\n{scopes}"))
        };
        assert_eq!(verdicts(&scopes(&of("sso_registration_scopes = x, sso:account:access\n"))), [GOOD]);
        assert_eq!(verdicts(&scopes(&of("sso_registration_scopes = x\n"))), [(Verdict::Failed, true)]);
        assert_eq!(verdicts(&scopes(&of(""))), [(Verdict::Degraded, true)]);
    }

    #[test]
    fn a_program_is_looked_for_as_the_system_would() {
        let with = config("[profile p]\ncredential_process = tool --x 'y z'\n");
        assert_eq!(verdicts(&processes(&with, |name| name == "tool")), [GOOD]);
        assert_eq!(verdicts(&processes(&with, |_| false)), [(Verdict::Failed, true)]);
        assert!(is_program("sh", "/nowhere:/bin:/usr/bin") && is_program("/bin/sh", ""));
        assert!(!is_program("sh", "/nowhere") && !is_program("/etc/passwd", ""));
    }
}
