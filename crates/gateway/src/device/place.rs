//! Puts a configuration where the device reads it, and wakes the device: only when something is different.
//!
//! Both files are replaced whole, the keys first, readable by their owner only. A hook that has not succeeded is run again
//! the next time, whatever happened to this process meanwhile: a third file stands beside them for so long.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bowline_base::{Fault, Kind, atomic};
use bowline_host::process;

use super::Rendered;

/// Where a configuration goes, and who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    hook: Vec<String>,
    environment: BTreeMap<String, String>,
}

/// What putting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it should be.
    Same,
    /// Files were written, and the hook, if there is one, has run.
    Written,
    /// The files were right; the hook had not succeeded before, and has now.
    Woken,
}

/// How long a hook may take.
const LIMIT: Duration = Duration::from_secs(60);
const KEYS: &str = "secrets";
const PENDING: &[u8] = b"bowline device-config hook 1: to be run\n";

impl Place {
    /// The file at `path`, keys beside it; afterwards `hook` (program and arguments, none: nobody) with `environment`.
    ///
    /// # Errors
    /// A `Config` fault: the name cannot be included by another file.
    pub fn new(path: PathBuf, hook: Vec<String>, environment: BTreeMap<String, String>) -> Result<Self, Fault> {
        let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_keys = path.extension().is_some_and(|extension| extension == KEYS);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(usual) || is_keys {
            let message = format!("`{}` is no name for a configuration", path.display());
            return Err(Fault::new(Kind::Config, "device-config", message)
                .hint("letters, digits and `. _ -` in the file's name: /etc/swanctl/conf.d/bowline.conf"));
        }
        Ok(Self { path, hook, environment })
    }

    /// The name that keys are included by.
    #[must_use]
    pub fn keys_name(&self) -> String {
        self.keys().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Whether [`Place::put`] would do anything.
    ///
    /// # Errors
    /// A file that is there cannot be read.
    pub fn is_due(&self, rendered: &Rendered) -> Result<bool, Fault> {
        Ok(self.differs(rendered)? || self.is_pending())
    }

    /// Writes what is different, and runs the hook then.
    ///
    /// # Errors
    /// A file cannot be read or written, or the hook failed: it is run again the next time.
    pub async fn put(&self, rendered: &Rendered) -> Result<Outcome, Fault> {
        let differs = self.differs(rendered)?;
        if differs {
            self.write(rendered)?;
        } else {
            self.close_to_others(rendered);
        }
        if !self.is_pending() {
            return Ok(if differs { Outcome::Written } else { Outcome::Same });
        }
        self.wake().await?;
        fs::remove_file(self.pending()).map_err(|cause| cannot("remove", &self.pending(), cause))?;
        Ok(if differs { Outcome::Written } else { Outcome::Woken })
    }

    fn keys(&self) -> PathBuf {
        self.path.with_extension(KEYS)
    }

    fn pending(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.pending"))
    }

    fn is_pending(&self) -> bool {
        !self.hook.is_empty() && self.pending().exists()
    }

    fn differs(&self, rendered: &Rendered) -> Result<bool, Fault> {
        let keys = rendered.keys.as_ref().map(|keys| keys.expose().as_bytes());
        Ok(is_other(&self.path, rendered.connections.as_bytes())?
            || keys.map_or(Ok(false), |keys| is_other(&self.keys(), keys))?)
    }

    fn write(&self, rendered: &Rendered) -> Result<(), Fault> {
        let put = |path: &Path, bytes: &[u8]| {
            atomic::write_private(path, bytes).map_err(|cause| {
                cannot("write", path, cause).hint("see that its directory is there, and that you may write to it")
            })
        };
        if !self.hook.is_empty() {
            put(&self.pending(), PENDING)?;
        }
        if let Some(keys) = &rendered.keys {
            put(&self.keys(), keys.expose().as_bytes())?;
        }
        put(&self.path, rendered.connections.as_bytes())
    }

    /// Files that are right in all but their mode.
    fn close_to_others(&self, rendered: &Rendered) {
        let keys = rendered.keys.as_ref().map(|_| self.keys());
        for path in keys.iter().chain([&self.path]) {
            if fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0) {
                // Who may not change it could not have written it either: then it is somebody else's to see to.
                fs::set_permissions(path, fs::Permissions::from_mode(atomic::PRIVATE)).ok();
            }
        }
    }

