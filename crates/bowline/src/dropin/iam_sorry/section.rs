//! One profile of the credentials file: what kind of keys it holds, its lines, and its keys opened with the SSH key.

use std::{fs, io, path::Path};

use bowline_awsfiles::{Document, Section};
use bowline_base::{Fault, Secret, Timestamp, parse_timestamp};
use bowline_vault::{
    Field, Keys,
    envelope::{Pair, is_sealed, open_pair},
};

use super::{key_file::SshKey, task::wrong};

/// What a profile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Both values are sealed.
    Sealed,
    /// Long-lived keys, at least one of them for everybody to read who reads the file.
    Open,
    /// A session's, which ends by itself.
    Temporary,
    /// Nothing, or half of a key.
    NoKeys,
}

/// A profile of the credentials file.
#[derive(Debug)]
pub(super) struct Held {
    section: Section,
    lines: Vec<Secret>,
}

impl Held {
    /// The profile `name` of the file, if it is there.
    pub(super) fn read(file: &Path, name: &str) -> Result<Option<Self>, Fault> {
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(wrong(format!("cannot read `{}`", file.display())).cause(cause)),
        };
        let document = Document::parse(file, &bytes)?;
        let text = Secret::new(String::from_utf8_lossy(&bytes));
        let section = document.sections()?.into_iter().find(|section| section.name == name);
        Ok(section.map(|section| Self { lines: lines_of(text.expose(), section.origin.line), section }))
    }

    pub(super) fn standing(&self) -> Standing {
        standing(&self.section)
    }

    /// `credentials_owner`: the IAM user whose credentials these are.
    pub(super) fn owner(&self) -> Option<&str> {
        self.section.settings.get("credentials_owner")?.text().filter(|name| !name.trim().is_empty())
    }

    /// `expiration`, if it is a time.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        parse_timestamp(self.section.settings.get("expiration")?.text()?).ok()
    }

    /// The lines from the header on.
    pub(super) fn lines(&self) -> &[Secret] {
        &self.lines
    }

    /// The keys, opened with `key` where they are sealed.
    pub(super) fn keys(&self, key: &SshKey) -> Result<Keys, Fault> {
        let name = &self.section.name;
        let [key_id, secret_key] = [Field::KeyId, Field::SecretKey].map(|field| value(&self.section, field.name()));
        let (Some(key_id), Some(secret_key)) = (key_id, secret_key) else {
            return Err(wrong(format!("profile `{name}` has no key in the credentials file"))
                .hint("iam-sorry --profiles lists profiles"));
        };
        let session_token =
            value(&self.section, "aws_session_token").or_else(|| value(&self.section, "aws_security_token"));
        if !is_sealed(key_id.expose()) && !is_sealed(secret_key.expose()) {
            return Ok(Keys { key_id, secret_key, session_token });
        }
        let pair = Pair { profile: name, key_id: key_id.expose(), secret_key: secret_key.expose() };
        let opened = open_pair(pair, &key.read()?)?;
        Ok(Keys { key_id: opened.key_id, secret_key: opened.secret_key, session_token })
    }
}

/// What the values of `section` are, by their looks.
pub(super) fn standing(section: &Section) -> Standing {
    let [key_id, secret_key] = [Field::KeyId, Field::SecretKey].map(|field| value(section, field.name()));
    let (Some(key_id), Some(secret_key)) = (key_id, secret_key) else { return Standing::NoKeys };
    let token = value(section, "aws_session_token").or_else(|| value(section, "aws_security_token"));
    if is_sealed(key_id.expose()) && is_sealed(secret_key.expose()) {
        Standing::Sealed
    } else if token.is_some() || key_id.expose().starts_with("ASIA") {
        Standing::Temporary
    } else {
        Standing::Open
    }
}

/// The value of `key`, unless it is empty.
pub(super) fn value(section: &Section, key: &str) -> Option<Secret> {
    let setting = section.settings.get(key)?;
    let text = setting.text().map(Secret::new).or_else(|| setting.secret().cloned())?;
    (!text.is_blank()).then_some(text)
}

/// From the header on line `first` to the next header, without the blank lines in front of that.
fn lines_of(text: &str, first: usize) -> Vec<Secret> {
    let mut lines = text.lines().skip(first.saturating_sub(1));
    let header = lines.next();
    let body = lines.take_while(|line| !line.trim_start().starts_with('['));
    let mut lines: Vec<Secret> = header.into_iter().chain(body).map(Secret::new).collect();
    while lines.last().is_some_and(Secret::is_blank) {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[mgr]\naws_access_key_id = __encrypted__:AAAA\naws_secret_access_key = __encrypted__:BBBB\n\
        \n[half]\naws_access_key_id = __encrypted__:AAAA\naws_secret_access_key = AbC/+d\n\
        [session]\naws_access_key_id = ASIAX\naws_secret_access_key = s\n\
        [open]\nAWS_ACCESS_KEY_ID = AKIAX\naws_secret_access_key=MiXeD\n# about none\n\n[none]\nregion = x\naws_access_key_id =\n";

    fn held(name: &str) -> Held {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        bowline_base::atomic::write_private(&file, FILE.as_bytes()).unwrap();
        Held::read(&file, name).unwrap().unwrap()
    }

    #[test]
    fn half_a_seal_is_none() {
        let standings = ["mgr", "half", "session", "open", "none"].map(|name| held(name).standing());
        assert_eq!(
            standings,
            [Standing::Sealed, Standing::Open, Standing::Temporary, Standing::Open, Standing::NoKeys]
        );
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let lines = |name: &str| held(name).lines().iter().map(|line| line.expose().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines("mgr")[0], "[mgr]");
        assert_eq!(lines("mgr").len(), 3);
        assert_eq!(lines("open").last().unwrap(), "# about none");
        assert_eq!(lines("none").len(), 3);
    }

    #[test]
    fn open_keys_need_no_ssh_key_and_keep_their_case() {
        let keys = held("open").keys(&SshKey::at("/nowhere".into())).unwrap();
        assert_eq!((keys.key_id.expose(), keys.secret_key.expose()), ("AKIAX", "MiXeD"));
        assert!(held("half").keys(&SshKey::at("/nowhere".into())).is_err());
    }
}
