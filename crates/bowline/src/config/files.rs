//! Every file that `bowline.toml` names for the daemon to read, with the key that names it and what is in it: who may open
//! it, who can, and who else should not is asked of this one list.

use std::path::{Path, PathBuf};

use bowline_awsfiles::{Password, RolesAnywhere};

use super::{AccessSection, Config, Origin, SecretPlace, TlsSection};

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Public.
    Certificate,
    PrivateKey,
    Password,
    /// A secret that `{ file = … }` names.
    Secret,
    Token,
    /// The SSH key that opens the vault: beside it lie others, which are nobody's business.
    VaultKey,
    /// Artifacts, public to whoever may ask.
    Directory,
}

/// A file, and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedFile {
    /// The key below which its path stands.
    pub(crate) key: &'static [&'static str],
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
}

impl NamedFile {
    fn new(key: &'static [&'static str], path: &Path, content: Content) -> Self {
        Self { key, path: path.to_owned(), content }
    }
}

impl Config {
    /// In the order of the sections; a file that two keys name is there twice.
    pub(crate) fn files(&self) -> Vec<NamedFile> {
        let mut files: Vec<NamedFile> = self.identities.iter().flat_map(of_identity).collect();
        files.extend(self.of_artifacts());
        files.extend(self.of_credentials());
        let gateway = self.gateway.iter().filter_map(|gateway| gateway.webhook.as_ref()?.secret.as_ref());
        files.extend(gateway.filter_map(|place| secret(&["gateway", "webhook"], place)));
        let notify = self.notify.webhook.iter();
        files.extend(notify.filter_map(|webhook| secret(&["notify", "webhook"], &webhook.secret)));
        let master = self.vpn.iter().filter_map(|vpn| vpn.master_key.as_ref());
        files.extend(master.filter_map(|place| secret(&["vpn", "master-key"], place)));
        let tls = self.vpn.iter().filter_map(|vpn| vpn.tls.as_ref());
        files.extend(tls.flat_map(|tls| pair(&["vpn"], tls)));
        files
    }

    fn of_artifacts(&self) -> Vec<NamedFile> {
        let Some(section) = &self.artifacts else { return Vec::new() };
        let mut files: Vec<NamedFile> = section.tls.iter().flat_map(|tls| pair(&["artifacts", "tls"], tls)).collect();
        if let AccessSection::Keys(keys) = &section.access {
            files.extend(keys.iter().filter_map(|key| secret(&["artifacts", "access"], &key.secret)));
        }
        let origins = section.repositories.iter().flat_map(|repository| &repository.from);
        files.extend(origins.filter_map(|origin| match origin {
            Origin::Directory(path) => {
                Some(NamedFile::new(&["artifacts", "repository", "from"], path, Content::Directory))
            }
            Origin::S3 { .. } | Origin::Http(_) => None,
        }));
        files
    }

    fn of_credentials(&self) -> Vec<NamedFile> {
        let endpoint = self.endpoint.iter().filter_map(|endpoint| endpoint.token_file.as_ref());
        let endpoint = endpoint.map(|path| NamedFile::new(&["endpoint", "token-file"], path, Content::Token));
        let grants = self.grants.iter().filter_map(|grant| grant.token_file.as_ref());
        let grants = grants.map(|path| NamedFile::new(&["grant", "token-file"], path, Content::Token));
        let vault = self.vault.ssh_key.iter();
        let vault = vault.map(|path| NamedFile::new(&["vault", "ssh-key"], path, Content::VaultKey));
        endpoint.chain(grants).chain(vault).collect()
    }
}

/// Those of one identity, of the file or of the environment. A PKCS#12 file, which has no key beside it, holds one.
pub(crate) fn of_identity(identity: &RolesAnywhere) -> Vec<NamedFile> {
    const KEY: &[&str] = &["identity"];
    let holds = if identity.private_key.is_some() { Content::Certificate } else { Content::PrivateKey };
    let password = match &identity.password {
        Some(Password::File(path)) => Some(NamedFile::new(KEY, path, Content::Password)),
        Some(Password::Variable(_) | Password::Given(_)) | None => None,
    };
    let intermediates = identity.intermediates.iter().map(|path| NamedFile::new(KEY, path, Content::Certificate));
    let key = identity.private_key.iter().map(|path| NamedFile::new(KEY, path, Content::PrivateKey));
    let certificate = NamedFile::new(KEY, &identity.certificate, holds);
    std::iter::once(certificate).chain(intermediates).chain(key).chain(password).collect()
}

fn pair(key: &'static [&'static str], tls: &TlsSection) -> [NamedFile; 2] {
    let certificate = NamedFile::new(key, &tls.certificate, Content::Certificate);
    [certificate, NamedFile::new(key, &tls.private_key, Content::PrivateKey)]
}

fn secret(key: &'static [&'static str], place: &SecretPlace) -> Option<NamedFile> {
    match place {
        SecretPlace::File(path) => Some(NamedFile::new(key, path, Content::Secret)),
        SecretPlace::Env(_) | SecretPlace::Vault(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn every_file_is_listed_with_the_key_that_names_it() {
        let text = "[identity.site]\nroles-anywhere = { certificate = \"/f/site.pem\", private-key = { file = \"/f/site.key\" }, \
                    trust-anchor = \"arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/a\", \
                    profile = \"arn:aws:rolesanywhere:us-east-1:111122223333:profile/p\", \
                    role = \"arn:aws:iam::111122223333:role/r\" }\n\
                    [artifacts]\ntls = { certificate = \"/f/tls.pem\", private-key = \"/f/tls.key\" }\n\
                    access = { tokens = [{ name = \"ci\", file = \"/f/ci\" }] }\n\
                    [[artifacts.repository]]\nfrom = [\"/f/maven\", \"s3://maven\"]\n\
                    [endpoint]\nserve = [\"a\"]\ntoken-file = \"/f/endpoint\"\n\
                    [[grant]]\ntoken-file = \"/f/grant\"\nprofiles = [\"a\"]\n\
                    [gateway]\nwebhook = { url = \"https://h.example\", secret = { file = \"/f/hook\" } }\n\
                    [notify]\nwebhook = { url = \"https://h.example\", secret = { file = \"/f/page\" } }\n\
                    [vault]\nssh-key = \"/f/ssh\"\n\
                    [vpn]\nmaster-key = { file = \"/f/master\" }\n\
                    tls-cert = \"/f/vpn.pem\"\ntls-key = \"/f/vpn.key\"\n";
        let listed: Vec<String> = parse(text)
            .unwrap()
            .files()
            .into_iter()
            .map(|file| format!("{} {} {:?}", file.key.join("."), file.path.display(), file.content))
            .collect();
        assert_eq!(
            listed,
            [
                "identity /f/site.pem Certificate",
                "identity /f/site.key PrivateKey",
                "artifacts.tls /f/tls.pem Certificate",
                "artifacts.tls /f/tls.key PrivateKey",
                "artifacts.access /f/ci Secret",
                "artifacts.repository.from /f/maven Directory",
                "endpoint.token-file /f/endpoint Token",
                "grant.token-file /f/grant Token",
                "vault.ssh-key /f/ssh VaultKey",
                "gateway.webhook /f/hook Secret",
                "notify.webhook /f/page Secret",
                "vpn.master-key /f/master Secret",
                "vpn /f/vpn.pem Certificate",
                "vpn /f/vpn.key PrivateKey",
            ]
        );
    }
}