    async fn wake(&self) -> Result<(), Fault> {
        let mut environment = self.environment.clone();
        environment.insert("BOWLINE_DEVICE_CONFIG".to_owned(), self.path.display().to_string());
        let failed = |why: String| {
            Fault::new(
                Kind::Refused,
                "device-config",
                format!("the configuration is written, but the hook failed: {why}"),
            )
            .hint("it is run again the next time, also when nothing else has changed")
        };
        match process::feed(&self.hook, &environment, &[], LIMIT).await {
            Ok(finished) if finished.success => Ok(()),
            Ok(finished) => {
                let how = finished.code.map_or("killed".to_owned(), |code| format!("exit code {code}"));
                let said: String = finished.stderr.lines().next().unwrap_or_default().chars().take(200).collect();
                Err(failed(format!("{how} {said}").trim().to_owned()))
            }
            Err(fault) => Err(failed(fault.chain())),
        }
    }
}

/// A file that is not there is other than any.
fn is_other(path: &Path, bytes: &[u8]) -> Result<bool, Fault> {
    match fs::read(path) {
        Ok(there) => Ok(there != bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(cause) => Err(cannot("read", path, cause)),
    }
}

fn cannot(what: &str, path: &Path, cause: io::Error) -> Fault {
    Fault::new(Kind::Config, "device-config", format!("cannot {what} `{}`", path.display())).cause(cause)
}

#[cfg(test)]
mod tests {
    use bowline_base::Secret;

    use super::*;

    fn rendered(connections: &str, keys: &str) -> Rendered {
        Rendered { connections: connections.to_owned(), keys: Some(Secret::new(keys)) }
    }

    /// A place whose hook adds a line to `woken`, and fails while there is a file `broken`.
    fn place(home: &Path) -> Place {
        let script = format!(
            "echo woken >> {0}/woken; test ! -e {0}/broken || {{ echo no charon >&2; exit 3; }}",
            home.display()
        );
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Place::new(home.join("vpn.conf"), ["sh", "-c", &script].map(str::to_owned).to_vec(), environment).unwrap()
    }

    fn woken(home: &Path) -> usize {
        fs::read_to_string(home.join("woken")).unwrap_or_default().lines().count()
    }

    #[tokio::test]
    async fn only_a_difference_is_written_and_wakes_the_device() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        assert!(place.is_due(&rendered("a", "k")).unwrap());
        assert_eq!(place.put(&rendered("a", "k")).await.unwrap(), Outcome::Written);
        assert_eq!((place.put(&rendered("a", "k")).await.unwrap(), woken(home.path())), (Outcome::Same, 1));
        assert!(!place.is_due(&rendered("a", "k")).unwrap() && place.is_due(&rendered("a", "l")).unwrap());
        assert_eq!((place.put(&rendered("a", "l")).await.unwrap(), woken(home.path())), (Outcome::Written, 2));
        for (name, text) in [("vpn.conf", "a"), ("vpn.secrets", "l")] {
            let path = home.path().join(name);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert_eq!((place.put(&rendered("a", "l")).await.unwrap(), woken(home.path())), (Outcome::Same, 2));
        assert_eq!(fs::metadata(home.path().join("vpn.secrets")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "nothing else is left");
    }

    #[tokio::test]
    async fn a_hook_that_failed_is_run_again_although_nothing_is_different() {
        let home = tempfile::tempdir().unwrap();
        let place = place(home.path());
        fs::create_dir(home.path().join("broken")).unwrap();
        let fault = place.put(&rendered("a", "k")).await.unwrap_err();
        assert!(fault.message.contains("exit code 3 no charon"), "{fault}");
        assert!(place.is_due(&rendered("a", "k")).unwrap());
        fs::remove_dir(home.path().join("broken")).unwrap();
        assert_eq!((place.put(&rendered("a", "k")).await.unwrap(), woken(home.path())), (Outcome::Woken, 2));
        assert_eq!(place.put(&rendered("a", "k")).await.unwrap(), Outcome::Same);
    }

    #[tokio::test]
    async fn names_that_cannot_be_included_and_places_that_are_not_there_are_told() {
        for name in ["a b.conf", "*.conf", "vpn.secrets", ".hidden", "x\".conf", "/"] {
            assert!(Place::new(PathBuf::from("/etc").join(name), Vec::new(), BTreeMap::new()).is_err(), "{name}");
        }
        let nowhere = Place::new(PathBuf::from("/no/such/vpn.conf"), Vec::new(), BTreeMap::new()).unwrap();
        assert_eq!(nowhere.keys_name(), "vpn.secrets");
        assert_eq!(nowhere.put(&rendered("a", "k")).await.unwrap_err().kind, Kind::Config);
        let directory = Place::new(PathBuf::from("/tmp"), Vec::new(), BTreeMap::new()).unwrap();
        assert!(directory.put(&rendered("a", "k")).await.unwrap_err().message.contains("cannot read"));
    }
}
