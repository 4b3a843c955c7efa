//! The file of its own that `bowline write --file` keeps: made, and replaced whole, but only where it is ours.
//!
//! What somebody else wrote is refused, or with `--force` kept beside it as `FILE.bak`, never overwritten.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use bowline_awsfiles::{Document, Locations, SectionName};
use bowline_base::{Fault, Kind, Secret, atomic};
use zeroize::Zeroizing;

use super::write::MARK;

/// Every key that we write, and no other, stands in a file of ours.
const KEYS: [&str; 5] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "expiration", MARK];
/// Ours is never longer.
const LONGEST: u64 = 64 * 1024;

/// What becomes of a file that somebody else wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// Nothing is written.
    Refuse,
    /// It is kept as `FILE.bak`.
    Keep,
}

/// Refuses a file that is not ours to replace. Asked before any credential exists.
///
/// # Errors
/// `Config`: what stands there, and the way out.
pub(super) fn may_replace(file: &Path, aws: &Locations, foreign: Foreign) -> Result<(), Fault> {
    let target = resolved(file)?;
    if is_same(&target, &aws.config) {
        return Err(refusal(file, "is the AWS config file").hint(SECTION));
    }
    if is_ours_or_new(&target) {
        return Ok(());
    }
    if is_same(&target, &aws.credentials) {
        return Err(refusal(file, "holds credentials of others, which would be lost").hint(SECTION));
    }
    match foreign {
        Foreign::Refuse => {
            let hint = format!("{SECTION}; `--force` keeps what is there as `{}`", kept(&target).display());
            Err(refusal(file, "was not written by `bowline write`, and would be lost").hint(hint))
        }
        Foreign::Keep if fs::symlink_metadata(kept(&target)).is_ok() => {
            let hint = format!("move `{}` away first", kept(&target).display());
            Err(refusal(file, "was not written by `bowline write`, and its place beside it is taken").hint(hint))
        }
        Foreign::Keep => Ok(()),
    }
}

