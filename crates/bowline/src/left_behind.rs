//! What a machine's service of an earlier version keeps below its home, where it is not looked for any more: the VPN's
//! keys and users, the vault, the audit log. A daemon that went on without them would make new ones,
//! and so would a command that writes there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bowline_base::{Fault, Kind};

use crate::environment::Environment;

/// Where it was, below the home that is the state directory now.
const FORMER: [&str; 2] = [".local/state/bowline", ".local/share/bowline"];

/// # Errors
/// Something is there that has not been moved; with the command that does.
pub(crate) fn refuse(environment: &Environment) -> Result<(), Fault> {
    let home = environment.home();
    // The arrangement of the machine's unit, and of nobody else.
    if environment.state_directory() != home || environment.data_directory() != home {
        return Ok(());
    }
    let left = not_moved(&home);
    if left.is_empty() {
        return Ok(());
    }
    let words = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let why = format!("an earlier version kept what is needed in `{}`", words(&left).join("`, `"));
    let hint = format!("sudo mv -n {} {}/   # then once more", words(&left).join(" "), home.display());
    Err(Fault::new(Kind::Config, "state", why).hint(hint))
}

/// Everything in the former places that the home has nothing of that name for.
fn not_moved(home: &Path) -> Vec<PathBuf> {
    let former = FORMER.iter().filter_map(|place| fs::read_dir(home.join(place)).ok()).flatten().flatten();
    let left = former.filter(|entry| entry.file_name() != "run" && !home.join(entry.file_name()).exists());
    let mut left: Vec<PathBuf> = left.map(|entry| entry.path()).collect();
    left.sort();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_does_not_begin_anew_beside_what_an_earlier_version_kept() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().join("bowline");
        for kept in ["state/bowline/vpn", "state/bowline/audit", "state/bowline/run", "share/bowline/vault"] {
            fs::create_dir_all(home.join(".local").join(kept)).unwrap();
        }
        let (at, above) = (home.display().to_string(), home.parent().unwrap().display().to_string());
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let service = [set("HOME", &at), set("XDG_STATE_HOME", &above), set("XDG_DATA_HOME", &above)];
        let service = Environment::of(service.into());
        let fault = refuse(&service).unwrap_err();
        let moved = ["share/bowline/vault", "state/bowline/audit", "state/bowline/vpn"];
        let paths = moved.map(|kept| format!("{at}/.local/{kept}")).join(" ");
        assert_eq!(fault.hint.as_deref(), Some(&*format!("sudo mv -n {paths} {at}/   # then once more")));
        assert_eq!(fault.kind, Kind::Config);
        // A person's own arrangement is left alone.
        assert!(refuse(&Environment::of([set("HOME", &at)].into())).is_ok());
        for kept in moved {
            fs::rename(home.join(".local").join(kept), home.join(Path::new(kept).file_name().unwrap())).unwrap();
        }
        assert!(refuse(&service).is_ok());
    }
}