/// Writes `settings` as the one section `name` of `file`; what [`may_replace`] says is asked again.
///
/// # Errors
/// As there, and where it cannot be written.
pub(super) fn put(
    file: &Path,
    (aws, foreign): (&Locations, Foreign),
    name: &str,
    settings: &[(&'static str, Secret)],
) -> Result<(), Fault> {
    may_replace(file, aws, foreign)?;
    let section = SectionName::Credentials(name.to_owned());
    let mut document = Document::parse(file, b"")?;
    for (key, value) in settings {
        document.set(&section, key, value.expose())?;
    }
    let target = resolved(file)?;
    if !is_ours_or_new(&target) {
        // A second name for the old file, so that there is no moment without one.
        fs::hard_link(&target, kept(&target)).map_err(|cause| unwritable(&kept(&target), cause))?;
    }
    let bytes = Zeroizing::new(document.to_bytes());
    atomic::write_private(&target, &bytes).map_err(|cause| unwritable(file, cause))
}

const SECTION: &str =
    "without --file the keys go into a section of ~/.aws/credentials, and everything else there stays";

fn refusal(file: &Path, why: &str) -> Fault {
    Fault::new(Kind::Config, "write", format!("`{}` {why}", file.display()))
}

fn unwritable(file: &Path, cause: io::Error) -> Fault {
    Fault::new(Kind::Config, "write", format!("cannot write `{}`", file.display()))
        .hint("see that its directory is there (`mkdir -p -m 700`) and that you may write to it")
        .cause(cause)
}

fn resolved(file: &Path) -> Result<PathBuf, Fault> {
    atomic::resolve(file).map_err(|cause| unwritable(file, cause))
}

/// `FILE.bak`.
fn kept(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

fn is_same(target: &Path, other: &Path) -> bool {
    let same = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    same(target).is_some_and(|target| same(other) == Some(target))
}

/// An empty file loses nothing either.
fn is_ours_or_new(target: &Path) -> bool {
    match fs::metadata(target) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(metadata) if !metadata.is_file() || metadata.len() > LONGEST => false,
        Ok(metadata) => metadata.len() == 0 || read(target).is_some_and(|text| is_ours(text.expose())),
    }
}

fn read(target: &Path) -> Option<Secret> {
    let mut text = String::new();
    File::open(target).and_then(|file| file.take(LONGEST).read_to_string(&mut text)).ok()?;
    Some(Secret::new(text))
}

/// One section, in it our mark, and nothing that we do not write: not even a comment.
fn is_ours(text: &str) -> bool {
    let mut lines = text.lines();
    let headed = lines.next().is_some_and(|line| line.starts_with('[') && line.ends_with(']'));
    let keys: Option<Vec<&str>> = lines.map(|line| line.split_once(" = ").map(|(key, _)| key)).collect();
    headed && keys.is_some_and(|keys| keys.contains(&MARK) && keys.iter().all(|key| KEYS.contains(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "# mine\n[default]\naws_access_key_id = AKIAMINE\n\n[other]\naws_access_key_id = AKIAOTHER\n";

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn put(&self, name: &str, foreign: Foreign) -> Result<(), Fault> {
            self.put_section(name, foreign, "default")
        }

        fn put_section(&self, name: &str, foreign: Foreign, section: &str) -> Result<(), Fault> {
            let (config, credentials) = (self.at("config"), self.at("credentials"));
            let aws = Locations { config, credentials, sso_cache: self.at("cache") };
            let settings = [("aws_secret_access_key", Secret::new("s")), (MARK, Secret::new("build"))];
            put(&self.at(name), (&aws, foreign), section, &settings)
        }

        fn make(&self, name: &str, text: &str) {
            atomic::write(&self.at(name), text.as_bytes(), 0o644).unwrap();
        }

        fn text(&self, name: &str) -> String {
            fs::read_to_string(self.at(name)).unwrap()
        }
    }

    #[test]
    fn a_file_of_somebody_else_survives_byte_by_byte() {
        let home = Home::new();
        for name in ["config", "credentials", "x"] {
            home.make(name, THEIRS);
            let refused = home.put(name, Foreign::Refuse).unwrap_err();
            assert_eq!(refused.kind, Kind::Config);
            assert!(refused.hint.is_some_and(|hint| hint.contains("without --file")), "{name}");
            assert_eq!(home.text(name), THEIRS);
        }
        std::os::unix::fs::symlink("credentials", home.at("link")).unwrap();
        assert!(home.put("link", Foreign::Keep).is_err(), "the AWS files are never replaced whole");
        fs::remove_file(home.at("config")).unwrap();
        assert!(home.put("config", Foreign::Keep).is_err(), "the config file holds no keys");
    }

    #[test]
    fn by_force_it_is_kept_beside_the_new_one_and_the_one_kept_before_too() {
        let home = Home::new();
        home.make("x", THEIRS);
        home.put("x", Foreign::Keep).unwrap();
        assert_eq!((home.text("x.bak").as_str(), is_ours(&home.text("x"))), (THEIRS, true));
        home.put("x", Foreign::Refuse).unwrap();
        home.make("x", "another\n");
        assert!(home.put("x", Foreign::Keep).is_err());
        assert_eq!((home.text("x.bak").as_str(), home.text("x").as_str()), (THEIRS, "another\n"));
    }

    #[test]
    fn ours_is_one_section_with_our_mark_and_nothing_else() {
        let ours = format!("[default]\naws_access_key_id = A\n{MARK} = build\n");
        assert!(is_ours(&ours));
        for more in ["# a note\n", "[other]\n", "region = x\n"] {
            assert!(!is_ours(&format!("{ours}{more}")), "{more}");
        }
        assert!(!is_ours("[default]\naws_access_key_id = A\n"));
    }

    #[test]
    fn a_name_that_would_break_the_file_is_refused() {
        let home = Home::new();
        assert!(home.put_section("x", Foreign::Refuse, "x\ny").is_err());
        assert!(!home.at("x").exists());
    }
}
